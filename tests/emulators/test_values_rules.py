"""values.*: what Google's documentation promises beyond the recordings."""

from typing import Any

import pytest
import requests

from tests.emulators.sheets.emulator import Emulator


class Sheet:
    def __init__(self, api: Emulator, rows: list[list[Any]] | None = None, **tab: Any):
        self.api = api
        self.file = api.new(tabs=[{"title": "Sheet1", "rows": rows or [], **tab}])
        self.url = f"{api.url}/v4/spreadsheets/{self.file.file_id}"

    def get(self, text: str, **query: Any) -> Any:
        return requests.get(f"{self.url}/values/{text}", params=query, timeout=60).json()

    def put(self, text: str, values: Any, option: str = "RAW", **query: Any) -> Any:
        return requests.put(
            f"{self.url}/values/{text}",
            params={"valueInputOption": option, **query},
            json={"values": values},
            timeout=60,
        ).json()

    def append(self, text: str, values: Any, **query: Any) -> Any:
        return requests.post(
            f"{self.url}/values/{text}:append",
            params={"valueInputOption": "RAW", **query},
            json={"values": values},
            timeout=60,
        ).json()

    def post(self, what: str, body: Any) -> Any:
        return requests.post(f"{self.url}/values:{what}", json=body, timeout=60).json()

    def rows(self) -> list[list[Any]]:
        return self.api.rows(self.file)


TWO_TABLES = [
    ["x", "y", "z"],
    ["x", "y", "z"],
    [],
    ["", "x", "y"],
    ["", "", "y", "z"],
    ["", "x", "y", "z"],
]


@pytest.mark.parametrize(
    ("text", "table", "written"),
    [
        # The examples of the documentation: tables A1:C2 and B4:D6.
        ("Sheet1", "Sheet1!B4:D6", "Sheet1!B7"),
        ("B4", "Sheet1!B4:D6", "Sheet1!B7"),
        ("C5:D5", "Sheet1!B4:D6", "Sheet1!B7"),
        ("B2:D4", "Sheet1!B4:D6", "Sheet1!B7"),
        ("A3:G10", "Sheet1!B4:D6", "Sheet1!B7"),
        ("A1", "Sheet1!A1:C2", "Sheet1!A3"),
        ("E4", None, "Sheet1!E4"),
    ],
)
def test_append_finds_the_table_its_range_means(
    sheets_api: Emulator, text: str, table: str | None, written: str
):
    sheet = Sheet(sheets_api, TWO_TABLES)
    answer = sheet.append(text, [["new"]])
    assert answer.get("tableRange") == table
    assert answer["updates"]["updatedRange"] == written


def test_append_overwrites_what_is_below_unless_rows_are_inserted(sheets_api: Emulator):
    rows = [["a"], ["b"], [], ["total"]]
    sheet = Sheet(sheets_api, rows)
    sheet.append("A1", [["1"], ["2"]])
    assert sheet.rows() == [["a"], ["b"], ["1"], ["2"]]
    sheet = Sheet(sheets_api, rows)
    answer = sheet.append("A1", [["1"], ["2"]], insertDataOption="INSERT_ROWS")
    assert answer["updates"]["updatedRange"] == "Sheet1!A3:A4"
    assert sheet.rows() == [["a"], ["b"], ["1"], ["2"], [], ["total"]]


def test_an_append_echoes_what_it_wrote(sheets_api: Emulator):
    sheet = Sheet(sheets_api, [["a", "b"]])
    answer = sheet.append(
        "A1",
        [["1", 2, None, True]],
        includeValuesInResponse="true",
        responseValueRenderOption="UNFORMATTED_VALUE",
    )
    assert answer["updates"] == {
        "spreadsheetId": sheet.file.file_id,
        "updatedRange": "Sheet1!A2:D2",
        "updatedRows": 1,
        "updatedColumns": 3,
        "updatedCells": 3,
        "updatedData": {
            "range": "Sheet1!A2:D2",
            "majorDimension": "ROWS",
            "values": [["1", 2, "", True]],
        },
    }


def test_the_echo_shows_all_that_was_asked_for_with_untouched_cells(sheets_api: Emulator):
    """The connector's write-back stands on this: null leaves a cell alone, and it is echoed."""
    sheet = Sheet(sheets_api, [["id", "url", "state"], ["r_1", "http://a", "old"]])
    body = {
        "valueInputOption": "RAW",
        "includeValuesInResponse": True,
        "data": [
            {"range": "Sheet1!A2:D2", "values": [[None, None, "done", "r_1"]]},
            {"range": "Sheet1!A3:D3", "values": [[None, None, "done", "r_2"]]},
        ],
    }
    first, second = sheet.post("batchUpdate", body)["responses"]
    assert first["updatedData"]["values"] == [["r_1", "http://a", "done", "r_1"]]
    assert (first["updatedRange"], first["updatedCells"]) == ("Sheet1!A2:D2", 2)
    assert second["updatedData"]["values"] == [["", "", "done", "r_2"]]


def test_the_echo_of_a_short_write_shows_the_whole_range_that_was_asked_for(sheets_api: Emulator):
    sheet = Sheet(sheets_api, [["a", "b"], ["c", "d"], ["e", "f"]])
    answer = sheet.put("A1:B2", [["new"]], includeValuesInResponse="true")
    assert answer["updatedRange"] == "Sheet1!A1"
    assert answer["updatedData"] == {
        "range": "Sheet1!A1:B2",
        "majorDimension": "ROWS",
        "values": [["new", "b"], ["c", "d"]],
    }


def test_an_append_may_not_make_more_than_ten_million_cells(sheets_api: Emulator):
    sheet = Sheet(sheets_api, [["a"]], row_count=10_000_000, column_count=1)
    error = sheet.append("A1", [["x", "y"]])["error"]
    assert "above the limit of 10000000 cells" in error["message"]
    assert sheet.rows() == [["a"]]


def test_one_bad_range_of_a_batch_leaves_nothing_applied(sheets_api: Emulator):
    sheet = Sheet(sheets_api, [["a"]])
    body = {
        "valueInputOption": "RAW",
        "data": [
            {"range": "Sheet1!A1", "values": [["x"]]},
            {"range": "Sheet1!A2000", "values": [["x"]]},
        ],
    }
    error = sheet.post("batchUpdate", body)["error"]
    assert error["message"] == (
        "Invalid data[1]: Range (Sheet1!A2000) exceeds grid limits. Max rows: 1000, max columns: 26"
    )
    assert sheet.rows() == [["a"]]


def test_a_range_that_starts_inside_the_grid_and_ends_outside_is_refused(sheets_api: Emulator):
    sheet = Sheet(sheets_api, [["a"], ["b"]], row_count=2, column_count=2)
    message = "Range (Sheet1!A1:ZZ900) exceeds grid limits. Max rows: 2, max columns: 2"
    assert sheet.get("A1:ZZ900")["error"]["message"] == message
    assert sheet.put("A1:ZZ900", [["x"]])["error"]["message"] == message
    cleared = sheet.post("batchClear", {"ranges": ["A1:ZZ900"]})
    assert cleared["error"]["message"] == f"Invalid range[0]: {message}"
    assert sheet.get("A1:B")["range"] == "Sheet1!A1:B2"
    assert sheet.rows() == [["a"], ["b"]]


def test_an_empty_string_clears_and_null_keeps(sheets_api: Emulator):
    sheet = Sheet(sheets_api, [["a", "b", "c"]])
    answer = sheet.put("A1:C1", [["", None, "new"]])
    assert (answer["updatedCells"], answer["updatedColumns"]) == (2, 2)
    assert sheet.rows() == [["", "b", "new"]]


def test_columns_may_be_the_major_dimension(sheets_api: Emulator):
    sheet = Sheet(sheets_api)
    body = {"values": [["a", "b"], ["c"]], "majorDimension": "COLUMNS"}
    url = f"{sheet.url}/values/A1?valueInputOption=RAW&includeValuesInResponse=true"
    answer = requests.put(url, json=body, timeout=60).json()
    assert answer["updatedRange"] == "Sheet1!A1:B2"
    assert answer["updatedData"]["majorDimension"] == "COLUMNS"
    assert answer["updatedData"]["values"] == [["a", "b"], ["c"]]
    assert sheet.rows() == [["a", "c"], ["b"]]


def test_cleared_cells_keep_their_format_and_note(sheets_api: Emulator):
    sheet = Sheet(sheets_api)
    sheet.put("A1", [["12%"]], "USER_ENTERED")
    assert sheet.post("batchClear", {"ranges": ["A1:B2"]})["clearedRanges"] == ["Sheet1!A1:B2"]
    assert sheet.rows() == []
    sheet.put("A1", [["0.5"]], "USER_ENTERED")
    assert sheet.rows() == [["50%"]]


@pytest.mark.parametrize(
    ("verb", "path", "query", "body", "message"),
    [
        (
            "PUT",
            "/values/A1",
            {},
            {"values": [["x"]]},
            "'valueInputOption' is required but not specified",
        ),
        (
            "PUT",
            "/values/A1",
            {"valueInputOption": "COOKED"},
            {"values": [["x"]]},
            (
                "Invalid value at 'value_input_option'"
                ' (type.googleapis.com/google.apps.sheets.v4.ValueInputOption), "COOKED"'
            ),
        ),
        (
            "PUT",
            "/values/A1",
            {"valueInputOption": "RAW"},
            {"values": [["x"]], "colour": "red"},
            "Invalid JSON payload received. Unknown name \"colour\" at 'data': Cannot find field.",
        ),
        (
            "PUT",
            "/values/A1",
            {"valueInputOption": "RAW"},
            {"values": ["x", "y"]},
            (
                "Invalid value at 'data.values[0]' (type.googleapis.com/google.protobuf.ListValue),"
                " \"x\"\nInvalid value at 'data.values[1]'"
                ' (type.googleapis.com/google.protobuf.ListValue), "y"'
            ),
        ),
        (
            "GET",
            "/values/A1",
            {"colour": "red"},
            None,
            (
                'Invalid JSON payload received. Unknown name "colour": Cannot bind query parameter.'
                " Field 'colour' could not be found in request message."
            ),
        ),
        (
            "POST",
            "/values:batchUpdate",
            {},
            {"valueInputOption": "RAW", "data": [{"range": "A1", "vals": []}]},
            "Invalid JSON payload received. Unknown name \"vals\" at 'data[0]': Cannot find field.",
        ),
        ("GET", "/values/A0", {}, None, "Unable to parse range: A0"),
        ("GET", "/values/'Sheet1", {}, None, "Unable to parse range: 'Sheet1"),
    ],
)
def test_what_google_does_not_know_it_refuses(
    sheets_api: Emulator, verb: str, path: str, query: Any, body: Any, message: str
):
    sheet = Sheet(sheets_api)
    answer = requests.request(verb, sheet.url + path, params=query, json=body, timeout=60)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["message"], error["status"]) == (message, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("typed", "shown", "plain"),
    [
        ("0042", "42", 42),
        ("1e5", "1.00E+05", 100000),
        ("1.23E+12", "1.23E+12", 1230000000000),
        ("123456789012345678", "1.23457E+17", 123456789012345680),
        ("'0042", "0042", "0042"),
        ("1,234", "1,234", 1234),
        ("12.5%", "12.50%", 0.125),
        ("$1,234.5", "$1,234.50", 1234.5),
        ("2020-01-31", "2020-01-31", 43861),
        ("1/31/2020", "1/31/2020", 43861),
        ("10:30", "10:30", 0.4375),
        ("true", "TRUE", True),
        ("2020-13-01", "2020-13-01", "2020-13-01"),
        ("1.2.3", "1.2.3", "1.2.3"),
        ("r_abc", "r_abc", "r_abc"),
        ("  12 ", "12", 12),
        ("=1/3", "0.3333333333", 1 / 3),
    ],
)
def test_a_typed_value_is_shown_as_a_sheet_shows_it(
    sheets_api: Emulator, typed: str, shown: str, plain: Any
):
    sheet = Sheet(sheets_api)
    sheet.put("A1", [[typed]], "USER_ENTERED")
    assert sheet.get("A1")["values"] == [[shown]]
    assert sheet.get("A1", valueRenderOption="UNFORMATTED_VALUE")["values"] == [[plain]]
    sheet.put("A1", [[typed]], "RAW")
    assert sheet.get("A1", valueRenderOption="UNFORMATTED_VALUE")["values"] == [[typed]]


def test_a_cell_of_plain_text_keeps_what_is_typed(sheets_api: Emulator):
    sheet = Sheet(sheets_api)
    request = {
        "repeatCell": {
            "range": {"sheetId": 0},
            "cell": {"userEnteredFormat": {"numberFormat": {"type": "TEXT"}}},
            "fields": "userEnteredFormat.numberFormat",
        }
    }
    answer = requests.post(f"{sheet.url}:batchUpdate", json={"requests": [request]}, timeout=60)
    assert answer.status_code == 200
    sheet.put("A1", [["0042"]], "USER_ENTERED")
    assert sheet.rows() == [["0042"]]


def test_a_list_in_a_cell_is_refused_with_its_proto(sheets_api: Emulator):
    answer = Sheet(sheets_api).put("A1", [["a", ["b"]]])
    assert answer["error"]["message"] == (
        'Invalid values[0][1]: list_value {\n  values {\n    string_value: "b"\n  }\n}\n'
    )
