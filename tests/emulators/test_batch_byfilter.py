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
