"""What a body must look like before any of its requests is looked at."""

import pytest

from tests.emulators.book import Book, area
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.requests_parse import read_message, single_precision

V4 = "type.googleapis.com/google.apps.sheets.v4"
UNKNOWN = "Invalid JSON payload received. Unknown name"

REFUSALS = [
    ({"frobnicate": {}}, f"{UNKNOWN} \"frobnicate\" at 'requests[0]': Cannot find field."),
    (
        {"addSheet": {"properties": {"titel": "x"}}},
        f"{UNKNOWN} \"titel\" at 'requests[0].add_sheet.properties': Cannot find field.",
    ),
    (
        {"updateDimensionProperties": {"range": {"startRowIndex": 1}}},
        (f"{UNKNOWN} \"startRowIndex\" at 'requests[0].update_dimension_properties.range':"
        " Cannot find field."),
    ),
    (
        {"deleteSheet": {"sheetId": "abc"}},
        "Invalid value at 'requests[0].delete_sheet.sheet_id' (TYPE_INT32), \"abc\"",
    ),
    (
        {"deleteSheet": {"sheetId": 1.5}},
        "Invalid value at 'requests[0].delete_sheet.sheet_id' (TYPE_INT32), 1.5",
    ),
    (
        {"updateCells": {"rows": [{"values": [{"note": 42}]}]}},
        "Invalid value at 'requests[0].update_cells.rows[0].values[0].note' (TYPE_STRING), 42",
    ),
    (
        {"insertDimension": {"inheritFromBefore": "perhaps"}},
        ("Invalid value at 'requests[0].insert_dimension.inherit_from_before' (TYPE_BOOL),"
        ' "perhaps"'),
    ),
    (
        {"sortRange": {"sortSpecs": [{"sortOrder": "ASC"}]}},
        (f"Invalid value at 'requests[0].sort_range.sort_specs[0].sort_order' ({V4}.SortOrder),"
        ' "ASC"'),
    ),
    ("repeatCell", (f"Invalid value at 'requests[0]' ({V4}.BatchUpdateSpreadsheetRequest.Request),"
     ' "repeatCell"')),
    (
        {"addSheet": {}, "deleteSheet": {}},
        ("Invalid value at 'requests[0]' (oneof), oneof field 'kind' is already set."
        " Cannot set 'deleteSheet'"),
    ),
    (
        {"addSheet": [{}]},
        (f"{UNKNOWN} \"add_sheet\" at 'requests[0]': Proto field is not repeating,"
        " cannot start list."),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("request_sent", "sentence"), REFUSALS)
def test_a_body_that_is_no_message_is_refused(
    sheets_api: Emulator, request_sent: object, sentence: str
):
    answer = Book(sheets_api).post(":batchUpdate", {"requests": [request_sent]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"] == sentence
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [v["description"] for v in detail["fieldViolations"]] == [sentence]


def test_all_mistakes_of_a_body_are_in_one_answer(sheets_api: Emulator):
    sent = {"requests": [{"foo": {}}, {"addSheet": {"properties": {"index": "x"}}}]}
    error = Book(sheets_api).post(":batchUpdate", sent).json()["error"]
    assert error["message"].split("\n") == [
        f"{UNKNOWN} \"foo\" at 'requests[0]': Cannot find field.",
        "Invalid value at 'requests[1].add_sheet.properties.index' (TYPE_INT32), \"x\"",
    ]
    assert [v["field"] for v in error["details"][0]["fieldViolations"]] == [
        "requests[0]",
        "requests[1].add_sheet.properties.index",
    ]


@pytest.mark.parametrize("body", [{}, {"requests": []}, {"requests": None}])
def test_a_batch_of_nothing_is_refused(sheets_api: Emulator, body: object):
    answer = Book(sheets_api).post(":batchUpdate", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Must specify at least one request."


def test_one_bad_request_undoes_the_whole_batch(sheets_api: Emulator):
    book = Book(sheets_api, [["a"], ["b"]])
    sentence = book.refused(
        {"addSheet": {"properties": {"title": "New"}}},
        {"repeatCell": {"range": area(0, 2, 0, 1), "cell": {}, "fields": "userEnteredValue"}},
        {"deleteSheet": {"sheetId": 99}},
    )
    assert sentence == "Invalid requests[2].deleteSheet: No sheet with id: 99"
    assert book.titles() == ["Sheet1"]
    assert book.values() == [["a"], ["b"]]


def test_a_later_request_sees_what_an_earlier_one_did(sheets_api: Emulator):
    book = Book(sheets_api)
    book.do(
        {"addSheet": {"properties": {"sheetId": 5, "title": "New"}}},
        {
            "updateSheetProperties": {
                "properties": {"sheetId": 5, "title": "Newer"},
                "fields": "title",
            }
        },
    )
    assert book.titles() == ["Sheet1", "Newer"]


def test_numbers_may_come_as_text_and_names_in_either_spelling():
    read = read_message(
        "GridRange", {"sheet_id": "3", "startRowIndex": "26", "end_row_index": 34.0}
    )
    assert read == {"sheetId": 3, "startRowIndex": 26, "endRowIndex": 34}


def test_nulls_and_defaults_are_as_if_they_were_not_sent():
    sent = {"sheetId": 0, "title": "", "hidden": False, "tabColor": None, "index": 0}
    assert read_message("SheetProperties", sent) == {"sheetId": 0, "index": 0}


def test_a_value_of_zero_or_nothing_is_still_a_value():
    for sent in ({"numberValue": 0}, {"stringValue": ""}, {"boolValue": False}):
        assert read_message("ExtendedValue", sent) == sent


def test_an_enum_may_be_a_number_and_its_unset_value_means_nothing():
    assert read_message("DimensionRange", {"dimension": 2}) == {"dimension": "COLUMNS"}
    assert read_message("DimensionRange", {"dimension": "DIMENSION_UNSPECIFIED"}) == {}
    assert read_message("MergeCellsRequest", {"mergeType": 0}) == {"mergeType": "MERGE_ALL"}


def test_a_number_that_no_int32_holds_is_refused():
    with pytest.raises(ApiError, match="TYPE_INT32"):
        read_message("DeleteSheetRequest", {"sheetId": 2**31})


@pytest.mark.parametrize(
    ("sent", "kept"), [(127 / 255, 0.49803922), (1 / 3, 0.33333334), (0.5, 0.5), (0.1, 0.1)]
)
def test_colours_have_the_precision_of_32_bits(sent: float, kept: float):
    assert single_precision(sent) == kept
