"""A1 notation both ways, and values that come back as they went in."""

import string
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.emulators.sheets import a1, values
from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.gridrange import (
    GridRange,
    deletion,
    insertion,
    moved_index,
    movement,
)
from tests.emulators.sheets.ranges import resolve
from tests.emulators.sheets.rendering import Rendering
from tests.emulators.sheets.sheet import Sheet

OWNER = Caller("owner@example.com")
columns = st.integers(0, 18_277)
rows = st.integers(0, 999_999)
titles = st.text(string.printable + "äé🌵'!", min_size=1, max_size=20)
spans = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda s: (s[0], s[0] + s[1]))


@given(columns)
def test_a_column_has_one_name(column: int):
    assert a1.column_number(a1.column_name(column)) == column


@example("it's", 0, 0, 0, 0)
@example("A1", 2, 0, 1, 0)
@given(titles, rows, rows, columns, columns)
def test_a_range_is_read_as_it_was_spelled(title: str, r0: int, r1: int, c0: int, c1: int):
    document = Spreadsheet("x", "t")
    document.sheets = [Sheet(0, "First"), Sheet(5, title)]
    if title.casefold() == "first":
        return
    top, bottom = sorted((r0, r1))
    left, right = sorted((c0, c1))
    whole = GridRange(5, top, bottom + 1, left, right + 1)
    assert resolve(document, document.range_name(whole)) == whole
    # Corners may come in any order, with dollars, and as R1C1.
    quoted = a1.quoted(title)
    turned = f"{quoted}!{a1.cell_name(bottom, left)}:${a1.column_name(right)}${top + 1}"
    assert resolve(document, turned) == whole
    r1c1 = f"{quoted}!R{top + 1}C{left + 1}:R{bottom + 1}C{right + 1}"
    assert resolve(document, r1c1) == whole
    assert resolve(document, quoted) == GridRange(5)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 25), st.integers(0, 25))
def test_open_ends_stay_open(r0: int, r1: int, c0: int, c1: int):
    left, right = sorted((c0, c1))
    name, other = a1.column_name(left), a1.column_name(right)
    assert a1.parse_cells(f"{name}:{other}")[1:] == (None, None, left, right + 1)
    assert a1.parse_cells(f"{min(r0, r1)}:{max(r0, r1)}")[1:] == (
        min(r0, r1) - 1,
        max(r0, r1),
        None,
        None,
    )
    assert a1.parse_cells(f"{name}{r0}:{other}")[1:] == (r0 - 1, None, left, right + 1)


json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**14), 10**14),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda f: f + 0.0),
    st.text(max_size=12),
)


@settings(max_examples=60)
@given(st.lists(st.lists(json_values, max_size=5), max_size=6))
def test_raw_values_come_back_as_they_went_in(written: list[list[Any]]):
    document = Spreadsheet("x", "t")
    values.update(document, "B2", {"values": written}, "RAW", None, OWNER)
    read = values.get(document, "B2:G", Rendering("UNFORMATTED_VALUE")).get("values", [])

    def at(block: list[list[Any]], row: int, column: int) -> Any:
        value = block[row][column] if row < len(block) and column < len(block[row]) else ""
        return "" if value is None else value

    for row in range(6):
        for column in range(5):
            assert at(read, row, column) == at(written, row, column)
    assert all(line == [] or line[-1] != "" for line in read)
    assert not read or read[-1] != []


@given(spans, st.integers(0, 60), st.integers(1, 5))
def test_a_range_that_an_insert_pushes_is_back_after_the_delete(
    span: tuple[int, int], at: int, count: int
):
    pushed = insertion(at, count)(*span)
    assert pushed is not None
    assert deletion(at, at + count)(*pushed) == span


@given(spans, spans, st.integers(0, 60))
def test_a_range_within_what_is_moved_goes_along(
    moved: tuple[int, int], inner: tuple[int, int], to: int
):
    start, end = moved
    if start < to < end:
        return
    s, e = max(start, inner[0]), min(end, inner[1])
    if s >= e:
        return
    after = movement(start, end, to)(s, e)
    assert after == (
        moved_index(s, start, end, to),
        moved_index(e - 1, start, end, to) + 1,
    )
