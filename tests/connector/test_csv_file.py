"""CSV files: what was read comes back byte for byte, but for our cells."""

import csv
import errno
import io
import os
import signal
import stat
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector import rows
from connector.csv_file import CsvFile
from connector.errors import (
    ChangedUnderneath,
    ColumnMeansTwo,
    ConnectorError,
    DiskFull,
    DuplicateColumn,
    EmptyFile,
    FileNotFound,
    MissingColumn,
    NoHeader,
    NotAFile,
    NotWritable,
    UnclosedQuote,
)
from connector.locks import try_lock
from connector.source import Cells, Change, Row
from connector.tables.tokenizer import records
from wire.vocab import RESULT_COLUMNS, Writeback

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
LINK = "https://trk.example/a"
TAIL = "".join(f",{name}" for name in RESULT_COLUMNS)


def file(tmp_path: Path, content: bytes | str, **more: object) -> CsvFile:
    path = tmp_path / "links.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CsvFile(path, source_id="src_a", sleep=lambda seconds: None, **more)  # type: ignore[arg-type]


def change(row_id: str = "r_1", tracking_url: str = LINK, **cells: str | bool) -> Change:
    return Change(row_id=row_id, tracking_url=tracking_url, cells=cells or {"conclusion": "valid"})


def rows_of(source: CsvFile) -> list[Row]:
    return [each for batch in source.read() for each in batch]


HEAD = "row_id,offer_name,tracking_url,conclusion,final_url"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            f'{HEAD}\nr_1,5" screen,{LINK},,\nr_3,7" tab,{LINK},,\n',
            f'{HEAD}\nr_1,5" screen,{LINK},valid,\nr_3,7" tab,{LINK},,\n',
            id="a quote inside a cell is text",
        ),
        pytest.param(
            f'{HEAD}\nr_1,"two\nlines",{LINK},,\nr_3,x,{LINK},,\n',
            f'{HEAD}\nr_1,"two\nlines",{LINK},valid,\nr_3,x,{LINK},,\n',
            id="a quoted newline",
        ),
        pytest.param(
            f"{HEAD}\r\nr_1,a,{LINK},,\nr_3,b,{LINK},,\r\n\r\nr_4,c,{LINK},,\r",
            f"{HEAD}\r\nr_1,a,{LINK},valid,\nr_3,b,{LINK},,\r\n\r\nr_4,c,{LINK},,\r",
            id="all kinds of line ends and a blank line",
        ),
        pytest.param(
            f"{HEAD}\nr_1,a,{LINK}\nr_3,b,{LINK},,,,extra\n",
            f"{HEAD}\nr_1,a,{LINK},valid\nr_3,b,{LINK},,,,extra\n",
            id="ragged rows",
        ),
        pytest.param(
            f'{HEAD}\nr_1,"a ""b"" c",{LINK},,\n"r_3","x"y,{LINK},,',
            f'{HEAD}\nr_1,"a ""b"" c",{LINK},valid,\n"r_3","x"y,{LINK},,',
            id="quotes of every kind and no newline at the end",
        ),
        pytest.param(
            f"\n\n{HEAD}\n\nr_1,a,{LINK},,\n",
            f"\n\n{HEAD}\n\nr_1,a,{LINK},valid,\n",
            id="blank lines before the header",
        ),
        pytest.param(
            f"{HEAD}\nr_1,a\0b,{LINK},,\n",
            f"{HEAD}\nr_1,a\0b,{LINK},valid,\n",
            id="a NUL in somebody's cell",
        ),
    ],
)
def test_only_our_cell_changes(tmp_path: Path, before: str, after: str) -> None:
    source = file(tmp_path, before)
    # The missing columns of ours are made in a first step, which is not what is looked at here.
    full = before.replace(HEAD, HEAD + ",check_status,error,skip_reason,last_checked,ready_for_ads")
    source.path.write_bytes(full.encode())

    answers = source.write([change()])

    expected = after.replace(
        HEAD, HEAD + ",check_status,error,skip_reason,last_checked,ready_for_ads"
    )
    assert answers[0].writeback is Writeback.WRITTEN
    assert source.path.read_bytes().decode() == expected


def test_missing_columns_come_after_the_widest_row_and_only_changed_rows_are_padded(
    tmp_path: Path,
) -> None:
    source = file(
        tmp_path, f"row_id,tracking_url\nr_1,{LINK},\nr_2,{LINK},note,\nr_3,{LINK}\n\n,,,,,,,\n"
    )

    source.write([change("r_1", conclusion="valid"), change("r_3", check_status="failed")])

    lines = source.path.read_text().split("\n")
    assert lines[0] == "row_id,tracking_url,," + TAIL
    assert lines[1] == f"r_1,{LINK},,,,,valid"
    assert lines[2] == f"r_2,{LINK},note,"
    assert lines[3] == f"r_3,{LINK},,,failed"
    assert lines[4:] == ["", ",,,,,,,", ""]


@pytest.mark.parametrize(
    ("encoding", "bom"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("cp1252", b""),
    ],
    ids=["utf-8", "utf-8 with a mark", "utf-16 little", "utf-16 big", "Windows-1252"],
)
@pytest.mark.parametrize(
    "delimiter", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "pipe"]
)
def test_encodings_and_delimiters_are_recognised_and_kept(
    tmp_path: Path, encoding: str, bom: bytes, delimiter: str
) -> None:
    lines = [["row_id", "Anmerkung", "tracking_url", *RESULT_COLUMNS], ["r_1", "Größe, é; ß", LINK]]
    text = "".join(delimiter.join(f'"{cell}"' for cell in line) + "\r\n" for line in lines)
    source = file(tmp_path, bom + text.encode(encoding))

    source.write([change(final_url="https://shop.example/")])

    written = source.path.read_bytes()
    assert written.startswith(bom)
    assert written[len(bom) :].decode(encoding) == text.replace(
        f'"{LINK}"\r\n', f'"{LINK}"{delimiter}{delimiter}https://shop.example/\r\n'
    )
    assert rows_of(source)[0].final_url == "https://shop.example/"


def test_a_sep_line_names_the_delimiter_and_stays(tmp_path: Path) -> None:
    source = file(tmp_path, f"sep=;\nrow_id;tracking_url;conclusion\nr_1;{LINK};\n")

    source.write([change()])

    assert source.path.read_text().startswith("sep=;\nrow_id;tracking_url;conclusion;")
    assert f"r_1;{LINK};valid" in source.path.read_text()


def test_a_spoilt_row_is_named_and_the_others_work(tmp_path: Path) -> None:
    content = (
        f"row_id,tracking_url,offer_name\nr_1,{LINK},Größe\nr_2,{LINK},".encode()
        + b"\xff\xfe\nr_3,x\xe9"
    )
    source = file(tmp_path, content + f",schön\nr_4,{LINK},süß\n".encode())

    faults = [bool(each.fault) for each in rows_of(source)]
    source.write([change("r_4")])

    assert faults == [False, True, True, False]
    assert source.path.read_bytes().startswith(
        content.replace(b"offer_name", b"offer_name" + TAIL.encode())
    )


@pytest.mark.parametrize(
    ("notes", "faults", "read"),
    [
        pytest.param(
            ["größe".encode(), b"\xe9\xe8\xe4\xf6"],
            [False, True],
            "größe",
            id="one row of each: not garbled",
        ),
        pytest.param([b"plain", b"\xff\xfe\xff"], [False, True], "plain", id="no text anywhere"),
        pytest.param([b"gr\xf6\xdfe", b"caf\xe9"], [False, False], "größe", id="Windows-1252"),
        pytest.param(
            [b"gr\xf6\xdfe", b"caf\xe9", b"\x81"],
            [False, False, True],
            "größe",
            id="Windows-1252 with a byte that it lacks",
        ),
        pytest.param(
            ["größe".encode(), b"a\xf0\x9f\x98"], [False, True], "größe", id="a character cut off"
        ),
    ],
)
def test_bytes_are_read_as_the_text_they_are_and_never_garbled(
    tmp_path: Path, notes: list[bytes], faults: list[bool], read: str
) -> None:
    lines = [b"r_%d,%s,%s\n" % (number, LINK.encode(), note) for number, note in enumerate(notes)]
    source = file(tmp_path, b"row_id,tracking_url,offer_name\n" + b"".join(lines))

    rows = rows_of(source)
    source.write([change("r_0")])

    assert [bool(row.fault) for row in rows] == faults
    assert rows[0].offer_name == read
    assert source.path.read_bytes().endswith(b"".join(lines[1:]))


def test_a_character_the_encoding_lacks_becomes_a_question_mark(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url,offer_name\nr_1,{LINK},Größe\n".encode("cp1252"))

    source.write([change(error="no 中 here")])

    assert b"no ? here" in source.path.read_bytes()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"", EmptyFile, id="empty"),
        pytest.param(b"\xef\xbb\xbf", EmptyFile, id="a mark and nothing else"),
        pytest.param(b"\n\r\n \n", NoHeader, id="blank lines only"),
        pytest.param(b"id,Link\n1,https://a.example\n", MissingColumn, id="no column with links"),
        pytest.param(
            b"tracking_url,Tracking_URL \nx,y\n", DuplicateColumn, id="two columns with links"
        ),
        pytest.param(b'tracking_url\n"https://a.example\n', UnclosedQuote, id="an unclosed quote"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_stays(
    tmp_path: Path, content: bytes, error: type[ConnectorError]
) -> None:
    source = file(tmp_path, content)

    with pytest.raises(error):
        list(source.read())
    with pytest.raises(error):
        source.write([change()])
    assert source.path.read_bytes() == content


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFound):
        CsvFile(tmp_path / "none.csv", source_id="src_a").check()
    with pytest.raises(NotAFile):
        CsvFile(tmp_path, source_id="src_a").check()


def test_a_missing_column_names_what_was_found_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingColumn) as refusal:
        file(tmp_path, "Id,Link\n1,2\n").check()

    assert refusal.value.headings == ("Id", "Link")
    assert "--column tracking_url=HEADING" in str(refusal.value)


@pytest.mark.parametrize("heading", ["Link", " LINK ", "link"])
def test_headings_are_mapped_without_regard_to_case_and_blanks(
    tmp_path: Path, heading: str
) -> None:
    source = file(tmp_path, f"row_id,{heading}\nr_1,{LINK}\n", columns={"tracking_url": "Link"})

    assert rows_of(source)[0].tracking_url == LINK


def test_tool_columns_are_filled_where_they_exist_and_never_made(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url,hop_count\nr_1,{LINK},\n")

    source.write([change(hop_count="3", http_status="200")])

    assert f"r_1,{LINK},3" in source.path.read_text()
    assert "http_status" not in source.path.read_text()


def test_our_text_cannot_run_as_a_formula_or_break_the_row(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")

    source.write([change(error='=HYPERLINK("x")', skip_reason="a\r\nb\0c,d")])

    (row,) = list(csv.DictReader(io.StringIO(source.path.read_text(), newline="")))
    assert row["error"] == '\'=HYPERLINK("x")'
    assert row["skip_reason"] == "a  b c,d"


def test_writing_what_stands_there_does_not_touch_the_file(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    source.write([change(ready_for_ads=True)])
    before = source.path.stat()

    source.write([change(ready_for_ads=True)])

    assert source.path.stat() == before
    assert "TRUE" in source.path.read_text()


def test_an_edit_between_reading_and_writing_is_kept_and_all_is_decided_anew(
    tmp_path: Path,
) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    looks = []

    class Edit:
        def __init__(self) -> None:
            looks.append(0)

        def survey(self, row: Row) -> None:
            looks[-1] += 1

        def decide(self, row: Row) -> Cells | None:
            if len(looks) == 1:
                with source.path.open("a") as saved:
                    saved.write(f"r_2,{LINK}\n")
            return {"conclusion": f"look {len(looks)}"}

    source.revise(Edit)

    assert [row.conclusion for row in rows_of(source)] == ["look 2", "look 2"]
    assert looks == [1, 2]


def test_a_file_that_never_rests_is_left_alone(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")

    class Edit:
        def survey(self, row: Row) -> None:
            pass

        def decide(self, row: Row) -> Cells | None:
            with source.path.open("a") as saved:
                saved.write("\n")
            return {"conclusion": "valid"}

    with pytest.raises(ChangedUnderneath):
        source.revise(Edit)
    assert "valid" not in source.path.read_text()


def test_nothing_of_ours_is_left_behind_and_a_dead_writers_leftovers_go(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    (tmp_path / ".links.csv.99999.0123abcd.tmp").write_text("half a file")
    others = [".links.csv.old.99999.0123abcd.tmp", ".links.csv.notes.tmp"]
    for name in others:
        (tmp_path / name).write_text("somebody else's")

    source.write([change()])

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".links.csv.lock", "links.csv", *others}


def test_a_heading_the_encoding_cannot_hold_is_refused_not_added_again_and_again(
    tmp_path: Path,
) -> None:
    content = f"row_id,tracking_url,offer_name\nr_1,{LINK},Größe\n".encode("cp1252")
    source = file(tmp_path, content, columns={"final_url": "最終"})

    with pytest.raises(MissingColumn):
        source.write([change()])

    assert source.path.read_bytes() == content


def test_a_quote_that_only_another_delimiter_would_open_does_no_harm(tmp_path: Path) -> None:
    rows = "".join(f"r_{number},{LINK},{'x' * 1000}\n" for number in range(1, 9000))
    source = file(tmp_path, f'row_id,tracking_url,note;"wide\n{rows}')

    assert source.write([change()])[0].writeback is Writeback.WRITTEN


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    source.path.chmod(0o640)
    (tmp_path / "alias.csv").symlink_to(source.path)

    CsvFile(tmp_path / "alias.csv", source_id="src_a").write([change()])

    assert (tmp_path / "alias.csv").is_symlink()
    assert stat.S_IMODE(source.path.stat().st_mode) == 0o640
    assert "valid" in source.path.read_text()


def test_another_writer_is_waited_for_and_then_named(tmp_path: Path) -> None:
    seconds = iter(range(1000))
    source = file(
        tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n", clock=lambda: float(next(seconds))
    )

    with try_lock(tmp_path / ".links.csv.lock"), pytest.raises(ConnectorError) as refusal:
        source.write([change()])

    assert refusal.value.code == "locked"
    assert not refusal.value.permanent


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    tmp_path.chmod(0o500)

    with pytest.raises(ConnectorError) as refusal:
        source.write([change()])

    assert refusal.value.code == "not_writable"


@pytest.mark.parametrize(
    ("heading", "mapping"),
    [
        pytest.param("final_url", {"tracking_url": "final_url"}, id="the heading of another"),
        pytest.param("Link", {"tracking_url": "Link", "final_url": "link"}, id="mapped twice"),
    ],
)
def test_one_heading_is_never_two_of_our_columns(
    tmp_path: Path, heading: str, mapping: dict[str, str]
) -> None:
    source = file(tmp_path, f"row_id,{heading}\nr_1,{LINK}\n", columns=mapping)

    with pytest.raises(ColumnMeansTwo):
        source.write([change(final_url="https://elsewhere.example/")])
    assert LINK in source.path.read_text()


def test_a_heading_is_the_same_composed_or_not(tmp_path: Path) -> None:
    typed, kept = unicodedata.normalize("NFC", "Prüflink"), unicodedata.normalize("NFD", "PRÜFLINK")
    source = file(tmp_path, f"row_id,{kept}\nr_1,{LINK}\n", columns={"tracking_url": typed})

    assert rows_of(source)[0].tracking_url == LINK


def test_two_headings_that_are_not_ours_may_be_the_same(tmp_path: Path) -> None:
    source = file(tmp_path, f"note,row_id,tracking_url,note,\na,r_1,{LINK},b,\n")

    source.write([change()])

    assert source.path.read_text().startswith("note,row_id,tracking_url,note," + TAIL)


def test_a_header_without_rows_is_a_file_without_rows(tmp_path: Path) -> None:
    source = file(tmp_path, "row_id,tracking_url")

    assert rows_of(source) == []
    assert source.assign_ids() == 0
    assert source.path.read_text() == "row_id,tracking_url"


def test_a_file_without_ids_gets_a_column_for_them(tmp_path: Path) -> None:
    source = file(tmp_path, f"tracking_url,note\n{LINK},a\n\n{LINK},b")

    assert source.assign_ids() == 2

    first, second = rows_of(source)
    assert first.row_id != second.row_id
    assert source.path.read_text() == (
        f"tracking_url,note,row_id{TAIL}\n{LINK},a,{first.row_id}\n\n{LINK},b,{second.row_id}"
    )
    assert source.assign_ids() == 0


def test_a_row_without_an_id_is_never_the_row_of_a_change(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\n,{LINK}\n")

    (answer,) = source.write([change("")])

    assert answer.writeback is Writeback.MISSING


def test_a_formula_that_stands_in_our_cell_already_is_neutralised(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url,error\nr_1,{LINK},=1+1\n")

    source.write([change(error="=1+1")])

    assert f"r_1,{LINK},'=1+1" in source.path.read_text()


def test_what_the_encoding_lacks_is_written_once(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url,offer_name\nr_1,{LINK},Größe\n".encode("cp1252"))
    source.write([change(error="no 中 here")])
    before = source.path.stat()

    source.write([change(error="no 中 here")])

    assert source.path.stat() == before


def test_a_reader_sees_one_version_when_another_takes_its_place(tmp_path: Path) -> None:
    # More than a reader's first batch, and a first column that moves everything.
    source = file(tmp_path, "row_id,tracking_url\n" + f"r_1,{LINK}\n" * 2500)
    reading = source.read()
    rows = next(reading)
    other = tmp_path / "other.csv"
    other.write_text("note,row_id,tracking_url\n" + f"a longer note,r_9,{LINK}\n" * 5000)
    other.replace(source.path)

    rows += [row for batch in reading for row in batch]

    assert [row.row_id for row in rows] == ["r_1"] * 2500


def test_nothing_is_called_missing_from_a_file_that_was_half_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = f"row_id,tracking_url,conclusion\nr_1,{LINK},\n"
    source = file(tmp_path, "row_id,tracking_url,conclusion\n")
    settle = rows.Targets.settle

    def settle_and_save(targets: rows.Targets) -> object:
        if source.path.read_text() != whole:
            source.path.write_text(whole)
        return settle(targets)

    monkeypatch.setattr(rows.Targets, "settle", settle_and_save)

    (answer,) = source.write([change()])

    assert answer.writeback is Writeback.WRITTEN
    assert rows_of(source)[0].conclusion == "valid"


@pytest.mark.parametrize(
    "content",
    [None, b"", b'row_id,tracking_url\nr_1,"half a ce'],
    ids=["gone", "empty", "half"],
)
def test_a_file_that_is_just_being_saved_is_waited_for(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "links.csv"
    if content is not None:
        path.write_bytes(content)

    def saved(seconds: float) -> None:
        path.write_text(f"row_id,tracking_url\nr_1,{LINK}\n")

    source = CsvFile(path, source_id="src_a", sleep=saved)

    assert source.write([change()])[0].writeback is Writeback.WRITTEN


def test_a_save_that_leaves_no_trace_in_the_times_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file(tmp_path, f"row_id,tracking_url,note\nr_1,{LINK},a\n")
    fsync, saves = os.fsync, []

    def save_then_sync(descriptor: int) -> None:
        if not saves:
            saves.append(source.path.stat())
            with source.path.open("r+") as same_inode:
                same_inode.write(source.path.read_text().replace(",a\n", ",b\n"))
            os.utime(source.path, ns=(saves[0].st_atime_ns, saves[0].st_mtime_ns))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", save_then_sync)

    source.write([change()])

    assert f"r_1,{LINK},b,,,valid" in source.path.read_text()


def test_an_edit_whose_time_was_set_back_is_seen_between_the_readings(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url,note\nr_1,{LINK},a\n")
    os.utime(source.path, (1_700_000_000, 1_700_000_000))
    surveyed = []

    class Edit:
        def survey(self, row: Row) -> None:
            surveyed.append(row)
            with source.path.open("r+") as same_inode:
                same_inode.write(source.path.read_text().replace(",a\n", ",b\n"))
            os.utime(source.path, (1_700_000_000, 1_700_000_000))

        def decide(self, row: Row) -> Cells:
            return {"conclusion": f"look {len(surveyed)}"}

    source.revise(Edit)

    assert f"r_1,{LINK},b,,,look 2" in source.path.read_text()


def test_a_file_in_use_on_windows_is_tried_again_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    replace, refusals = Path.replace, [2]

    def refuse(path: Path, target: Path) -> Path:
        if refusals[0]:
            refusals[0] -= 1
            raise PermissionError(errno.EACCES, "in use")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    source.write([change()])
    refusals[0] = 1000
    with pytest.raises(NotWritable) as refusal:
        source.write([change(conclusion="timeout")])

    assert rows_of(source)[0].conclusion == "valid"
    assert "open in another program" in str(refusal.value)
    assert not refusal.value.permanent
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_the_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    before = source.path.read_bytes()

    def no_room(descriptor: int) -> None:
        raise OSError(why, "no space left on device")

    monkeypatch.setattr(os, "fsync", no_room)

    with pytest.raises(DiskFull):
        source.write([change()])
    assert source.path.read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_only_its_owner_may_read_is_never_shown_to_others(tmp_path: Path) -> None:
    source = file(tmp_path, f"row_id,tracking_url\nr_1,{LINK}\n")
    source.path.chmod(0o600)
    modes = []

    class Look:
        def survey(self, row: Row) -> None:
            pass

        def decide(self, row: Row) -> Cells:
            modes.extend(path.stat().st_mode & 0o077 for path in tmp_path.glob(".*.tmp"))
            return {"conclusion": "valid"}

    source.revise(Look)

    assert modes == [0]
    assert stat.S_IMODE(source.path.stat().st_mode) == 0o600


@pytest.mark.processes
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    rows = "".join(f"r_{number},{LINK}\n" for number in range(50))
    source = file(tmp_path, "row_id,tracking_url\n" + rows)
    before = source.path.read_bytes()
    script = """if True:
        import os, signal, sys
        from pathlib import Path
        from connector.csv_file import CsvFile
        class Die:
            def survey(self, row): pass
            def decide(self, row):
                if row.row_id == "r_40": os.kill(os.getpid(), signal.SIGKILL)
                return {"conclusion": "valid"}
        CsvFile(Path(sys.argv[1]), source_id="src_a").revise(Die)
    """

    done = subprocess.run([sys.executable, "-c", script, str(source.path)], check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    assert source.path.read_bytes() == before
    assert list(tmp_path.glob(".*.tmp"))
    assert source.write([change()])[0].writeback is Writeback.WRITTEN
    assert not list(tmp_path.glob(".*.tmp"))


def test_leftovers_are_found_whatever_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "links [1]*.csv"
    path.write_text(f"row_id,tracking_url\nr_1,{LINK}\n")
    leftover = tmp_path / f".{path.name}.99.0123abcd.tmp"
    stranger = tmp_path / ".links 1.csv.99.0123abcd.tmp"
    leftover.touch()
    stranger.touch()

    CsvFile(path, source_id="src_a").write([change()])

    assert not leftover.exists()
    assert stranger.exists()


@pytest.mark.parametrize("folder", ["", "no such folder"], ids=["no file", "no folder"])
def test_looking_for_a_file_that_is_gone_makes_nothing(tmp_path: Path, folder: str) -> None:
    source = CsvFile(tmp_path / folder / "links.csv", source_id="src_a", sleep=lambda seconds: None)

    with pytest.raises(FileNotFound):
        source.write([change()])
    assert list(tmp_path.iterdir()) == []


CELL = st.text(st.sampled_from('ab ,;"\n\r\t|=\0é\ufeff'), max_size=6)
RAW = st.one_of(
    CELL.map(lambda text: '"' + text.replace('"', '""') + '"'),
    CELL.map(lambda text: text.translate({ord(c): None for c in '",\n\r'})),
    CELL.map(lambda text: "x" + text.translate({ord(c): None for c in ",\n\r"})),
)
LINE = st.tuples(st.lists(RAW, max_size=4), st.sampled_from(["\n", "\r\n", "\r"]))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(LINE, max_size=8), wanted=st.sets(st.integers(0, 7)), block=st.integers(1, 40)
)
def test_whatever_the_file_every_other_byte_stays(
    tmp_path: Path, lines: list[tuple[list[str], str]], wanted: set[int], block: int
) -> None:
    head = "row_id,tracking_url," + ",".join(RESULT_COLUMNS)
    kept = [
        f"r_{number},{LINK},s,f,c,e,k,l,q," + ",".join(cells) + end
        for number, (cells, end) in enumerate(lines)
    ]
    source = file(tmp_path, head + "\n" + "".join(kept))

    source.write([change(f"r_{number}", conclusion="valid") for number in wanted])

    expected = [
        line.replace(",s,f,c,", ",s,f,valid,", 1) if number in wanted else line
        for number, line in enumerate(kept)
    ]
    assert source.path.read_bytes().decode() == head + "\n" + "".join(expected)
    text = source.path.read_bytes().decode()
    pieces = [text[start : start + block] for start in range(0, len(text), block)]
    assert "".join(record.text(",") for record in records(pieces, ",")) == text


def test_a_line_of_nothing_but_delimiters_is_no_row_and_one_with_a_note_is(tmp_path: Path) -> None:
    source = file(tmp_path, f'tracking_url,note\n,\n"",""\n,a note\n{LINK},\n')

    assert [row.where for row in rows_of(source)] == ["row 4", "row 5"]
