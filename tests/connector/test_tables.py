"""Records, formulas and frames: pure, so every oddness is a row in a table."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.tables.detection import split_sep
from connector.tables.formulas import neutralise, restore
from connector.tables.frames import frames
from connector.tables.tokenizer import Record, Unclosed, records, value, written

CASES = Path(__file__).parents[1] / "cases" / "csv_injection.csv"


@pytest.mark.parametrize(
    "case",
    list(csv.DictReader(CASES.read_text("utf-8").splitlines(keepends=True))),
    ids=lambda case: f"{case['id']} {case['why']}",
)
def test_a_cell_is_text_and_what_is_harmless_stays(case: dict[str, str]) -> None:
    cell = json.loads(case["cell_json"])

    made = neutralise(cell)

    assert made == ("'" + cell if case["expected"] == "neutralise" else cell)
    assert restore(made) == cell


@pytest.mark.parametrize(
    "text", ["'=1", "''=1", "'plain", "'", "", "=", "\u200b\u200b=1", "a\n\n  =1"]
)
def test_neutralising_can_be_undone(text: str) -> None:
    assert restore(neutralise(text)) == text


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        pytest.param("a,b\n", [["a", "b"]], id="plain"),
        pytest.param("a,\n,b\n", [["a", ""], ["", "b"]], id="blanks"),
        pytest.param('"a,b",c\n', [["a,b", "c"]], id="a delimiter in quotes"),
        pytest.param('"a""b"\n', [['a"b']], id="a doubled quote"),
        pytest.param('"a"b,c\n', [["ab", "c"]], id="text behind the closing quote"),
        pytest.param(
            '5" screen,7" tab\n', [['5" screen', '7" tab']], id="a quote that opens nothing"
        ),
        pytest.param(' "a",b\n', [[' "a"', "b"]], id="a quote behind a blank opens nothing"),
        pytest.param('"a\r\nb"\r\nc\r', [["a\r\nb"], ["c"]], id="line ends in and out of quotes"),
        pytest.param("a\n\nb", [["a"], [""], ["b"]], id="a blank line and no end"),
        pytest.param('""\n', [[""]], id="an empty quoted cell"),
        pytest.param(
            "a\x0bb\x85c\u2028d\n", [["a\x0bb\x85c\u2028d"]], id="what only Python calls a line end"
        ),
    ],
)
def test_text_is_cut_as_spreadsheets_cut_it(text: str, cells: list[list[str]]) -> None:
    for size in (1, 2, 3, 1000):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]

        found = list(records(pieces, ","))

        assert [[value(cell) for cell in record.cells] for record in found] == cells
        assert "".join(record.text(",") for record in found) == text


@pytest.mark.parametrize(
    ("text", "sep", "delimiter"),
    [
        pytest.param("sep=;\nid;x\n", "sep=;\n", ";", id="as Excel writes it"),
        pytest.param("SEP=\t\r\nid\n", "SEP=\t\r\n", "\t", id="a tab, in capitals"),
        pytest.param("sep=\r\nid\n", "", "", id="no delimiter named"),
        pytest.param("sep=,id\n", "", "", id="a heading that begins like it"),
    ],
)
def test_a_sep_line_is_recognised(text: str, sep: str, delimiter: str) -> None:
    assert split_sep(text) == (sep, delimiter)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.text(st.sampled_from('a",\n\r ;é'), max_size=5), min_size=2, max_size=4),
        max_size=5,
    ),
    size=st.integers(1, 12),
)
def test_what_the_standard_library_writes_is_read_alike_in_pieces_of_any_size(
    rows: list[list[str]], size: int
) -> None:
    kept = io.StringIO(newline="")
    csv.writer(kept).writerows(rows)
    text = kept.getvalue()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    found = [[value(cell) for cell in record.cells] for record in records(pieces, ",")]

    assert found == rows


@given(text=st.text(st.sampled_from('a",\n\r'), max_size=30), size=st.integers(1, 12))
def test_whatever_the_text_pieces_do_not_matter(text: str, size: int) -> None:
    def cut(pieces: list[str]) -> list[tuple[list[str], str]] | int:
        try:
            return [(record.cells, record.end) for record in records(pieces, ",")]
        except Unclosed as error:
            return error.record

    assert cut([text[start : start + size] for start in range(0, len(text), size)]) == cut([text])


def test_a_quote_that_never_closes_is_found_with_its_row() -> None:
    with pytest.raises(Unclosed) as found:
        list(records(['a,b\nc,"d\ne,f\n'], ","))

    assert found.value.record == 2


@pytest.mark.parametrize("text", ["", "plain", "a,b", 'say "hi"', "two\nlines", " edge ", "'"])
def test_what_is_written_says_what_was_meant(text: str) -> None:
    (record,) = records([written(text, ",") + ",x\n"], ",")

    assert value(record.cells[0]) == text


def test_frames_hold_text_only_and_nothing_is_missing() -> None:
    rows = list(records(["00123,NA\n1e5,\n\nnull,x,more\n"], ","))

    (first, second) = frames(rows, ["id", "id"], size=2)

    assert first.to_numpy().tolist() == [["00123", "NA"], ["1e5", ""]]
    assert list(first.columns) == ["id", "id.1"]
    assert second.to_numpy().tolist() == [["null", "x", "more"]]
    assert not first.isna().any().any()


def test_frames_hold_what_is_no_text_as_a_sign_for_it() -> None:
    (frame,) = frames([Record(["a\udcff", "\ud800b"], "\n")], ["x", "y"])

    assert frame.to_numpy().tolist() == [["a\ufffd", "\ufffdb"]]


def test_every_column_of_a_frame_has_a_name_of_its_own() -> None:
    rows = list(records(["1,2,3,4,5\n"], ","))

    (frame,) = frames(rows, ["id", "id.1", "id", "column 5"])

    assert len(set(frame.columns)) == 5
