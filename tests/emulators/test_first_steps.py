import requests

from tests.emulators.sheets.emulator import Emulator


def test_what_is_written_is_read(sheets_api: Emulator):
    file = sheets_api.new("Links", [["a", "b"], ["1", "2"]])
    values = f"{sheets_api.url}/v4/spreadsheets/{file.file_id}/values"
    written = requests.put(
        f"{values}/Sheet1!B2:C2?valueInputOption=RAW", json={"values": [["x", "y"]]}, timeout=20
    )
    assert written.json()["updatedCells"] == 2
    got = requests.get(f"{values}/Sheet1!A1:C", timeout=20).json()
    assert got == {
        "range": "Sheet1!A1:C1000",
        "majorDimension": "ROWS",
        "values": [["a", "b"], ["1", "x", "y"]],
    }
