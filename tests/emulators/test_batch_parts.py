"""What hangs on cells: names, protection, filters, rules, bands, metadata; and how it is shown."""

from typing import Any

import pytest
import requests

from tests.emulators.book import Book, area, span
from tests.emulators.sheets.emulator import Emulator

Json = Any
PROTECTED = (
    "You are trying to edit a protected cell or object. Please contact the spreadsheet owner to"
    " remove protection if you need to edit."
)


def sheet(book: Book, number: int = 0) -> Json:
    return book.get()["sheets"][number]


# named ranges


def name(text: str, where: Json, **more: Json) -> Json:
    return {"addNamedRange": {"namedRange": {"name": text, "range": where, **more}}}


def test_a_named_range_is_answered_listed_changed_and_read_by_its_name(sheets_api: Emulator):
    book = Book(sheets_api, [["a", "b"], ["c", "d"]])
    (reply,) = book.do(name("Corner", area(0, 1, 0, 2)))
    named = reply["addNamedRange"]["namedRange"]
    own_id = named.pop("namedRangeId")
    where = {"startRowIndex": 0, "endRowIndex": 1, "startColumnIndex": 0, "endColumnIndex": 2}
    assert named == {"name": "Corner", "range": where}
    assert book.get("namedRanges") == {"namedRanges": [{"namedRangeId": own_id, **named}]}
    assert book.values("corner") == [["a", "b"]]
    change = {"namedRangeId": own_id, "name": "Other", "range": {"startRowIndex": 1}}
    assert book.do({"updateNamedRange": {"namedRange": change, "fields": "name"}}) == [{}]
    assert book.values("Other") == [["a", "b"]]
    book.do({"updateNamedRange": {"namedRange": {**change, "range": area(1, 2, 0, 1)},
                                  "fields": "namedRange.range"}})  # fmt: skip
    assert book.values("Other") == [["c"]]
    assert book.do({"deleteNamedRange": {"namedRangeId": own_id}}) == [{}]
    assert book.get("namedRanges") == {}


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (
            name("taken", area(0, 1, 0, 1)),
            ("addNamedRange: Cannot add named range with name taken, a named range with that name"
            " already exists."),
        ),
        (name("A1", area(0, 1, 0, 1)), "addNamedRange: Invalid name for the named range: A1"),
        (name("two words", area(0, 1, 0, 1)),
         "addNamedRange: Invalid name for the named range: two words"),
        (name("Far", {"sheetId": 5}), "addNamedRange: No grid with id: 5"),
        ({"deleteNamedRange": {"namedRangeId": "x"}},
         "deleteNamedRange: No named range with id: x"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused(sheets_api: Emulator, wanted: Json, sentence: str):
    book = Book(sheets_api)
    book.do(name("Taken", area(0, 1, 0, 1)))
    assert book.refused(wanted) == f"Invalid requests[0].{sentence}"


# protected ranges


def protect(where: Json, **more: Json) -> Json:
    return {"addProtectedRange": {"protectedRange": {"range": where, **more}}}


def test_a_protected_range_is_answered_listed_changed_and_deleted(sheets_api: Emulator):
    book = Book(sheets_api)
    (reply,) = book.do(
        protect(
            area(0, 2, 0, 2),
            description=None,
            warningOnly=False,
            requestingUserCanEdit=False,
            editors={"users": [], "groups": []},
        )
    )
    made = reply["addProtectedRange"]["protectedRange"]
    own_id = made["protectedRangeId"]
    assert made == {
        "protectedRangeId": own_id,
        "range": {"startRowIndex": 0, "endRowIndex": 2, "startColumnIndex": 0, "endColumnIndex": 2},
        "requestingUserCanEdit": True,
        "editors": {},
    }
    assert sheet(book)["protectedRanges"] == [made]
    change = {"protectedRangeId": own_id, "description": "ours", "warningOnly": True}
    update = {"protectedRange": change, "fields": "description,warningOnly"}
    assert book.do({"updateProtectedRange": update}) == [{}]
    assert sheet(book)["protectedRanges"] == [{**made, "description": "ours", "warningOnly": True}]
    assert book.do({"deleteProtectedRange": {"protectedRangeId": str(own_id)}}) == [{}]
    assert "protectedRanges" not in sheet(book)
    assert book.refused({"deleteProtectedRange": {"protectedRangeId": 5}}) == (
        "Invalid requests[0].deleteProtectedRange: No protected range with id: 5"
    )


def test_what_is_protected_follows_the_name_it_is_made_of(sheets_api: Emulator):
    book = Book(sheets_api)
    (reply,) = book.do(name("Ours", area(0, 1, 0, 1)))
    named = reply["addNamedRange"]["namedRange"]["namedRangeId"]
    protected = {"namedRangeId": named, "warningOnly": True}
    book.do({"addProtectedRange": {"protectedRange": protected}})
    change = {"namedRangeId": named, "range": area(4, 5, 0, 1)}
    book.do({"updateNamedRange": {"namedRange": change, "fields": "range"}})
    assert sheet(book)["protectedRanges"][0]["range"]["startRowIndex"] == 4


class Guest:
    """Somebody who may write to the file, but does not own it."""

    def __init__(self, book: Book, email: str = "guest@example.com"):
        api = book.api
        book.file.share(email, "writer")
        info = api.accounts.service_account(email, api.token_uri)
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        credentials = Credentials.from_service_account_info(
            info, scopes=["https://www.googleapis.com/auth/spreadsheets"]
        )
        credentials.refresh(Request())
        self.book = book
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {credentials.token}"

    def do(self, *wanted: Json) -> tuple[int, str]:
        url = self.book.url + ":batchUpdate"
        answer = self.http.post(url, json={"requests": wanted}, timeout=60)
        return answer.status_code, answer.json().get("error", {}).get("message", "")

    def sheet(self) -> Json:
        return self.http.get(self.book.url, timeout=60).json()["sheets"][0]


EDITS = [
    {"repeatCell": {"range": area(0, 3, 0, 1), "cell": {"note": "n"}, "fields": "note"}},
    {"updateCells": {"start": {"rowIndex": 1}, "rows": [{"values": [{}]}], "fields": "note"}},
    {"sortRange": {"range": area(0, 9, 0, 2)}},
    {"mergeCells": {"range": area(1, 3, 0, 2), "mergeType": "MERGE_ALL"}},
    {"copyPaste": {"source": area(8, 9, 0, 1), "destination": area(1, 2, 0, 1)}},
    {"cutPaste": {"source": area(1, 2, 0, 1), "destination": {"rowIndex": 8}}},
    {"findReplace": {"find": "b", "replacement": "c", "allSheets": True}},
    {"deleteDimension": {"range": span("ROWS", 1, 2)}},
    {"moveDimension": {"source": span("ROWS", 1, 2), "destinationIndex": 5}},
    {"deleteSheet": {"sheetId": 0}},
    {"trimWhitespace": {"range": area(0, 9, 0, 2)}},
    {"insertRange": {"range": area(1, 2, 0, 1), "shiftDimension": "ROWS"}},
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: next(iter(e)))
def test_only_editors_of_a_protected_range_edit_what_is_in_it(sheets_api: Emulator, edit: Json):
    book = Book(sheets_api, [["a"], ["b"], ["c"]])
    book.do({"addSheet": {}}, protect(area(1, 2, 0, 1)))
    guest = Guest(book)
    kind = next(iter(edit))
    assert guest.do(edit) == (400, f"Invalid requests[0].{kind}: {PROTECTED}")
    assert book.values("Sheet1") == [["a"], ["b"], ["c"]]
    assert book.do(edit)  # the owner may


def test_an_editor_may_and_a_warning_stops_nobody(sheets_api: Emulator):
    book = Book(sheets_api, [["a"], ["b"]])
    edit = EDITS[0]
    book.do(protect(area(0, 1, 0, 1), editors={"users": ["guest@example.com"]}))
    book.do(protect(area(1, 2, 0, 1), warningOnly=True))
    guest = Guest(book)
    assert guest.do(edit) == (200, "")
    assert [p["requestingUserCanEdit"] for p in guest.sheet()["protectedRanges"]] == [True, True]
    other = Guest(book, "other@example.com")
    assert other.do(edit)[0] == 400
    first, second = other.sheet()["protectedRanges"]
    assert "requestingUserCanEdit" not in first
    assert "editors" not in first
    assert second["requestingUserCanEdit"] is True
    gone = {"deleteProtectedRange": {"protectedRangeId": first["protectedRangeId"]}}
    assert other.do(gone) == (400, f"Invalid requests[0].deleteProtectedRange: {PROTECTED}")


def test_a_protected_tab_may_have_open_places(sheets_api: Emulator):
    book = Book(sheets_api, [["a"], ["b"]])
    book.do(protect({"sheetId": 0}, unprotectedRanges=[area(0, 1, 0, 1)]))
    guest = Guest(book)
    note = {"cell": {"note": "n"}, "fields": "note"}
    assert guest.do({"repeatCell": {"range": area(0, 1, 0, 1), **note}})[0] == 200
    assert guest.do({"repeatCell": {"range": area(0, 2, 0, 1), **note}})[0] == 400
    assert book.refused(protect(area(0, 2, 0, 2), unprotectedRanges=[area(0, 1, 0, 1)])).endswith(
        "Unprotected ranges are only supported on protected sheets."
    )


TAB_EDITS = [
    {"insertDimension": {"range": span("ROWS", 0, 1)}},
    {"appendDimension": {"dimension": "ROWS", "length": 1}},
    {"updateSheetProperties": {"properties": {"title": "x"}, "fields": "title"}},
    {"addDimensionGroup": {"range": span("ROWS", 0, 1)}},
]


@pytest.mark.parametrize("edit", TAB_EDITS, ids=lambda e: next(iter(e)))
def test_a_tab_protected_as_a_whole_keeps_its_size_and_name(sheets_api: Emulator, edit: Json):
    book = Book(sheets_api, [["a"]])
    book.do(protect({"sheetId": 0}, unprotectedRanges=[area(0, 1, 0, 1)]))
    guest = Guest(book)
    assert guest.do(edit) == (400, f"Invalid requests[0].{next(iter(edit))}: {PROTECTED}")
    assert book.do(edit)


def test_rows_are_put_beside_a_protected_range_but_not_into_it(sheets_api: Emulator):
    book = Book(sheets_api, [["a"], ["b"]])
    book.do(protect(area(0, 2, 0, 1)))
    guest = Guest(book)
    assert guest.do({"insertDimension": {"range": span("ROWS", 1, 2)}})[0] == 400
    assert guest.do({"insertDimension": {"range": span("ROWS", 2, 3)}})[0] == 200
    assert guest.do({"insertDimension": {"range": span("ROWS", 0, 1)}})[0] == 200


# filters


def test_a_basic_filter_reaches_over_the_grid_unless_told(sheets_api: Emulator):
    book = Book(sheets_api)
    size = {"sheetId": 0, "gridProperties": {"rowCount": 20, "columnCount": 10}}
    mask = "gridProperties(rowCount,columnCount)"
    book.do({"updateSheetProperties": {"properties": size, "fields": mask}})
    assert book.do({"setBasicFilter": {"filter": {"range": {"sheetId": 0}}}}) == [{}]
    whole = {"startRowIndex": 0, "endRowIndex": 20, "startColumnIndex": 0, "endColumnIndex": 10}
    assert sheet(book)["basicFilter"] == {"range": whole}
    book.do({"setBasicFilter": {"filter": {"range": area(0, 2, 1, 3)}}})
    assert sheet(book)["basicFilter"]["range"]["startColumnIndex"] == 1
    assert book.do({"clearBasicFilter": {"sheetId": 0}}) == [{}]
    assert "basicFilter" not in sheet(book)


def hidden(book: Book) -> list[int]:
    data = book.get("sheets.data.rowMetadata", ranges="Sheet1!A1:A6")["sheets"][0]["data"][0]
    return [i for i, row in enumerate(data["rowMetadata"]) if row.get("hiddenByFilter")]


@pytest.mark.parametrize(
    ("criteria", "rows"),
    [
        ({"hiddenValues": ["a", "2"]}, [1, 3]),
        ({"condition": {"type": "TEXT_CONTAINS", "values": [{"userEnteredValue": "B"}]}},
         [1, 3, 4, 5]),
        ({"condition": {"type": "NUMBER_GREATER", "values": [{"userEnteredValue": "2"}]}},
         [1, 2, 3, 5]),
        ({"condition": {"type": "NOT_BLANK"}}, [5]),
    ],
)  # fmt: skip
def test_a_basic_filter_hides_rows_but_reads_see_them(
    sheets_api: Emulator, criteria: Json, rows: list[int]
):
    book = Book(sheets_api, [["head"], ["a"], ["b"], [2], [3]])
    spec = [{"columnIndex": 0, "filterCriteria": criteria}]
    book.do({"setBasicFilter": {"filter": {"range": area(0, 6, 0, 1), "filterSpecs": spec}}})
    assert hidden(book) == rows
    assert book.values() == [["head"], ["a"], ["b"], ["2"], ["3"]]
    book.do({"clearBasicFilter": {"sheetId": 0}})
    assert hidden(book) == []


def test_a_basic_filter_sorts_the_rows_below_its_header(sheets_api: Emulator):
    book = Book(sheets_api, [["z"], ["b"], ["a"]])
    by = [{"dimensionIndex": 0, "sortOrder": "ASCENDING"}]
    book.do({"setBasicFilter": {"filter": {"range": area(0, 3, 0, 1), "sortSpecs": by}}})
    assert book.values() == [["z"], ["a"], ["b"]]


def test_filter_views_come_and_go(sheets_api: Emulator):
    book = Book(sheets_api)
    (reply,) = book.do({"addFilterView": {"filter": {"range": area(0, 5, 0, 2)}}})
    view = reply["addFilterView"]["filter"]
    own_id = view["filterViewId"]
    assert view["title"] == "Filter 1"
    (reply,) = book.do({"duplicateFilterView": {"filterId": own_id}})
    twin = reply["duplicateFilterView"]["filter"]
    assert twin["title"] == "Copy of Filter 1"
    assert twin["range"] == view["range"]
    change = {"filterViewId": own_id, "title": "Mine"}
    assert book.do({"updateFilterView": {"filter": change, "fields": "title"}}) == [{}]
    assert [v["title"] for v in sheet(book)["filterViews"]] == ["Mine", "Copy of Filter 1"]
    for view_id in (own_id, twin["filterViewId"]):
        assert book.do({"deleteFilterView": {"filterId": view_id}}) == [{}]
    assert "filterViews" not in sheet(book)
    assert "No filter view with id: 3" in book.refused({"deleteFilterView": {"filterId": 3}})


# conditional formats, bands, slicers, charts


def rule(text: str) -> Json:
    condition = {"type": "TEXT_EQ", "values": [{"userEnteredValue": text}]}
    red = {"backgroundColor": {"red": 1}}
    return {
        "ranges": [area(0, 2, 0, 1)],
        "booleanRule": {"condition": condition, "format": red},
    }


def rules(book: Book) -> list[str]:
    found = sheet(book).get("conditionalFormats", [])
    return [r["booleanRule"]["condition"]["values"][0]["userEnteredValue"] for r in found]


def test_rules_are_kept_in_their_order(sheets_api: Emulator):
    book = Book(sheets_api)
    for i, text in enumerate("ab"):
        assert book.do({"addConditionalFormatRule": {"rule": rule(text), "index": i}}) == [{}]
    book.do({"addConditionalFormatRule": {"rule": rule("first")}})
    assert rules(book) == ["first", "a", "b"]
    shape = sheet(book)["conditionalFormats"][0]["booleanRule"]["format"]
    assert shape["backgroundColorStyle"] == {"rgbColor": {"red": 1}}
    (reply,) = book.do({"updateConditionalFormatRule": {"index": 0, "newIndex": 2}})
    moved = reply["updateConditionalFormatRule"]
    assert moved["newIndex"] == 2
    assert "oldIndex" not in moved  # it was 0
    assert rules(book) == ["a", "b", "first"]
    (reply,) = book.do({"updateConditionalFormatRule": {"index": 1, "rule": rule("B")}})
    assert reply["updateConditionalFormatRule"]["newIndex"] == 1
    assert {"newRule", "oldRule"} <= reply["updateConditionalFormatRule"].keys()
    (reply,) = book.do({"deleteConditionalFormatRule": {"index": 0, "sheetId": 0}})
    assert reply["deleteConditionalFormatRule"]["rule"]["ranges"][0]["endRowIndex"] == 2
    assert rules(book) == ["B", "first"]
    assert book.refused({"deleteConditionalFormatRule": {"index": 9}}) == (
        "Invalid requests[0].deleteConditionalFormatRule: No conditional format on sheet: 0 at"
        " index: 9"
    )


WHITE = {"color": {"red": 1, "green": 1, "blue": 1}}


@pytest.mark.parametrize(
    ("gradient", "sentence"),
    [
        ({"minpoint": {"type": "MIN", **WHITE}}, "No interpolationPointType specified."),
        ({"minpoint": WHITE, "maxpoint": {"type": "MAX"}}, "No interpolationPointType specified."),
        ({"minpoint": {"type": "MIN"}, "midpoint": {"type": "PERCENT"},
          "maxpoint": {"type": "MAX"}}, "InterpolationPoint.value is required."),
    ],
)  # fmt: skip
def test_a_colour_scale_needs_its_ends_and_their_numbers(
    sheets_api: Emulator, gradient: Json, sentence: str
):
    rule = {"ranges": [{"sheetId": 0}], "gradientRule": gradient}
    assert Book(sheets_api).refused({"addConditionalFormatRule": {"rule": rule}}) == (
        f"Invalid requests[0].addConditionalFormatRule: {sentence}"
    )


def test_a_colour_scale_is_kept_without_the_numbers_that_mean_nothing(sheets_api: Emulator):
    book = Book(sheets_api)
    ends = {"minpoint": {"type": "MIN", "value": "2", **WHITE}, "maxpoint": {"type": "MAX"}}
    book.do({"addConditionalFormatRule": {"rule": {"ranges": [{}], "gradientRule": ends}}})
    (kept,) = sheet(book)["conditionalFormats"]
    assert kept["gradientRule"]["minpoint"] == {
        "type": "MIN",
        **WHITE,
        "colorStyle": {"rgbColor": WHITE["color"]},
    }


def test_bands_do_not_overlap(sheets_api: Emulator):
    book = Book(sheets_api)
    colours = {"firstBandColor": {"red": 1}, "secondBandColorStyle": {"rgbColor": {"blue": 1}}}
    band = {"range": area(0, 4, 0, 2), "rowProperties": colours}
    (reply,) = book.do({"addBanding": {"bandedRange": band}})
    made = reply["addBanding"]["bandedRange"]
    assert made["rowProperties"]["secondBandColor"] == {"blue": 1}
    assert sheet(book)["bandedRanges"] == [made]
    assert book.refused({"addBanding": {"bandedRange": {**band, "range": area(3, 9, 1, 2)}}}) == (
        "Invalid requests[0].addBanding: You cannot add alternating background colors to a range"
        " that already has alternating background colors."
    )
    change = {"bandedRangeId": made["bandedRangeId"], "range": area(5, 9, 0, 2)}
    assert book.do({"updateBanding": {"bandedRange": change, "fields": "range"}}) == [{}]
    assert sheet(book)["bandedRanges"][0]["range"]["startRowIndex"] == 5
    assert book.do({"deleteBanding": {"bandedRangeId": made["bandedRangeId"]}}) == [{}]
    assert "bandedRanges" not in sheet(book)


def test_slicers_and_charts_are_kept_where_they_lie(sheets_api: Emulator):
    book = Book(sheets_api)
    anchor = {"overlayPosition": {"anchorCell": {"sheetId": 0, "rowIndex": 3}}}
    (reply,) = book.do(
        {"addSlicer": {"slicer": {"spec": {"dataRange": area(0, 9, 0, 1)}, "position": anchor}}}
    )
    made = reply["addSlicer"]["slicer"]
    assert sheet(book)["slicers"] == [made]
    book.do({"insertDimension": {"range": span("ROWS", 1, 2)}})
    assert sheet(book)["slicers"][0]["spec"]["dataRange"]["endRowIndex"] == 10
    update = {"slicerId": made["slicerId"], "spec": {"title": "T"}, "fields": "title"}
    book.do({"updateSlicerSpec": update})
    assert sheet(book)["slicers"][0]["spec"]["title"] == "T"
    book.do({"deleteEmbeddedObject": {"objectId": made["slicerId"]}})
    assert "slicers" not in sheet(book)
    (reply,) = book.do({"addChart": {"chart": {"spec": {"title": "C"}, "position": anchor}}})
    assert sheet(book)["charts"] == [reply["addChart"]["chart"]]


def test_an_object_moves_over_its_tab(sheets_api: Emulator):
    book = Book(sheets_api)
    place = {"overlayPosition": {"anchorCell": {"sheetId": 0, "rowIndex": 3}}}
    (reply,) = book.do({"addChart": {"chart": {"spec": {"title": "C"}, "position": place}}})
    new = {"overlayPosition": {"anchorCell": {"rowIndex": 9}, "widthPixels": 5}}
    move = {"objectId": reply["addChart"]["chart"]["chartId"], "newPosition": new}
    move["fields"] = "anchorCell.rowIndex"
    (reply,) = book.do({"updateEmbeddedObjectPosition": move})
    shown = {"overlayPosition": {"anchorCell": {"rowIndex": 9}}}
    assert reply == {"updateEmbeddedObjectPosition": {"position": shown}}
    assert sheet(book)["charts"][0]["position"] == shown


def test_tables_follow_their_cells(sheets_api: Emulator):
    book = Book(sheets_api, [["id", ""], ["1", "2"]])
    table = {"name": "Links", "range": area(0, 2, 0, 2)}
    (reply,) = book.do({"addTable": {"table": table}})
    made = reply["addTable"]["table"]
    assert made["columnProperties"] == [
        {"columnName": "id"},
        {"columnIndex": 1, "columnName": "Column 2"},
    ]
    assert sheet(book)["tables"] == [made]
    assert "already" in book.refused({"addTable": {"table": table}})
    book.do({"insertDimension": {"range": span("ROWS", 1, 2)}})
    assert sheet(book)["tables"][0]["range"]["endRowIndex"] == 3
    change = {"tableId": made["tableId"], "name": "Other"}
    book.do({"updateTable": {"table": change, "fields": "name"}})
    assert sheet(book)["tables"][0]["name"] == "Other"
    assert book.do({"deleteTable": {"tableId": made["tableId"]}}) == [{}]
    assert "tables" not in sheet(book)


# groups in spreadsheets.get


def test_groups_are_shown_with_their_tab(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do({"addDimensionGroup": {"range": span("COLUMNS", 0, 2)}})
    shown = {"range": {"dimension": "COLUMNS", "startIndex": 0, "endIndex": 2}, "depth": 1}
    assert book.get("sheets.columnGroups") == {"sheets": [{"columnGroups": [shown]}]}
    book.do({"deleteDimensionGroup": {"range": span("COLUMNS", 0, 2)}})
    assert book.get("sheets.columnGroups") == {"sheets": [{}]}


def test_the_answer_of_a_batch_may_bring_the_spreadsheet(sheets_api: Emulator):
    book = Book(sheets_api, [["a"]])
    sent = {
        "requests": [{"mergeCells": {"range": area(0, 1, 0, 2)}}],
        "includeSpreadsheetInResponse": True,
        "responseRanges": ["Sheet1!A1"],
        "responseIncludeGridData": True,
    }
    answer = book.post(":batchUpdate", sent).json()
    (shown,) = answer["updatedSpreadsheet"]["sheets"]
    assert shown["merges"][0]["endColumnIndex"] == 2
    assert shown["data"][0]["rowData"][0]["values"][0]["formattedValue"] == "a"
