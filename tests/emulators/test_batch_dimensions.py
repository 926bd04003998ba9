"""Rows and columns: what a structural change does to all that lies on them."""

from typing import Any

import pytest

from tests.emulators.book import Book, area, span
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.gridrange import GridRange

ROWS = [["h"], ["a"], ["b"], ["c"], ["d"]]


def insert(dimension: str, start: int, end: int, *, before: bool = False) -> dict[str, Any]:
    return {"insertDimension": {"range": span(dimension, start, end), "inheritFromBefore": before}}


def delete(dimension: str, start: int, end: int) -> dict[str, Any]:
    return {"deleteDimension": {"range": span(dimension, start, end)}}


def move(dimension: str, start: int, end: int, to: int) -> dict[str, Any]:
    return {"moveDimension": {"source": span(dimension, start, end), "destinationIndex": to}}


def size(book: Book) -> tuple[int, int]:
    grid = book.document.sheets[0].grid
    return grid.row_count, grid.column_count


def test_rows_are_put_in_before_the_one_at_that_index(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    assert book.do(insert("ROWS", 1, 3)) == [{}]
    assert book.values() == [["h"], [], [], ["a"], ["b"], ["c"], ["d"]]
    assert size(book) == (1002, 26)


def test_columns_are_put_in_before_the_one_at_that_index(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"], ["c", "d"]])
    book.do(insert("COLUMNS", 1, 3))
    assert book.values() == [["a", "", "", "b"], ["c", "", "", "d"]]
    assert size(book) == (1000, 28)


@pytest.mark.parametrize(("before", "inherited"), [(True, "one"), (False, "two")])
def test_new_rows_look_like_their_neighbour_but_hold_nothing(
    sheets_api: Emulator, before: bool, inherited: str
):
    book = Book(sheets_api)
    grid = book.document.sheets[0].grid
    for row, font in enumerate(("one", "two")):
        shape = {"textFormat": {"fontFamily": font}}
        grid.put(row, 1, Cell("x", format=shape, note="stays"))
        grid.row_properties[row] = {"pixelSize": 40 + row}
    book.do(insert("ROWS", 1, 2, before=before))
    assert grid_of(book).cell(1, 1) == Cell(format={"textFormat": {"fontFamily": inherited}})
    assert grid_of(book).row_properties[1] == {"pixelSize": 40 if before else 41}
    assert grid_of(book).row_properties[2] == {"pixelSize": 41}


def grid_of(book: Book) -> Any:
    return book.document.sheets[0].grid


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (insert("ROWS", 1001, 1002), "range.startIndex is larger than current grid size (1000)"),
        (
            insert("COLUMNS", 26, 27),
            "range.startIndex must be less than the grid size (26) if inheritFromBefore is false.",
        ),
        (
            insert("ROWS", 0, 400_000),
            (
                "This action would increase the number of cells in the workbook above the limit of"
                " 10000000 cells."
            ),
        ),
        (
            delete("ROWS", 1000, 1001),
            (
                "Cannot delete a row that doesn't exist. Tried to delete row index 1000 but"
                " there are only 1000 rows."
            ),
        ),
        (
            delete("COLUMNS", 30, 31),
            (
                "Cannot delete a column that doesn't exist. Tried to delete column index 30 but"
                " there are only 26 columns."
            ),
        ),
        (delete("ROWS", 0, 1000), "You can't delete all the rows on the sheet."),
        (delete("COLUMNS", 0, 26), "You can't delete all the columns on the sheet."),
        (
            {"deleteDimension": {"range": {"sheetId": 3, "dimension": "ROWS"}}},
            "No grid with id: 3",
        ),
        (
            {"appendDimension": {"sheetId": 3, "dimension": "ROWS", "length": 1}},
            "No grid with id: 3",
        ),
    ],
)
def test_a_change_that_cannot_be_is_refused(sheets_api: Emulator, wanted: Any, sentence: str):
    kind = next(iter(wanted))
    assert Book(sheets_api).refused(wanted) == f"Invalid requests[0].{kind}: {sentence}"


def test_rows_go(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    assert book.do(delete("ROWS", 1, 3)) == [{}]
    assert book.values() == [["h"], ["c"], ["d"]]
    assert size(book) == (998, 26)
    book.do(delete("ROWS", 996, 5000))
    assert size(book) == (996, 26)


def test_frozen_rows_stay_frozen_around_a_change(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    frozen = {"sheetId": 0, "gridProperties": {"frozenRowCount": 3}}
    book.do(
        {"updateSheetProperties": {"properties": frozen, "fields": "gridProperties.frozenRowCount"}}
    )
    book.do(insert("ROWS", 1, 2))
    assert book.document.sheets[0].grid_extra == {"frozenRowCount": 4}
    book.do(delete("ROWS", 3, 6))
    assert book.document.sheets[0].grid_extra == {"frozenRowCount": 3}
    assert book.refused(delete("ROWS", 3, 998)).endswith(
        "Sorry, it is not possible to delete all non-frozen rows."
    )


@pytest.mark.parametrize(
    ("start", "end", "to", "after"),
    [
        (1, 2, 4, "hbcad"),
        (3, 5, 1, "hcdab"),
        (0, 1, 5, "abcdh"),
        (2, 3, 2, "habcd"),
        (2, 3, 3, "habcd"),
    ],
)
def test_rows_move_to_before_the_row_that_has_that_index_now(
    sheets_api: Emulator, start: int, end: int, to: int, after: str
):
    book = Book(sheets_api, ROWS)
    assert book.do(move("ROWS", start, end, to)) == [{}]
    assert [row[0] for row in book.values()] == list(after)


def test_columns_move(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b", "c"], ["1", "2", "3"]])
    book.do(move("COLUMNS", 2, 3, 0))
    assert book.values() == [["c", "a", "b"], ["3", "1", "2"]]


def test_a_move_does_not_tear_a_merge_apart(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    book.do({"mergeCells": {"range": area(1, 3, 0, 1), "mergeType": "MERGE_ALL"}})
    for torn in (move("ROWS", 1, 2, 5), move("ROWS", 4, 5, 2)):
        assert book.refused(torn) == (
            "Invalid requests[0].moveDimension: Sorry, it is not possible to move a row to a"
            " position that crosses a merged cell. Please unmerge and try again."
        )
    book.do(move("ROWS", 1, 3, 5))
    assert book.document.sheets[0].parts["merges"] == [GridRange(0, 3, 5, 0, 1)]


def test_rows_and_columns_are_added_at_the_end(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do(
        {"appendDimension": {"sheetId": 0, "dimension": "ROWS", "length": 3}},
        {"appendDimension": {"sheetId": 0, "dimension": "COLUMNS", "length": 2}},
    )
    assert size(book) == (1003, 28)
    assert "length" in book.refused({"appendDimension": {"dimension": "ROWS", "length": 0}})


def test_rows_are_hidden_and_sized(sheets_api: Emulator):
    book = Book(sheets_api)

    def update(fields: str, **properties: object) -> None:
        touched = span("ROWS", 1, 3)
        sent = {"range": touched, "properties": properties, "fields": fields}
        assert book.do({"updateDimensionProperties": sent}) == [{}]

    update("hiddenByUser", hiddenByUser=True)
    update("pixelSize", pixelSize=50)
    assert grid_of(book).row_properties == {
        key: {"hiddenByUser": True, "pixelSize": 50} for key in (1, 2)
    }
    update("hiddenByUser", hiddenByUser=False)
    assert grid_of(book).row_properties == {1: {"pixelSize": 50}, 2: {"pixelSize": 50}}
    update("*")
    assert grid_of(book).row_properties == {}


def test_a_column_gets_as_wide_as_its_text(sheets_api: Emulator):
    book = Book(sheets_api, [["A" * 1024, "b"]])
    resize = {"autoResizeDimensions": {"dimensions": span("COLUMNS", 0, 3)}}
    assert book.do(resize) == [{}]
    widths = grid_of(book).column_properties
    assert widths[0] == {"pixelSize": 8691}
    assert widths[1]["pixelSize"] < 100
    assert 2 not in widths


EVERYTHING = [
    {"mergeCells": {"range": area(2, 4, 1, 3), "mergeType": "MERGE_ALL"}},
    {"addNamedRange": {"namedRange": {"name": "Named", "range": area(2, 4, 1, 3)}}},
    {"addProtectedRange": {"protectedRange": {"range": area(2, 4, 1, 3)}}},
    {"setBasicFilter": {"filter": {"range": area(2, 4, 1, 3)}}},
    {"addFilterView": {"filter": {"title": "v", "range": area(2, 4, 1, 3)}}},
    {"addConditionalFormatRule": {"rule": {
        "ranges": [area(2, 4, 1, 3)], "booleanRule": {"condition": {"type": "BLANK"}},
    }}},
    {"addBanding": {"bandedRange": {
        "range": area(2, 4, 1, 3), "rowProperties": {"firstBandColor": {"red": 1}},
    }}},
]  # fmt: skip


def everywhere(book: Book) -> set[GridRange]:
    """Where all the things of EVERYTHING are."""
    parts = book.document.sheets[0].parts
    found = {parts["merges"][0], parts["basicFilter"]["range"]}
    found |= {
        parts[name][0]["range"] for name in ("protectedRanges", "filterViews", "bandedRanges")
    }
    found |= {parts["conditionalFormats"][0]["ranges"][0], book.document.named_ranges[0]["range"]}
    return found


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (insert("ROWS", 0, 2), GridRange(0, 4, 6, 1, 3)),
        (insert("ROWS", 3, 4), GridRange(0, 2, 5, 1, 3)),
        (insert("ROWS", 4, 5), GridRange(0, 2, 4, 1, 3)),
        (insert("COLUMNS", 2, 3), GridRange(0, 2, 4, 1, 4)),
        (delete("ROWS", 0, 1), GridRange(0, 1, 3, 1, 3)),
        (delete("ROWS", 3, 9), GridRange(0, 2, 3, 1, 3)),
        (delete("COLUMNS", 0, 2), GridRange(0, 2, 4, 0, 1)),
        (move("ROWS", 2, 4, 8), GridRange(0, 6, 8, 1, 3)),
        (move("ROWS", 8, 9, 0), GridRange(0, 3, 5, 1, 3)),
    ],
)
def test_whatever_lies_on_cells_goes_with_them(sheets_api: Emulator, change: Any, after: GridRange):
    book = Book(sheets_api, ROWS)
    book.do(*EVERYTHING)
    assert everywhere(book) == {GridRange(0, 2, 4, 1, 3)}
    book.do(change)
    assert everywhere(book) == {after}


def test_what_lies_on_deleted_rows_only_goes_with_them(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    book.do(*EVERYTHING)
    book.do(delete("ROWS", 1, 5))
    parts = book.document.sheets[0].parts
    assert {name: part for name, part in parts.items() if part} == {}
    assert book.document.named_ranges == []


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (insert("ROWS", 1, 3), "=A1+A2+$A$2", "=A1+A4+$A$4"),
        (insert("ROWS", 1, 2), "=SUM(A1:A3)", "=SUM(A1:A4)"),
        (insert("ROWS", 3, 4), "=SUM(A1:A3)", "=SUM(A1:A3)"),
        (insert("COLUMNS", 0, 1), "=A:A+A$1+1:1", "=B:B+B$1+1:1"),
        (insert("ROWS", 0, 1), "=\"A1\"&A1&'A1'!A1", "=\"A1\"&A2&'A1'!A1"),
        (insert("ROWS", 0, 1), "=LOG10(A10)+ATAN2(A1,B1)", "=LOG10(A11)+ATAN2(A2,B2)"),
        (delete("ROWS", 1, 2), "=A1+A2+A3", "=A1+#REF!+A2"),
        (delete("ROWS", 1, 2), "=SUM(A1:A3)+SUM(A2:A2)", "=SUM(A1:A2)+SUM(#REF!)"),
        (delete("COLUMNS", 1, 2), "=A1+C1+B:B", "=A1+B1+#REF!"),
        (move("ROWS", 0, 1, 3), "=A1+A2+A3", "=A3+A1+A2"),
        (move("ROWS", 0, 1, 3), "=Sheet1!$A$1", "=Sheet1!$A$3"),
    ],
)
def test_formulas_follow_their_cells(sheets_api: Emulator, change: Any, before: str, after: str):
    book = Book(sheets_api, ROWS)
    book.do({"addSheet": {"properties": {"sheetId": 1, "title": "Other"}}})
    book.formula("J9", before)
    book.formula("A1", "=Sheet1!A1", sheet_id=1)
    book.do(change)
    found = [c.formula for _, _, c in grid_of(book).cells() if c.formula]
    assert found == [after]


def test_a_formula_on_another_tab_follows_too(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    book.do({"addSheet": {"properties": {"sheetId": 1, "title": "Other"}}})
    book.formula("A1", "=Sheet1!A2+A2", sheet_id=1)
    book.do(insert("ROWS", 0, 1))
    assert book.formula_at("A1", sheet_id=1) == "=Sheet1!A3+A2"


def groups(book: Book) -> list[tuple[int, int, int]]:
    part = book.document.sheets[0].parts.get("rowGroups", [])
    return [(g["range"].r0, g["range"].r1, g["depth"]) for g in part]


def test_groups_lie_in_one_another(sheets_api: Emulator):
    book = Book(sheets_api)
    (reply,) = book.do({"addDimensionGroup": {"range": span("ROWS", 1, 6)}})
    assert reply == {
        "addDimensionGroup": {
            "dimensionGroups": [
                {"range": {"dimension": "ROWS", "startIndex": 1, "endIndex": 6}, "depth": 1}
            ]
        }
    }
    book.do({"addDimensionGroup": {"range": span("ROWS", 2, 4)}})
    assert groups(book) == [(1, 6, 1), (2, 4, 2)]
    (reply,) = book.do({"deleteDimensionGroup": {"range": span("ROWS", 2, 4)}})
    assert reply["deleteDimensionGroup"]["dimensionGroups"][0]["depth"] == 1
    assert groups(book) == [(1, 6, 1)]
    book.do({"deleteDimensionGroup": {"range": span("ROWS", 3, 4)}})
    assert groups(book) == [(1, 3, 1), (4, 6, 1)]
    assert book.do({"deleteDimensionGroup": {"range": span("ROWS", 0, 9)}}) == [
        {"deleteDimensionGroup": {}}
    ]
    assert "rowGroups" not in book.document.sheets[0].parts
    assert "No row group" in book.refused({"deleteDimensionGroup": {"range": span("ROWS", 0, 9)}})


def test_a_collapsed_group_hides_its_rows(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do({"addDimensionGroup": {"range": span("ROWS", 1, 3)}})
    group = {"range": span("ROWS", 1, 3), "depth": 1, "collapsed": True}
    update = {"updateDimensionGroup": {"dimensionGroup": group, "fields": "collapsed"}}
    assert book.do(update) == [{}]
    assert grid_of(book).row_properties == {1: {"hiddenByUser": True}, 2: {"hiddenByUser": True}}
    book.do({"addDimensionGroup": {"range": span("ROWS", 7, 9)}})
    kept = [g.get("collapsed", False) for g in book.document.sheets[0].parts["rowGroups"]]
    assert kept == [True, False]
    assert "No row group" in book.refused(
        {"updateDimensionGroup": {"dimensionGroup": {**group, "depth": 2}, "fields": "collapsed"}}
    )
