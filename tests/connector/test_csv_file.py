"""CSV files: what was read comes back byte for byte, but for our cells."""

import csv
import io
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.csv_file import CsvFile
from connector.errors import (
    ChangedUnderneath,
    ConnectorError,
    DuplicateColumn,
    EmptyFile,
    FileNotFound,
    MissingColumn,
    NoHeader,
    NotAFile,
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
    (tmp_path / ".links.csv.99999.abcd.tmp").write_text("half a file")

    source.write([change()])

    assert sorted(path.name for path in tmp_path.iterdir()) == [".links.csv.lock", "links.csv"]


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
