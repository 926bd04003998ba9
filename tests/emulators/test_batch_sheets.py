"""Tabs: added, deleted, copied, renamed, moved, hidden, resized, coloured."""

import pytest

from tests.emulators.book import Book
from tests.emulators.sheets.emulator import Emulator


def changed(book: Book, fields: str, sheet_id: int = 0, **properties: object) -> None:
    sent = {"properties": {"sheetId": sheet_id, **properties}, "fields": fields}
    assert book.do({"updateSheetProperties": sent}) == [{}]


def refusal(book: Book, fields: str, sheet_id: int = 0, **properties: object) -> str:
    sent = {"properties": {"sheetId": sheet_id, **properties}, "fields": fields}
    kind = "Invalid requests[0].updateSheetProperties: "
    sentence = book.refused({"updateSheetProperties": sent})
    assert sentence.startswith(kind)
    return sentence.removeprefix(kind)


def three(api: Emulator) -> Book:
    book = Book(api)
    for number in (2, 3):
        book.do({"addSheet": {"properties": {"sheetId": number, "title": f"S{number}"}}})
    return book


def test_a_new_tab_answers_with_all_it_got(sheets_api: Emulator):
    book = Book(sheets_api)
    size = {"rowCount": 1, "columnCount": 2}
    (reply,) = book.do(
        {"addSheet": {"properties": {"title": "T", "sheetType": "GRID", "gridProperties": size}}}
    )
    made = reply["addSheet"]["properties"]
    assert made.pop("sheetId") > 0
    assert made == {"title": "T", "index": 1, "sheetType": "GRID", "gridProperties": size}


def test_a_new_tab_needs_nothing(sheets_api: Emulator):
    book = Book(sheets_api)
    (reply,) = book.do({"addSheet": {}})
    made = reply["addSheet"]["properties"]
    assert made["title"] == "Sheet2"
    assert made["gridProperties"] == {"rowCount": 1000, "columnCount": 26}


def test_a_new_tab_goes_where_its_index_says(sheets_api: Emulator):
    book = three(sheets_api)
    book.do({"addSheet": {"properties": {"title": "first", "index": 0}}})
    assert book.titles() == ["first", "Sheet1", "S2", "S3"]


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        (
            {"title": "sheet1"},
            'A sheet with the name "sheet1" already exists. Please enter another name.',
        ),
        ({"title": "x" * 101}, "The sheet name cannot be greater than 100 characters."),
        ({"sheetId": -1}, "Sheet id must be non-negative."),
        ({"sheetId": 0}, "Sheet with id 0 already exists."),
        (
            {"gridProperties": {"rowCount": 400_000, "columnCount": 26}},
            (
                "This action would increase the number of cells in the workbook above the limit of"
                " 10000000 cells."
            ),
        ),
        (
            {"gridProperties": {"rowCount": 1, "frozenRowCount": 1}},
            "You can't freeze all visible rows on the sheet.",
        ),
    ],
)
def test_a_tab_that_cannot_be_is_refused(
    sheets_api: Emulator, properties: dict[str, object], sentence: str
):
    book = Book(sheets_api)
    assert book.refused({"addSheet": {"properties": properties}}) == (
        f"Invalid requests[0].addSheet: {sentence}"
    )


def test_a_tab_goes_but_not_the_last_one_that_shows(sheets_api: Emulator):
    book = three(sheets_api)
    assert book.do({"deleteSheet": {"sheetId": 2}}) == [{}]
    assert book.titles() == ["Sheet1", "S3"]
    changed(book, "hidden", 3, hidden=True)
    assert book.refused({"deleteSheet": {"sheetId": 0}}).endswith(
        "You can't remove all the visible sheets in a document."
    )
    book.do({"deleteSheet": {"sheetId": 3}})
    assert book.refused({"deleteSheet": {"sheetId": 0}}).endswith(
        "You can't remove all the sheets in a document."
    )


def test_a_deleted_tab_takes_its_names_along_and_leaves_ref_behind(sheets_api: Emulator):
    book = three(sheets_api)
    book.do({"addNamedRange": {"namedRange": {"name": "Here", "range": {"sheetId": 2}}}})
    for place, text in (("A1", "=S2!A1+1"), ("B1", "=SUM('S2'!A:A)"), ("C1", "=S3!B2")):
        book.formula(place, text)
    book.do({"deleteSheet": {"sheetId": 2}})
    assert book.document.named_ranges == []
    assert [book.formula_at(place) for place in ("A1", "B1", "C1")] == [
        "=#REF!+1",
        "=SUM(#REF!)",
        "=S3!B2",
    ]


def test_a_renamed_tab_is_renamed_in_formulas(sheets_api: Emulator):
    book = three(sheets_api)
    book.formula("A1", '=S2!A1+"S2!A1"')
    book.formula("B1", "=sum(S2!$B$2:C)")
    changed(book, "title", 2, title="My tab")
    assert book.titles() == ["Sheet1", "My tab", "S3"]
    assert book.formula_at("A1") == "='My tab'!A1+\"S2!A1\""
    assert book.formula_at("B1") == "=sum('My tab'!$B$2:C)"


def test_a_tab_keeps_its_name_but_not_anothers(sheets_api: Emulator):
    book = three(sheets_api)
    changed(book, "title", 2, title="s2")
    assert refusal(book, "title", 2, title="S3") == (
        'A sheet with the name "S3" already exists. Please enter another name.'
    )
    assert refusal(book, "title", 2, title="") == "The sheet name cannot be empty."
    assert refusal(book, "title", 9, title="x") == "No sheet with id: 9"


@pytest.mark.parametrize(
    ("sheet_id", "index", "order"),
    [
        (0, 2, "S2 Sheet1 S3"),  # before the tab that has index 2 now
        (0, 3, "S2 S3 Sheet1"),
        (0, 1, "Sheet1 S2 S3"),  # ignored: that is where it is
        (3, 0, "S3 Sheet1 S2"),
        (2, 1, "Sheet1 S2 S3"),
    ],
)
def test_a_tab_moves_in_the_order_before_the_move(
    sheets_api: Emulator, sheet_id: int, index: int, order: str
):
    book = three(sheets_api)
    changed(book, "index", sheet_id, index=index)
    assert book.titles() == order.split()


def test_one_tab_must_show(sheets_api: Emulator):
    book = three(sheets_api)
    changed(book, "hidden", 0, hidden=True)
    changed(book, "hidden", 2, hidden=True)
    assert refusal(book, "hidden", 3, hidden=True) == "You can't hide all the sheets in a document."
    changed(book, "hidden", 0, hidden=False)
    assert "hidden" not in book.document.sheet_properties(book.document.sheet(0))


def test_a_grid_is_resized_by_what_the_mask_names(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"], ["c", "d"], ["e", "f"]])
    grid = {"rowCount": 2, "columnCount": 1}
    changed(book, "gridProperties/rowCount", gridProperties=grid)
    assert book.values() == [["a", "b"], ["c", "d"]]
    changed(book, "gridProperties(rowCount,columnCount)", gridProperties=grid)
    assert book.values() == [["a"], ["c"]]
    changed(book, "gridProperties.rowCount", gridProperties={"rowCount": 5})
    shown = book.document.sheet_properties(book.document.sheets[0])["gridProperties"]
    assert shown == {"rowCount": 5, "columnCount": 1}


@pytest.mark.parametrize(
    ("fields", "grid", "sentence"),
    [
        ("gridProperties", {"frozenRowCount": 1}, "You can't delete all the rows on the sheet."),
        (
            "gridProperties.columnCount",
            {"columnCount": 0},
            "You can't delete all the columns on the sheet.",
        ),
        (
            "gridProperties.frozenRowCount",
            {"frozenRowCount": 1000},
            "You can't freeze all visible rows on the sheet.",
        ),
        (
            "gridProperties.frozenColumnCount",
            {"frozenColumnCount": 26},
            "You can't freeze all visible columns on the sheet.",
        ),
        (
            "gridProperties.rowCount",
            {"rowCount": 1_000_000},
            (
                "This action would increase the number of cells in the workbook above the limit of"
                " 10000000 cells."
            ),
        ),
    ],
)
def test_a_grid_that_cannot_be_is_refused(
    sheets_api: Emulator, fields: str, grid: dict[str, int], sentence: str
):
    assert refusal(Book(sheets_api), fields, gridProperties=grid) == sentence


def test_frozen_rows_cannot_be_all_that_is_left(sheets_api: Emulator):
    book = Book(sheets_api)
    changed(book, "gridProperties.frozenRowCount", gridProperties={"frozenRowCount": 2})
    assert refusal(book, "gridProperties.rowCount", gridProperties={"rowCount": 2}) == (
        "Sorry, it is not possible to delete all non-frozen rows."
    )
    changed(book, "gridProperties.frozenRowCount", gridProperties={"frozenRowCount": 0})
    changed(book, "gridProperties.rowCount", gridProperties={"rowCount": 1})


def test_a_tabs_colour_is_shown_in_both_spellings_until_it_is_taken_away(sheets_api: Emulator):
    book = Book(sheets_api)
    pink = {"red": 1.0, "green": 0.0, "blue": 127 / 255}
    shown = {"red": 1, "blue": 0.49803922}
    changed(book, "tabColorStyle", tabColorStyle={"rgbColor": pink})
    sheet = book.document.sheets[0]
    assert sheet.extra == {"tabColor": shown, "tabColorStyle": {"rgbColor": shown}}
    changed(book, "tabColorStyle", tabColorStyle={"rgbColor": None})
    assert sheet_extra(book) == {}
    changed(book, "tabColor", tabColor={"green": 1})
    assert sheet_extra(book) == {
        "tabColor": {"green": 1},
        "tabColorStyle": {"rgbColor": {"green": 1}},
    }
    changed(book, "tabColorStyle", tabColorStyle={"themeColor": "ACCENT2"})
    assert sheet_extra(book)["tabColor"] == {
        "red": 0.91764706,
        "green": 0.2627451,
        "blue": 0.20784314,
    }
    changed(book, "tabColor")
    assert sheet_extra(book) == {}


def sheet_extra(book: Book) -> dict[str, object]:
    return book.document.sheets[0].extra


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("updateSheetProperties", {"properties": {"title": "x"}}),
        ("updateSpreadsheetProperties", {"properties": {"title": "x"}, "fields": ""}),
        ("repeatCell", {"range": {}, "cell": {}}),
        ("updateCells", {"range": {}}),
        ("updateDimensionProperties", {"range": {"dimension": "ROWS"}}),
        ("updateNamedRange", {}),
        ("updateProtectedRange", {}),
        ("updateFilterView", {}),
        ("updateBanding", {}),
        ("updateDeveloperMetadata", {}),
        ("updateDimensionGroup", {}),
    ],
)
def test_an_update_without_a_mask_is_refused(sheets_api: Emulator, kind: str, body: object):
    assert Book(sheets_api).refused({kind: body}) == (
        f"Invalid requests[0].{kind}: At least one field must be listed in 'fields'."
        " (Use '*' to indicate all fields.)"
    )


def test_a_copy_of_a_tab_has_its_cells_and_what_hangs_on_it(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"], ["c"]])
    book.do(
        {"mergeCells": {"range": {"sheetId": 0, "endRowIndex": 1, "endColumnIndex": 3}}},
        {"addProtectedRange": {"protectedRange": {"range": {"sheetId": 0}, "warningOnly": True}}},
        {"updateCells": {
            "start": {"rowIndex": 1, "columnIndex": 1},
            "rows": [{"values": [{"note": "n"}]}],
            "fields": "note",
        }},
    )  # fmt: skip
    (reply,) = book.do({"duplicateSheet": {"sourceSheetId": 0, "newSheetName": None}})
    made = reply["duplicateSheet"]["properties"]
    assert made["title"] == "Copy of Sheet1"
    assert made["index"] == 0
    assert book.titles() == ["Copy of Sheet1", "Sheet1"]
    copy, source = book.document.sheets
    assert book.values("'Copy of Sheet1'") == book.values("Sheet1")
    assert copy.grid.cell(1, 1) == source.grid.cell(1, 1)
    assert [m.sheet_id for m in copy.parts["merges"]] == [made["sheetId"]]
    (ours,), (theirs,) = copy.parts["protectedRanges"], source.parts["protectedRanges"]
    assert ours["protectedRangeId"] != theirs["protectedRangeId"]
    book.do({"duplicateSheet": {"sourceSheetId": 0, "insertSheetIndex": 2, "newSheetId": 8}})
    assert book.titles() == ["Copy of Sheet1", "Sheet1", "Copy of Sheet1 2"]
    sentence = book.refused({"duplicateSheet": {"sourceSheetId": 0, "newSheetName": "Sheet1"}})
    assert sentence.startswith("Invalid requests[0].duplicateSheet: A sheet with the name")


def test_the_spreadsheets_own_properties(sheets_api: Emulator):
    book = Book(sheets_api)

    def update(fields: str, **properties: str) -> dict[str, object]:
        return {"updateSpreadsheetProperties": {"properties": properties, "fields": fields}}

    assert book.do(
        update("timeZone", timeZone="Europe/Paris"), update("locale", locale="fr_FR")
    ) == [
        {},
        {},
    ]
    assert book.do(update("title", title="🎊 New", locale="de_DE")) == [{}]
    kept = book.document.properties
    assert (kept["title"], kept["locale"], kept["timeZone"]) == ("🎊 New", "fr_FR", "Europe/Paris")
    assert "Mars/Olympus" in book.refused(update("timeZone", timeZone="Mars/Olympus"))
    assert "12_34" in book.refused(update("locale", locale="12_34"))
    assert "empty" in book.refused(update("title", title=""))
