import requests

from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.store import File


def post(api: Emulator, file: File, path: str, body: object) -> requests.Response:
    return requests.post(f"{api.url}/v4/spreadsheets/{file.file_id}{path}", json=body, timeout=60)


def test_a_grid_range_is_read_whatever_its_tab_is_called(sheets_api: Emulator):
    file = sheets_api.new("Links", [["id", "link"], ["r_1", "https://a.example"]])
    renamed = {"updateSheetProperties": {"properties": {"title": "My own"}, "fields": "title"}}
    assert post(sheets_api, file, ":batchUpdate", {"requests": [renamed]}).status_code == 200
    asked = {
        "dataFilters": [{"gridRange": {"sheetId": 0}}],
        "majorDimension": "ROWS",
        "valueRenderOption": "FORMATTED_VALUE",
    }
    got = post(sheets_api, file, "/values:batchGetByDataFilter", asked)
    assert got.status_code == 200
    (found,) = got.json()["valueRanges"]
    assert found["valueRange"] == {
        "range": "'My own'!A1:Z1000",
        "majorDimension": "ROWS",
        "values": [["id", "link"], ["r_1", "https://a.example"]],
    }
    assert found["dataFilters"] == [{"gridRange": {}}]


def test_a_grid_range_of_no_tab_is_refused(sheets_api: Emulator):
    file = sheets_api.new("Links")
    asked = {"dataFilters": [{"gridRange": {"sheetId": 7}}]}
    got = post(sheets_api, file, "/values:batchGetByDataFilter", asked)
    assert got.status_code == 400
    assert got.json()["error"]["message"] == "Invalid dataFilters[0]: No grid with id: 7"


def test_two_filters_that_mean_one_range_are_answered_once(sheets_api: Emulator):
    file = sheets_api.new("Links", [["a", "b"]])
    where = {"sheetId": 0, "startRowIndex": 0, "endRowIndex": 1, "endColumnIndex": 2}
    asked = {"dataFilters": [{"gridRange": where}, {"a1Range": "Sheet1!A1:B1"}]}
    (found,) = post(sheets_api, file, "/values:batchGetByDataFilter", asked).json()["valueRanges"]
    assert found["valueRange"]["values"] == [["a", "b"]]
    assert found["dataFilters"] == [
        {"gridRange": {"endRowIndex": 1, "endColumnIndex": 2}},  # zeros are not repeated
        {"a1Range": "Sheet1!A1:B1"},
    ]


def test_the_values_of_formulas_are_fresh(sheets_api: Emulator):
    file = sheets_api.new("Links", [["2"]])
    url = f"{sheets_api.url}/v4/spreadsheets/{file.file_id}/values/Sheet1!B1"
    typed = {"values": [["=1+2"]]}
    requests.put(url, json=typed, params={"valueInputOption": "USER_ENTERED"}, timeout=60)
    asked = {"dataFilters": [{"a1Range": "B1"}]}
    (found,) = post(sheets_api, file, "/values:batchGetByDataFilter", asked).json()["valueRanges"]
    assert found["valueRange"]["values"] == [["3"]]
