"""Laws of structural changes, over documents and changes that nobody thought of."""

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.emulators.book import Book, area, span
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.gridrange import plain
from tests.emulators.sheets.requests_formulas import moved, rewrite

law = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HEIGHT, WIDTH = 12, 6

numbers = st.integers(-99, 99) | st.floats(-9, 9, width=16, allow_nan=False)
texts = st.text("abcXYZ 019-", min_size=1, max_size=5).filter(str.strip)
cells = st.none() | numbers | texts
tables = st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=HEIGHT)


def everything(document: Spreadsheet) -> Any:
    """All there is in a document, to compare."""
    return [
        (
            document.sheet_properties(sheet),
            sheet.grid.rows,
            sheet.grid.row_properties,
            sheet.grid.column_properties,
            {name: plain(part) for name, part in sheet.parts.items() if part},
        )
        for sheet in document.sheets
    ] + [plain(document.named_ranges), document.developer_metadata]


@law
@given(rows=tables, descending=st.booleans())
def test_a_sorted_range_reads_as_the_sorted_reading(
    sheets_api: Emulator, rows: list[list[Any]], descending: bool
):
    book = Book(sheets_api)
    for r, row in enumerate(rows):
        book.document.sheets[0].grid.put_row(r, 0, [None if v is None else Cell(v) for v in row])

    def read() -> list[list[Any]]:
        found = book.values(f"Sheet1!A1:D{HEIGHT}", "UNFORMATTED_VALUE")
        return [row + [""] * (4 - len(row)) for row in found + [[]] * (HEIGHT - len(found))]

    before = read()
    order = "DESCENDING" if descending else "ASCENDING"
    spec = [{"dimensionIndex": 0, "sortOrder": order}]
    book.do({"sortRange": {"range": area(0, HEIGHT, 0, 4), "sortSpecs": spec}})
    after = read()
    assert sorted(map(repr, after)) == sorted(map(repr, before))  # rows stay whole, none is lost
    keys = [row[0] for row in after]
    full = [key for key in keys if key != ""]
    assert keys == full + [""] * (HEIGHT - len(full))
    amounts = [key for key in full if not isinstance(key, str)]
    words = [key.casefold() for key in full if isinstance(key, str)]
    assert full[: len(amounts)] == amounts or descending
    assert amounts == sorted(amounts, reverse=descending)
    letters = [word for word in words if word.isalpha()]
    assert letters == sorted(letters, reverse=descending)


@st.composite
def books(draw: st.DrawFn) -> list[Any]:
    """Requests that make a document with a bit of everything on its first rows and columns."""
    made: list[Any] = [{"addSheet": {"properties": {"sheetId": 1, "title": "Other tab"}}}]
    for _ in range(draw(st.integers(0, 4))):
        r0, c0 = draw(st.integers(0, HEIGHT - 3)), draw(st.integers(0, WIDTH - 3))
        where = area(r0, r0 + draw(st.integers(1, 3)), c0, c0 + draw(st.integers(1, 3)))
        row = {"dimensionRange": span("ROWS", r0, r0 + 1)}
        kinds = {
            "named": {"addNamedRange": {"namedRange": {"name": f"N_{len(made)}", "range": where}}},
            "protected": {"addProtectedRange": {"protectedRange": {"range": where}}},
            "rule": {"addConditionalFormatRule": {"rule": {
                "ranges": [where], "booleanRule": {"condition": {"type": "BLANK"}}}}},
            "metadata": {"createDeveloperMetadata": {"developerMetadata": {
                "metadataKey": "k", "visibility": "DOCUMENT", "location": row}}},
            "filter": {"setBasicFilter": {"filter": {"range": where}}},
            "group": {"addDimensionGroup": {"range": span("ROWS", r0, r0 + 2)}},
            "size": {"updateDimensionProperties": {"range": span("ROWS", r0, r0 + 1),
                     "properties": {"pixelSize": 50}, "fields": "pixelSize"}},
        }  # fmt: skip
        made.append(kinds[draw(st.sampled_from(sorted(kinds)))])
    return made


@st.composite
def formulas(draw: st.DrawFn) -> str:
    def place() -> str:
        fixed = st.sampled_from(["", "$"])
        column = draw(st.sampled_from("ABCDEF"))
        return f"{draw(fixed)}{column}{draw(fixed)}{draw(st.integers(1, HEIGHT))}"

    title = draw(st.sampled_from(["", "Sheet1!", "'Other tab'!"]))
    return f'={title}{place()}+SUM({title}A1:F{HEIGHT})&"A1"'


def made(api: Emulator, requests: list[Any], texts: list[str]) -> Book:
    book = Book(api, [[f"{r}:{c}" for c in range(WIDTH)] for r in range(HEIGHT)])
    book.do(*requests)
    grid = book.document.sheets[0].grid
    grid.put(3, 2, Cell("x", note="n", format={"textFormat": {"bold": True}}))
    for i, text in enumerate(texts):
        book.formula(f"H{i + 1}", text)
        book.formula(f"A{i + 1}", text, sheet_id=1)
    return book


@law
@given(
    requests=books(),
    texts=st.lists(formulas(), max_size=3),
    dimension=st.sampled_from(["ROWS", "COLUMNS"]),
    start=st.integers(0, WIDTH),
    count=st.integers(1, 4),
    before=st.booleans(),
)
def test_what_is_put_in_and_taken_out_again_was_never_there(
    sheets_api: Emulator,
    requests: list[Any],
    texts: list[str],
    dimension: str,
    start: int,
    count: int,
    before: bool,
):
    assume(start or not before)
    book = made(sheets_api, requests, texts)
    there = everything(book.document)
    new = span(dimension, start, start + count)
    book.do({"insertDimension": {"range": new, "inheritFromBefore": before}})
    assert everything(book.document) != there
    book.do({"deleteDimension": {"range": new}})
    assert everything(book.document) == there


@law
@given(
    requests=books(),
    texts=st.lists(formulas(), max_size=2),
    start=st.integers(0, HEIGHT - 1),
    count=st.integers(1, 3),
    to=st.integers(0, HEIGHT + 3),
)
def test_a_moved_row_keeps_all_it_has(
    sheets_api: Emulator, requests: list[Any], texts: list[str], start: int, count: int, to: int
):
    book = made(sheets_api, requests, texts)
    tag = {"metadataKey": "ours", "visibility": "DOCUMENT"}
    tag["location"] = {"dimensionRange": span("ROWS", start, start + 1)}  # type: ignore[assignment]
    book.do({"createDeveloperMetadata": {"developerMetadata": tag}})
    grid = book.document.sheets[0].grid
    grid.put(start, 1, Cell("mine", note="my note", format={"horizontalAlignment": "CENTER"}))
    grid.row_properties[start] = {"pixelSize": 77}
    row = grid.row(start)[:WIDTH]
    others = sorted(repr(r[:WIDTH]) for r in grid.rows)
    book.do(
        {"moveDimension": {"source": span("ROWS", start, start + count), "destinationIndex": to}}
    )
    grid = book.document.sheets[0].grid
    at = next(i for i, p in grid.row_properties.items() if p == {"pixelSize": 77})
    assert grid.row(at)[:WIDTH] == row
    (found,) = [
        data["range"].r0
        for data in book.document.sheets[0].parts["developerMetadata"]
        if data["metadataKey"] == "ours"
    ]
    assert found == at
    filled = [r for r in grid.rows if r]
    assert sorted(repr(r[:WIDTH]) for r in filled) == others
    if not start <= to <= start + count:
        assert at == (to if to < start else to - count)


@law
@given(requests=books(), texts=st.lists(formulas(), max_size=2))
def test_a_batch_that_fails_at_its_end_leaves_nothing_behind(
    sheets_api: Emulator, requests: list[Any], texts: list[str]
):
    book = made(
        sheets_api, [{"addSheet": {"properties": {"sheetId": 1, "title": "Other tab"}}}], texts
    )
    there = everything(book.document)
    book.refused(*requests[1:], {"insertDimension": {"range": span("ROWS", 0, 2)}},
                 {"deleteSheet": {"sheetId": 404}})  # fmt: skip
    assert everything(book.document) == there


@law
@given(text=formulas(), rows=st.integers(0, 9), columns=st.integers(0, 9))
def test_a_copied_formula_comes_back_the_same(text: str, rows: int, columns: int):
    assert moved(moved(text, rows, columns), -rows, -columns) == text


@law
@given(text=st.text("=A1$:!'\"B2(),+ #REF", max_size=20))
def test_a_formula_whose_references_stay_is_not_touched(text: str):
    assert rewrite(text, lambda reference: reference) == text
