"""Developer metadata: on the spreadsheet, a tab, a row, a column; found by data filters."""

from typing import Any

import pytest

from tests.emulators.book import Book, area, span
from tests.emulators.sheets.emulator import Emulator

Json = Any
ROWS = [["h", "i"], ["a", "b"], ["c", "d"], ["e", "f"]]


def row(index: int, dimension: str = "ROWS") -> Json:
    return {"dimensionRange": span(dimension, index, index + 1)}


def create(key: str, location: Json, value: str = "v", **more: Json) -> Json:
    data = {"metadataKey": key, "metadataValue": value, "location": location}
    return {
        "createDeveloperMetadata": {"developerMetadata": {**data, "visibility": "DOCUMENT"} | more}
    }


def found(book: Book, **lookup: Json) -> list[Json]:
    sent = {"dataFilters": [{"developerMetadataLookup": lookup}]}
    answer = book.post("/developerMetadata:search", sent)
    assert answer.status_code == 200, answer.text
    matched = answer.json().get("matchedDeveloperMetadata", [])
    return [m["developerMetadata"] for m in matched]


def place(book: Book, key: str) -> int | None:
    """The row that the metadata of this key lies on."""
    for data in found(book, metadataKey=key):
        index: int = data["location"]["dimensionRange"]["startIndex"]
        return index
    return None


def test_each_place_is_answered_with_its_kind(sheets_api: Emulator):
    book = Book(sheets_api)
    places = [
        ({"spreadsheet": True}, {"locationType": "SPREADSHEET", "spreadsheet": True}),
        ({"sheetId": 0}, {"locationType": "SHEET", "sheetId": 0}),
        (row(2), {"locationType": "ROW", "dimensionRange":
                  {"dimension": "ROWS", "startIndex": 2, "endIndex": 3}}),
        (row(1, "COLUMNS"), {"locationType": "COLUMN", "dimensionRange":
                             {"dimension": "COLUMNS", "startIndex": 1, "endIndex": 2}}),
    ]  # fmt: skip
    for i, (sent, shown) in enumerate(places):
        (reply,) = book.do(create("k", sent, metadataId=i + 1))
        assert reply["createDeveloperMetadata"]["developerMetadata"] == {
            "metadataId": i + 1,
            "metadataKey": "k",
            "metadataValue": "v",
            "location": shown,
            "visibility": "DOCUMENT",
        }
        got = book.http.get(f"{book.url}/developerMetadata/{i + 1}", timeout=60)
        assert got.json()["location"] == shown
    whole = book.get(includeGridData=True, ranges="Sheet1!A1:C3")
    assert [d["metadataId"] for d in whole["developerMetadata"]] == [1]
    (tab,) = whole["sheets"]
    assert [d["metadataId"] for d in tab["developerMetadata"]] == [2]
    assert tab["data"][0]["rowMetadata"][2]["developerMetadata"][0]["metadataId"] == 3
    assert tab["data"][0]["columnMetadata"][1]["developerMetadata"][0]["metadataId"] == 4
    assert book.http.get(f"{book.url}/developerMetadata/77", timeout=60).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (create("", row(0)), "Developer metadata must always have a key specified."),
        (create("k", row(0), visibility=None),
         "Developer metadata must always have visibility specified."),
        (create("k", {}), "Developer metadata must always have a location specified."),
        (create("k", {"dimensionRange": span("ROWS", 0, 2)}),
         "DimensionRange must represent a single row or column."),
        (create("k", {"sheetId": 9}), "No sheet with id: 9"),
        (create("k", row(0), metadataId=1),
         ("Cannot add developer metadata with ID [1] because developer metadata with that ID"
          " already exists.")),
        (create("k", row(0), value="x" * 30_000),
         ("This action would increase the developer metadata of the sheet above the limit of 30000"
         " characters.")),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_is_refused(sheets_api: Emulator, wanted: Json, sentence: str):
    book = Book(sheets_api)
    book.do(create("one", {"spreadsheet": True}, metadataId=1))
    assert book.refused(wanted) == f"Invalid requests[0].createDeveloperMetadata: {sentence}"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"insertDimension": {"range": span("ROWS", 0, 3)}}, 5),
        ({"insertDimension": {"range": span("ROWS", 3, 4)}}, 2),
        ({"deleteDimension": {"range": span("ROWS", 0, 1)}}, 1),
        ({"deleteDimension": {"range": span("ROWS", 1, 3)}}, None),
        ({"moveDimension": {"source": span("ROWS", 2, 3), "destinationIndex": 0}}, 0),
        ({"moveDimension": {"source": span("ROWS", 0, 1), "destinationIndex": 4}}, 1),
        ({"insertDimension": {"range": span("COLUMNS", 0, 1)}}, 2),
    ],
)
def test_metadata_of_a_row_goes_where_its_row_goes(
    sheets_api: Emulator, change: Json, where: int | None
):
    book = Book(sheets_api, ROWS)
    book.do(create("ours", row(2)), create("theirs", row(0, "COLUMNS")))
    book.do(change)
    assert place(book, "ours") == where


def test_a_lookup_narrows_with_every_part_of_it(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do(
        create("a", {"spreadsheet": True}, metadataId=1),
        create("a", {"sheetId": 0}, metadataId=2),
        create("a", row(3), "other", metadataId=3),
        create("b", row(0, "COLUMNS"), metadataId=4),
    )

    def ids(**lookup: Json) -> list[int]:
        return [data["metadataId"] for data in found(book, **lookup)]

    assert ids() == [1, 2, 3, 4]
    assert ids(metadataKey="a") == [1, 2, 3]
    assert ids(metadataKey="a", metadataValue="other") == [3]
    assert ids(metadataId=2) == [2]
    assert ids(locationType="COLUMN") == [4]
    assert ids(metadataLocation={"sheetId": 0}) == [2, 3, 4]
    exact = "EXACT_LOCATION"
    assert ids(metadataLocation={"sheetId": 0}, locationMatchingStrategy=exact) == [2]
    assert ids(metadataLocation=row(3), locationMatchingStrategy=exact) == [3]
    assert ids(metadataLocation={"spreadsheet": True}) == [1]
    assert ids(visibility="PROJECT") == []
    sent = {"dataFilters": [{"gridRange": area(3, 4, 0, 1)}, {"a1Range": "Sheet1!A4"}]}
    answer = book.post("/developerMetadata:search", sent).json()["matchedDeveloperMetadata"]
    assert [m["developerMetadata"]["metadataId"] for m in answer] == [2, 3, 4]
    assert len(answer[1]["dataFilters"]) == 2
    assert book.post("/developerMetadata:search", {}).json()["error"]["message"] == (
        "At least one data filter must be specified."
    )


def test_metadata_is_changed_and_deleted_by_filter(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    book.do(create("a", row(1)), create("a", row(2)), create("b", row(3)))
    by_key = {"developerMetadataLookup": {"metadataKey": "a"}}
    update = {
        "dataFilters": [by_key],
        "developerMetadata": {"metadataValue": "new", "location": row(0)},
        "fields": "metadataValue",
    }
    (reply,) = book.do({"updateDeveloperMetadata": update})
    changed = reply["updateDeveloperMetadata"]["developerMetadata"]
    assert [c["metadataValue"] for c in changed] == ["new", "new"]
    one = {"developerMetadataLookup": {"metadataKey": "b"}}
    book.do({"updateDeveloperMetadata": {**update, "dataFilters": [one], "fields": "location"}})
    assert place(book, "b") == 0
    (reply,) = book.do({"deleteDeveloperMetadata": {"dataFilter": by_key}})
    assert len(reply["deleteDeveloperMetadata"]["deletedDeveloperMetadata"]) == 2
    assert [d["metadataKey"] for d in found(book)] == ["b"]
    assert book.do({"deleteDeveloperMetadata": {"dataFilter": by_key}}) == [
        {"deleteDeveloperMetadata": {}}
    ]


def test_values_are_read_written_and_cleared_where_the_metadata_is(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    book.do(create("r", row(2)))
    book.do({"insertDimension": {"range": span("ROWS", 0, 1)}})
    by = {"developerMetadataLookup": {"metadataKey": "r"}}
    got = book.post("/values:batchGetByDataFilter", {"dataFilters": [by]}).json()
    (only,) = got["valueRanges"]
    assert only["valueRange"]["range"] == "Sheet1!A4:Z4"
    assert only["valueRange"]["values"] == [["c", "d"]]
    assert only["dataFilters"] == [by]
    data = {"dataFilter": by, "majorDimension": "ROWS", "values": [["X", None, "Y"]]}
    sent = {"valueInputOption": "RAW", "data": [data], "includeValuesInResponse": True}
    put = book.post("/values:batchUpdateByDataFilter", sent).json()
    assert put["totalUpdatedCells"] == 2
    (response,) = put["responses"]
    assert response["dataFilter"] == by
    assert response["updatedData"]["values"] == [["X", "d", "Y"]]
    assert "spreadsheetId" not in response
    cleared = book.post("/values:batchClearByDataFilter", {"dataFilters": [by]}).json()
    assert cleared["clearedRanges"] == ["Sheet1!A4:Z4"]
    assert book.values() == [[], ["h", "i"], ["a", "b"], [], ["e", "f"]]


def test_a_spreadsheet_is_answered_by_filter(sheets_api: Emulator):
    book = Book(sheets_api, ROWS)
    book.do({"addSheet": {"properties": {"sheetId": 4, "title": "Other"}}})
    asked = {"dataFilters": [{"gridRange": area(1, 2, 0, 1)}], "includeGridData": True}
    (tab,) = book.post(":getByDataFilter", asked).json()["sheets"]
    assert tab["properties"]["title"] == "Sheet1"
    assert tab["data"][0]["rowData"] == [{"values": [tab["data"][0]["rowData"][0]["values"][0]]}]
    assert tab["data"][0]["rowData"][0]["values"][0]["formattedValue"] == "a"


def test_a_tab_is_copied_to_another_spreadsheet(sheets_api: Emulator):
    book, other = Book(sheets_api, ROWS), Book(sheets_api)
    book.do({"mergeCells": {"range": area(0, 1, 2, 4)}}, create("k", row(1)))
    for title in ("Copy of Sheet1", "Copy of Sheet1 2"):
        to = {"destinationSpreadsheetId": other.file.file_id}
        made = book.post("/sheets/0:copyTo", to)
        assert made.status_code == 200
        assert made.json()["title"] == title
        assert made.json()["sheetId"] != 0
    assert other.titles() == ["Sheet1", "Copy of Sheet1", "Copy of Sheet1 2"]
    assert other.values("'Copy of Sheet1'") == ROWS
    shown = other.get("sheets(properties.sheetId,merges)")["sheets"][1]
    assert shown["merges"][0]["sheetId"] == shown["properties"]["sheetId"]
    assert book.post("/sheets/0:copyTo", {"destinationSpreadsheetId": "no"}).status_code == 404
    gone = book.post("/sheets/9:copyTo", to)
    assert gone.status_code == 400
