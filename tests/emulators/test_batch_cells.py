"""Cells written as objects, sorted, merged, searched, split, pasted and moved over."""

from typing import Any

import pytest

from tests.emulators.book import Book, area
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.gridrange import GridRange

Json = Any


def cell(book: Book, r: int, c: int) -> Cell | None:
    return book.document.sheets[0].grid.cell(r, c)


def update(rows: list[list[Json]], fields: str, **where: Json) -> Json:
    return {"updateCells": {"rows": [{"values": row} for row in rows], "fields": fields, **where}}


def text(value: str) -> Json:
    return {"userEnteredValue": {"stringValue": value}}


# updateCells, repeatCell, appendCells


def test_cells_of_a_range_are_written_and_the_rest_of_it_is_cleared(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]])
    sent = update([[text("X")]], "userEnteredValue", range=area(0, 2, 0, 2))
    assert book.do(sent) == [{}]
    assert book.values() == [["X", "", "c"], ["", "", "f"], ["g", "h", "i"]]


def test_cells_from_a_corner_on_leave_the_others_alone(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"], ["c", "d"]])
    row = [
        {"userEnteredValue": {"numberValue": 7}},
        {"userEnteredValue": {"boolValue": False}},
        {},
    ]
    book.do(update([row], "userEnteredValue", start={"rowIndex": 1, "columnIndex": 0}))
    assert book.values(option="UNFORMATTED_VALUE") == [["a", "b"], [7, False]]


def test_a_string_value_is_a_text_whatever_it_looks_like(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do(update([[text("007"), text("=1+1")]], "userEnteredValue", start={}))
    assert book.values(option="FORMULA") == [["007", "=1+1"]]
    assert [cell(book, 0, c) for c in (0, 1)] == [Cell("007"), Cell("=1+1")]


def test_a_note_comes_and_goes_without_touching_the_value(sheets_api: Emulator):
    book = Book(sheets_api, [["a"]])
    book.do(update([[{"note": "n"}]], "note", range=area(0, 1, 0, 1)))
    assert cell(book, 0, 0) == Cell("a", note="n")
    book.do(update([[{"note": ""}]], "note", range=area(0, 1, 0, 1)))
    assert cell(book, 0, 0) == Cell("a")


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (
            update([[{}], [{}]], "note", range=area(4, 5, 0, 1)),
            "Attempting to write row: 5, beyond the last requested row of: 4",
        ),
        (
            update([[{}, {}, {}]], "note", range=area(4, 5, 0, 2)),
            "Attempting to write column: 2, beyond the last requested column of: 1",
        ),
        (
            update([[{}] * 27], "note", start={}),
            "Attempting to write column: 26, beyond the last requested column of: 25",
        ),
        (
            update([[{}]], "note", range=area(1000, 1001, 0, 1)),
            "Range (Sheet1!A1001) exceeds grid limits. Max rows: 1000, max columns: 26",
        ),
        (update([[{}]], "note", range={"sheetId": 4}), "No grid with id: 4"),
        (update([[{}]], "colour", start={}), "Invalid field: colour"),
        (
            update([[text("x" * 50_001)]], "userEnteredValue", start={}),
            "Your input contains more than the maximum of 50000 characters in a single cell.",
        ),
    ],
)
def test_cells_that_cannot_be_written_are_refused(sheets_api: Emulator, sent: Json, sentence: str):
    assert Book(sheets_api).refused(sent) == f"Invalid requests[0].updateCells: {sentence}"


def repeat(fields: str, where: Json, **content: Json) -> Json:
    return {"repeatCell": {"range": where, "cell": content, "fields": fields}}


def test_a_format_is_laid_over_by_what_the_mask_names(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"]])
    shape = {"textFormat": {"bold": True, "fontSize": 12}, "horizontalAlignment": "CENTER"}
    every = "userEnteredFormat(textFormat,horizontalAlignment)"
    book.do(repeat(every, area(0, 1, 0, 2), userEnteredFormat=shape))
    book.do(
        repeat(
            "userEnteredFormat.textFormat.bold",
            area(0, 1, 1, 2),
            userEnteredFormat={"textFormat": {"bold": False, "italic": True}},
        )
    )
    assert cell(book, 0, 0) == Cell("a", format=shape)
    assert cell(book, 0, 1) == Cell(
        "b",
        format={"textFormat": {"bold": False, "fontSize": 12}, "horizontalAlignment": "CENTER"},
    )
    book.do(repeat("userEnteredFormat", area(0, 1, 0, 2)))
    assert [cell(book, 0, 0), cell(book, 0, 1)] == [Cell("a"), Cell("b")]


def test_colours_of_a_format_are_kept_in_both_spellings(sheets_api: Emulator):
    book = Book(sheets_api)
    shape = {"backgroundColor": {"red": 1}, "textFormat": {"foregroundColor": {"blue": 1}}}
    book.do(
        repeat(
            "userEnteredFormat(backgroundColor,textFormat)",
            area(0, 1, 0, 1),
            userEnteredFormat=shape,
        )
    )
    found = cell(book, 0, 0)
    assert found is not None
    assert found.format == {
        "backgroundColor": {"red": 1},
        "backgroundColorStyle": {"rgbColor": {"red": 1}},
        "textFormat": {
            "foregroundColor": {"blue": 1},
            "foregroundColorStyle": {"rgbColor": {"blue": 1}},
        },
    }
    book.do(repeat("userEnteredFormat.backgroundColorStyle", area(0, 1, 0, 1)))
    after = cell(book, 0, 0)
    assert after is not None
    assert after.format is not None
    assert list(after.format) == ["textFormat"]


def test_a_repeated_formula_refers_on(sheets_api: Emulator):
    book = Book(sheets_api)
    formula = {"userEnteredValue": {"formulaValue": "=A1+$A$1"}}
    book.do(repeat("userEnteredValue", area(0, 2, 1, 3), **formula))
    assert book.formula_at("B1") == "=A1+$A$1"
    assert book.formula_at("C2") == "=B2+$A$1"
    bad = {"userEnteredValue": {"formulaValue": "A1"}}
    assert "must start with '='" in book.refused(repeat("*", area(0, 1, 0, 1), **bad))


def test_a_link_of_a_whole_cell_comes_and_goes(sheets_api: Emulator):
    book = Book(sheets_api, [["here"]])
    shape = {"textFormat": {"link": {"uri": "https://a.example/"}, "bold": True}}
    book.do(repeat("userEnteredFormat.textFormat", area(0, 1, 0, 1), userEnteredFormat=shape))
    found = book.get("sheets.data.rowData.values.hyperlink", ranges="Sheet1!A1")
    assert found["sheets"][0]["data"][0]["rowData"][0]["values"] == [
        {"hyperlink": "https://a.example/"}
    ]
    book.do(repeat("userEnteredFormat.textFormat.link", area(0, 1, 0, 1)))
    assert cell(book, 0, 0) == Cell("here", format={"textFormat": {"bold": True}})


def test_runs_written_with_their_text_stay_and_go_with_the_next_text(sheets_api: Emulator):
    book = Book(sheets_api)
    runs = [{"startIndex": 2, "format": {"link": {"uri": "https://a.example/"}}}]
    both = {**text("a link"), "textFormatRuns": runs}
    book.do(update([[both]], "userEnteredValue,textFormatRuns", start={}))
    assert cell(book, 0, 0) == Cell("a link", runs=runs)
    book.do(update([[text("b")]], "userEnteredValue", start={}))
    assert cell(book, 0, 0) == Cell("b")


def test_a_range_that_ends_past_the_grid_is_cut_there(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do(repeat("note", area(998, 2000, 25, 90), note="n"))
    assert [(r, c) for r, c, _ in book.document.sheets[0].grid.cells()] == [(998, 25), (999, 25)]
    assert book.refused(repeat("note", {"startRowIndex": 1000, "endColumnIndex": 2}, note="n")) == (
        "Invalid requests[0].repeatCell: Range (Sheet1!A1001:B) exceeds grid limits."
        " Max rows: 1000, max columns: 26"
    )


def test_cells_are_appended_after_the_last_row_that_shows_something(sheets_api: Emulator):
    book = Book(sheets_api, [["a"], ["b"]])
    book.do(repeat("note", area(5, 6, 0, 1), note="n"))
    book.do({"appendCells": {"rows": [{"values": [text("c")]}], "fields": "userEnteredValue"}})
    assert book.values() == [["a"], ["b"], ["c"]]
    rows = [{"values": [text("z")] * 30}] * 1000
    book.do({"appendCells": {"rows": rows, "fields": "userEnteredValue"}})
    grid = book.document.sheets[0].grid
    assert (grid.row_count, grid.column_count) == (1003, 30)


def test_a_rule_is_put_on_cells_and_taken_off(sheets_api: Emulator):
    book = Book(sheets_api, [["a"]])
    rule = {"condition": {"type": "ONE_OF_LIST", "values": [{"userEnteredValue": "y"}]}}
    where = area(0, 1, 0, 2)
    assert book.do({"setDataValidation": {"range": where, "rule": {**rule, "strict": True}}}) == [
        {}
    ]
    assert cell(book, 0, 0) == Cell("a", validation={**rule, "strict": True})
    assert cell(book, 0, 1) == Cell(validation={**rule, "strict": True})
    book.do({"setDataValidation": {"range": where}})
    assert [cell(book, 0, 0), cell(book, 0, 1)] == [Cell("a"), None]
    bad = {"condition": {"type": "NUMBER_BETWEEN", "values": [{"userEnteredValue": "1"}]}}
    assert "must have exactly 2" in book.refused(
        {"setDataValidation": {"range": where, "rule": bad}}
    )


def test_borders_run_round_a_range_and_within_it(sheets_api: Emulator):
    book = Book(sheets_api)
    outer, inner = {"style": "SOLID"}, {"style": "DOTTED"}
    sides = dict.fromkeys(("top", "bottom", "left", "right"), outer)
    where = area(0, 2, 0, 1)
    book.do({"updateBorders": {"range": where, **sides, "innerHorizontal": inner}})
    above, below = cell(book, 0, 0), cell(book, 1, 0)
    assert above is not None
    assert below is not None
    assert above.format == {"borders": {**sides, "bottom": inner}}
    assert below.format == {"borders": {**sides, "top": inner}}
    none = {key: {"style": "NONE"} for key in (*sides, "innerHorizontal")}
    book.do({"updateBorders": {"range": where, **none}})
    assert [cell(book, 0, 0), cell(book, 1, 0)] == [None, None]


# merges


def merge(kind: str, where: Json) -> Json:
    return {"mergeCells": {"range": where, "mergeType": kind}}


def merges(book: Book) -> list[GridRange]:
    found: list[GridRange] = book.document.sheets[0].parts.get("merges", [])
    return found


def test_merges_of_each_kind_replace_those_within(sheets_api: Emulator):
    book = Book(sheets_api)
    assert book.do(merge("MERGE_ROWS", area(0, 2, 0, 2))) == [{}]
    assert merges(book) == [GridRange(0, 0, 1, 0, 2), GridRange(0, 1, 2, 0, 2)]
    book.do(merge("MERGE_COLUMNS", area(0, 2, 0, 2)))
    assert merges(book) == [GridRange(0, 0, 2, 0, 1), GridRange(0, 0, 2, 1, 2)]
    book.do(merge("MERGE_ALL", area(0, 3, 0, 3)), merge("MERGE_ALL", area(9, 10, 0, 1)))
    assert merges(book) == [GridRange(0, 0, 3, 0, 3)]  # one cell alone is no merge
    assert book.do({"unmergeCells": {"range": area(0, 9, 0, 9)}}) == [{}]
    assert "merges" not in book.document.sheets[0].parts


def test_a_merge_keeps_one_value(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"], ["c", "d"]])
    book.do(merge("MERGE_ROWS", area(0, 2, 0, 2)))
    assert book.values() == [["a"], ["c"]]


def test_a_merge_cannot_be_cut_through(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do(merge("MERGE_ALL", area(0, 2, 0, 2)))
    sentence = "You must select all cells in a merged range to merge or unmerge them."
    assert book.refused(merge("MERGE_ALL", area(1, 3, 0, 2))).endswith(sentence)
    assert book.refused({"unmergeCells": {"range": area(0, 1, 0, 1)}}).endswith(sentence)


# sortRange


def sort(*specs: tuple[int, str], where: Json) -> Json:
    sent = [{"dimensionIndex": column, "sortOrder": order} for column, order in specs]
    return {"sortRange": {"range": where, "sortSpecs": sent}}


def test_rows_are_sorted_by_one_column_after_another(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "2"], ["c", "2"], ["b", "1"], ["head", "0"]])
    assert book.do(sort((1, "ASCENDING"), (0, "DESCENDING"), where=area(0, 3, 0, 2))) == [{}]
    assert book.values() == [["b", "1"], ["c", "2"], ["a", "2"], ["head", "0"]]


@pytest.mark.parametrize(
    ("order", "after"),
    [
        ("ASCENDING", [-1, 2, 10, "", "10", "9", "a", "Ä", "B", False, True]),
        ("DESCENDING", [True, False, "B", "Ä", "a", "9", "10", 10, 2, -1, ""]),
    ],
)
def test_numbers_come_before_texts_before_booleans_and_blanks_come_last(
    sheets_api: Emulator, order: str, after: list[Json]
):
    mixed = ["B", 10, True, "9", None, "a", -1, False, "Ä", 2, "10"]
    book = Book(sheets_api, [[value, "."] for value in mixed])
    book.do(sort((0, order), where=area(0, len(mixed), 0, 2)))
    found = [row[0] for row in book.values("Sheet1!A1:B11", "UNFORMATTED_VALUE")]
    expected = [value for value in after if value != ""]
    assert found == [*expected, ""]


def test_a_sorted_row_takes_format_and_note_along_and_its_formula_stays_on_its_row(
    sheets_api: Emulator,
):
    book = Book(sheets_api, [[2, "x"], [1, "y"]])
    grid = book.document.sheets[0].grid
    grid.put(0, 1, Cell("x", note="n", format={"textFormat": {"bold": True}}))
    book.formula("C1", "=A1*2+$A$1+A9")
    book.do(sort((0, "ASCENDING"), where=area(0, 2, 0, 3)))
    assert cell(book, 1, 1) == Cell("x", note="n", format={"textFormat": {"bold": True}})
    assert book.formula_at("C2") == "=A2*2+$A$1+A10"


def test_hidden_rows_stay_where_they_are(sheets_api: Emulator):
    book = Book(sheets_api, [[3], [9], [1], [2]])
    book.document.sheets[0].grid.row_properties[1] = {"hiddenByUser": True}
    book.do(sort((0, "ASCENDING"), where=area(0, 4, 0, 1)))
    assert book.values() == [["1"], ["9"], ["2"], ["3"]]


def test_a_sort_that_cannot_be_is_refused(sheets_api: Emulator):
    book = Book(sheets_api, [["a"]])
    kind = "Invalid requests[0].sortRange: "
    assert book.refused(sort((0, "ASCENDING"), where=area(1000, 1001, 0, 1))) == (
        f"{kind}range.startRowIndex is larger than current grid size (1000)"
    )
    book.do(merge("MERGE_ALL", area(1, 3, 1, 2)))
    assert book.refused(sort((0, "ASCENDING"), where=area(0, 3, 0, 2))) == (
        f"{kind}You can't sort a range containing vertical merges. There is a vertical merge at"
        " B2:B3"
    )


def test_rows_are_shuffled_whole(sheets_api: Emulator):
    rows = [[str(i), f"r{i}"] for i in range(50)]
    book = Book(sheets_api, rows)
    assert book.do({"randomizeRange": {"range": area(0, 50, 0, 2)}}) == [{}]
    after = book.values()
    assert after != rows
    assert sorted(after) == sorted(rows)


# findReplace


def replace(**sent: Json) -> Json:
    return {"findReplace": {"allSheets": True, "replacement": "#", **sent}}


@pytest.mark.parametrize(
    ("sent", "after", "counts"),
    [
        ({"find": "an"}, "b##a,AN,x#,a.n", {"valuesChanged": 3, "rowsChanged": 3,
         "sheetsChanged": 1, "occurrencesChanged": 4}),
        ({"find": "an", "matchCase": True}, "b##a,AN,x#,a.n", {"valuesChanged": 2,
         "rowsChanged": 2, "sheetsChanged": 1, "occurrencesChanged": 3}),
        ({"find": "an", "matchEntireCell": True}, "banana,#,xan,a.n", {"valuesChanged": 1,
         "rowsChanged": 1, "sheetsChanged": 1, "occurrencesChanged": 1}),
        ({"find": "a.n"}, "banana,AN,xan,#", {"valuesChanged": 1, "rowsChanged": 1,
         "sheetsChanged": 1, "occurrencesChanged": 1}),
        ({"find": "(b)(.)", "searchByRegex": True, "replacement": "$2$1"}, "abnana,AN,xan,a.n",
         {"valuesChanged": 1, "rowsChanged": 1, "sheetsChanged": 1, "occurrencesChanged": 1}),
        ({"find": "nowhere"}, "banana,AN,xan,a.n", {}),
    ],
)  # fmt: skip
def test_text_is_found_and_replaced(
    sheets_api: Emulator, sent: Json, after: str, counts: dict[str, int]
):
    book = Book(sheets_api, [["banana"], ["AN"], ["xan"], ["a.n"]])
    assert book.do(replace(**sent)) == [{"findReplace": counts}]
    expected = after.split(",")
    if sent["find"] == "an" and "matchCase" not in sent and "matchEntireCell" not in sent:
        expected[1] = "#"
    assert [row[0] for row in book.values()] == expected


def test_only_the_cells_of_the_scope_are_searched(sheets_api: Emulator):
    book = Book(sheets_api, [["x", "x"], ["x", "x"]])
    book.do({"findReplace": {"find": "x", "replacement": "y", "range": area(0, 1, 1, 2)}})
    assert book.values() == [["x", "y"], ["x", "x"]]
    book.do({"findReplace": {"find": "x", "replacement": "z", "sheetId": 0}})
    assert book.values() == [["z", "y"], ["z", "z"]]
    assert "scope" in book.refused({"findReplace": {"find": "x"}})
    assert "(" in book.refused(replace(find="(", searchByRegex=True))


def test_formulas_are_searched_only_if_asked(sheets_api: Emulator):
    book = Book(sheets_api, [["A1"]])
    book.formula("B1", "=A1")
    assert book.do(replace(find="A1", replacement="A2"))[0]["findReplace"]["valuesChanged"] == 1
    (reply,) = book.do(replace(find="A1", replacement="A3", includeFormulas=True))
    assert reply["findReplace"]["formulasChanged"] == 1
    assert "valuesChanged" not in reply["findReplace"]


# text tools


def test_a_column_is_split_at_its_delimiter(sheets_api: Emulator):
    book = Book(sheets_api, [["a,b, c", "old"], ["d"]])
    split = {"source": area(0, 2, 0, 1), "delimiterType": "COMMA"}
    assert book.do({"textToColumns": split}) == [{}]
    assert book.values() == [["a", "b", "c"], ["d"]]
    book = Book(sheets_api, [["a-b"]])
    book.do({"textToColumns": {**split, "delimiterType": "CUSTOM", "delimiter": "-"}})
    assert book.values() == [["a", "b"]]
    assert "one column" in book.refused({"textToColumns": {"source": area(0, 1, 0, 2)}})


def test_white_space_is_trimmed(sheets_api: Emulator):
    book = Book(sheets_api, [["  a   b ", "c"], [" \u00a0", "d "]])
    assert book.do({"trimWhitespace": {"range": area(0, 2, 0, 2)}}) == [
        {"trimWhitespace": {"cellsChangedCount": 3}}
    ]
    assert book.values() == [["a b", "c"], ["", "d"]]
    assert book.do({"trimWhitespace": {"range": area(0, 2, 0, 2)}}) == [{"trimWhitespace": {}}]


def test_rows_that_were_there_before_are_removed(sheets_api: Emulator):
    rows = [["a", "1", "x"], ["b", "2", "x"], ["A", "1", "y"], ["b", "3", "x"], ["end", "", ""]]
    book = Book(sheets_api, rows)
    by = [{"sheetId": 0, "dimension": "COLUMNS", "startIndex": 0, "endIndex": 2}]
    (reply,) = book.do({"deleteDuplicates": {"range": area(0, 4, 0, 3), "comparisonColumns": by}})
    assert reply == {"deleteDuplicates": {"duplicatesRemovedCount": 1}}
    assert book.values() == [["a", "1", "x"], ["b", "2", "x"], ["b", "3", "x"], [], ["end"]]


# copy, cut, paste


def copy(source: Json, destination: Json, kind: str = "PASTE_NORMAL", **more: str) -> Json:
    return {"copyPaste": {"source": source, "destination": destination, "pasteType": kind, **more}}


def test_a_copy_is_repeated_as_often_as_it_fits(sheets_api: Emulator):
    book = Book(sheets_api, [["a"], ["b"]])
    book.do(copy(area(0, 2, 0, 1), area(0, 4, 1, 3)))
    assert book.values() == [["a", "a", "a"], ["b", "b", "b"], ["", "a", "a"], ["", "b", "b"]]
    book.do(copy(area(0, 2, 0, 1), area(0, 3, 4, 5)))
    assert [row[4] for row in book.values("Sheet1!A1:E2")] == ["a", "b"]
    assert book.values("Sheet1!E3:E4") == []


def test_a_copy_brings_merges_and_rules_along(sheets_api: Emulator):
    book = Book(sheets_api)
    condition = {"condition": {"type": "BLANK"}}
    rule = {"ranges": [area(0, 1, 0, 2)], "booleanRule": condition}
    book.do(
        merge("MERGE_ALL", area(0, 1, 0, 2)),
        merge("MERGE_ALL", area(3, 4, 1, 3)),
        {"addConditionalFormatRule": {"rule": rule}},
        copy(area(0, 1, 0, 2), area(3, 4, 1, 3)),
        copy(area(0, 1, 0, 2), area(5, 6, 0, 2), "PASTE_VALUES"),
    )
    assert merges(book) == [GridRange(0, 0, 1, 0, 2), GridRange(0, 3, 4, 1, 3)]
    (kept,) = book.document.sheets[0].parts["conditionalFormats"]
    assert kept["ranges"] == merges(book)
    book.do({"cutPaste": {"source": area(0, 1, 0, 2), "destination": {"rowIndex": 8}}})
    assert merges(book) == [GridRange(0, 3, 4, 1, 3), GridRange(0, 8, 9, 0, 2)]


def test_rows_become_columns(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b", "c"]])
    book.do(copy(area(0, 1, 0, 3), area(2, 3, 0, 1), pasteOrientation="TRANSPOSE"))
    assert book.values() == [["a", "b", "c"], [], ["a"], ["b"], ["c"]]


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("PASTE_NORMAL", Cell("v", format={"a": 1, "borders": {"top": 1}}, note="n",
                              validation={"v": 1})),
        ("PASTE_VALUES", Cell("v", format={"b": 1, "borders": {"left": 1}}, note="o")),
        ("PASTE_FORMAT", Cell("old", format={"a": 1, "borders": {"top": 1}}, note="o",
                              validation={"v": 1})),
        ("PASTE_NO_BORDERS", Cell("v", format={"a": 1, "borders": {"left": 1}}, note="n",
                                  validation={"v": 1})),
        ("PASTE_FORMULA", Cell("v", format={"b": 1, "borders": {"left": 1}}, note="o")),
        ("PASTE_DATA_VALIDATION", Cell("old", format={"b": 1, "borders": {"left": 1}}, note="o",
                                       validation={"v": 1})),
        ("PASTE_CONDITIONAL_FORMATTING", Cell("old", format={"b": 1, "borders": {"left": 1}},
                                              note="o")),
    ],
)  # fmt: skip
def test_each_kind_of_paste_brings_its_part_of_a_cell(sheets_api: Emulator, kind: str, after: Cell):
    book = Book(sheets_api)
    grid = book.document.sheets[0].grid
    shape: Json = {"a": 1, "borders": {"top": 1}}
    grid.put(0, 0, Cell("v", format=shape, note="n", validation={"v": 1}))
    grid.put(0, 1, Cell("old", format={"b": 1, "borders": {"left": 1}}, note="o"))
    book.do(copy(area(0, 1, 0, 1), area(0, 1, 1, 2), kind))
    assert cell(book, 0, 1) == after


def test_the_formula_of_a_copy_refers_on_and_off_the_grid_is_ref(sheets_api: Emulator):
    book = Book(sheets_api, [["1"]])
    book.formula("B2", "=A1+$A1+A$1+$A$1+SUM(B:B)")
    book.do(copy(area(1, 2, 1, 2), area(3, 4, 2, 3)), copy(area(1, 2, 1, 2), area(0, 1, 1, 2)))
    assert book.formula_at("C4") == "=B3+$A3+B$1+$A$1+SUM(C:C)"
    assert book.formula_at("B1") == "=#REF!+#REF!+A$1+$A$1+SUM(B:B)"


def test_cut_cells_are_gone_from_where_they_were_and_references_follow(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "x"], ["b"]])
    for place, formula in (("E1", "=A1"), ("E2", "=SUM(A1:A2)"), ("E3", "=C1+A3"), ("A2", "=E9")):
        book.formula(place, formula)
    start = {"sheetId": 0, "rowIndex": 0, "columnIndex": 2}
    cut = {"cutPaste": {"source": area(0, 2, 0, 1), "destination": start}}
    assert book.do(cut) == [{}]
    assert book.values("Sheet1!A1:C1") == [["", "x", "a"]]
    assert cell(book, 0, 0) is None
    assert [book.formula_at(p) for p in ("E1", "E2", "E3", "C2")] == [
        "=C1",
        "=SUM(C1:C2)",
        "=#REF!+A3",
        "=E9",
    ]


def test_a_cut_to_another_tab_names_the_tabs(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"]])
    book.do({"addSheet": {"properties": {"sheetId": 1, "title": "Other"}}})
    book.formula("C1", "=B1")
    book.formula("D1", "=C1")
    book.do({"cutPaste": {"source": area(0, 1, 2, 3), "destination": {"sheetId": 1}}})
    assert book.formula_at("A1", sheet_id=1) == "=Sheet1!B1"
    assert book.formula_at("D1") == "=Other!A1"


def test_text_and_tables_are_pasted(sheets_api: Emulator):
    book = Book(sheets_api)
    start = {"sheetId": 0, "rowIndex": 1, "columnIndex": 1}
    book.do({"pasteData": {"coordinate": start, "data": 'a,"b,c"\nd', "delimiter": ","}})
    assert book.values() == [[], ["", "a", "b,c"], ["", "d"]]
    corner = {"rowIndex": 999, "columnIndex": 25}
    book.do({"pasteData": {"coordinate": corner, "data": "a|b\nc", "delimiter": "|"}})
    grid = book.document.sheets[0].grid
    assert (grid.row_count, grid.column_count) == (1001, 27)
    assert book.values("Sheet1!Z1000:AA") == [["a", "b"], ["c"]]
    page = "<table><tr><td>x</td><td>y</td></tr><tr><th>z</th></tr></table>"
    book.do({"pasteData": {"coordinate": {}, "data": page, "html": True}})
    assert book.values("Sheet1!A1:B2") == [["x", "y"], ["z", "a"]]
    assert "delimiter" in book.refused({"pasteData": {"coordinate": {}, "data": "x"}})


def test_a_series_is_filled_on(sheets_api: Emulator):
    book = Book(sheets_api, [[1, "a"], [3, "b"]])
    fill = {"source": area(0, 2, 0, 2), "dimension": "ROWS", "fillLength": 3}
    assert book.do({"autoFill": {"sourceAndDestination": fill}}) == [{}]
    assert book.values() == [["1", "a"], ["3", "b"], ["5", "a"], ["7", "b"], ["9", "a"]]


# insertRange, deleteRange


@pytest.mark.parametrize(
    ("kind", "dimension", "after"),
    [
        ("insertRange", "ROWS", [["a", "", "c"], ["d", "b", "f"], ["g", "e", "i"], ["", "h"]]),
        ("insertRange", "COLUMNS", [["a", "", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]),
        ("deleteRange", "ROWS", [["a", "e", "c"], ["d", "h", "f"], ["g", "", "i"]]),
        ("deleteRange", "COLUMNS", [["a", "c"], ["d", "e", "f"], ["g", "h", "i"]]),
    ],
)
def test_neighbours_move_over(
    sheets_api: Emulator, kind: str, dimension: str, after: list[list[str]]
):
    book = Book(sheets_api, [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]])
    assert book.do({kind: {"range": area(0, 1, 1, 2), "shiftDimension": dimension}}) == [{}]
    assert book.values() == after


def test_nothing_falls_off_the_grid_when_cells_move_over(sheets_api: Emulator):
    book = Book(sheets_api)
    grid = book.document.sheets[0].grid
    grid.put(999, 0, Cell("last row"))
    grid.put(0, 25, Cell("last column"))
    book.do(
        {"insertRange": {"range": area(0, 2, 0, 1), "shiftDimension": "ROWS"}},
        {"insertRange": {"range": area(0, 1, 24, 25), "shiftDimension": "COLUMNS"}},
    )
    assert book.values("Sheet1!A1002") == [["last row"]]
    assert book.values("Sheet1!AA1") == [["last column"]]


def test_formulas_follow_cells_that_moved_over(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"], ["c", "d"]])
    book.formula("D9", "=A2+B2+A1:B2")
    book.do({"insertRange": {"range": area(0, 1, 1, 2), "shiftDimension": "ROWS"}})
    assert book.formula_at("D9") == "=A2+B3+A1:B2"
    book.do({"deleteRange": {"range": area(2, 3, 1, 2), "shiftDimension": "ROWS"}})
    assert book.formula_at("D9") == "=A2+#REF!+A1:B2"
