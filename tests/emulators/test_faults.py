"""Failing on purpose, and other people's edits between two calls."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.emulators.sheets.emulator import Emulator

ROWS = [["id", "n"], ["c", "3"], ["a", "1"], ["b", "2"]]


def read(api: Emulator, file_id: str, text: str = "A1:B") -> Any:
    answer = requests.get(f"{api.url}/v4/spreadsheets/{file_id}/values/{text}", timeout=60)
    answer.raise_for_status()
    return answer.json().get("values", [])


def write(api: Emulator, file_id: str, text: str, values: Any) -> requests.Response:
    return requests.put(
        f"{api.url}/v4/spreadsheets/{file_id}/values/{text}?valueInputOption=RAW",
        json={"values": values},
        timeout=60,
    )


def test_a_write_that_times_out_before_is_not_applied(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    sheets_api.faults.add("timeout_before", "values.update")
    with pytest.raises(requests.ConnectionError):
        write(sheets_api, file.file_id, "A2", [["lost"]])
    assert sheets_api.rows(file) == ROWS


def test_a_write_that_times_out_after_is_applied_and_not_answered(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    sheets_api.faults.add("timeout_after", "values.*")
    with pytest.raises(requests.ConnectionError):
        write(sheets_api, file.file_id, "A2", [["kept"]])
    assert sheets_api.rows(file)[1] == ["kept", "3"]


def test_a_silent_server_keeps_the_client_waiting_as_long_as_it_was_told(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    sheets_api.faults.add("timeout_before", "values.get", seconds=30)
    with pytest.raises(requests.ReadTimeout):
        requests.get(
            f"{sheets_api.url}/v4/spreadsheets/{file.file_id}/values/A1", timeout=(60, 0.2)
        )


def test_a_slow_call_is_answered_after_its_wait(
    sheets_api: Emulator, monkeypatch: pytest.MonkeyPatch
):
    waited: list[float] = []
    monkeypatch.setattr(sheets_api.faults, "wait", waited.append)
    file = sheets_api.new(rows=ROWS)
    sheets_api.faults.add("slow", "values.get", seconds=12.5)
    assert read(sheets_api, file.file_id) == ROWS
    assert read(sheets_api, file.file_id) == ROWS
    assert waited == [12.5]


def test_a_login_can_fail_too(sheets_api: Emulator):
    sheets_api.faults.add("503", "token")
    assert requests.post(sheets_api.token_uri, data={}, timeout=60).status_code == 503
    assert requests.post(sheets_api.token_uri, data={}, timeout=60).status_code == 400


def test_drive_fails_when_told_to(sheets_api: Emulator):
    sheets_api.faults.add("429", "drive.files.*")
    listed = f"{sheets_api.url}/drive/v3/files"
    codes = [requests.get(listed, timeout=60).status_code for _ in range(2)]
    assert codes == [429, 200]


def test_many_clients_at_once_each_find_what_they_wrote(sheets_api: Emulator):
    file = sheets_api.new(rows=[["start"]])

    def work(number: int) -> list[Any]:
        found = []
        for turn in range(10):
            place = f"A{number * 10 + turn + 1}"
            write(sheets_api, file.file_id, place, [[f"{number}/{turn}"]]).raise_for_status()
            found += read(sheets_api, file.file_id, place)[0]
        return found

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(8)))
    assert answers == [[f"{n}/{t}" for t in range(10)] for n in range(8)]
    assert len(sheets_api.rows(file)) == 80
    assert file.document.revision == 80


def test_a_fault_lets_calls_pass_and_then_hits_a_number_of_them(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    other = sheets_api.new(rows=ROWS)
    sheets_api.faults.add("429", "values.*", skip=1, times=2, file_id=file.file_id)
    codes = [write(sheets_api, file.file_id, "C1", [["x"]]).status_code for _ in range(4)]
    assert codes == [200, 429, 429, 200]
    assert write(sheets_api, other.file_id, "C1", [["x"]]).status_code == 200
    assert sheets_api.faults.pending() == []


def test_somebody_sorts_between_a_read_and_a_write(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    sheets_api.faults.add("edit_before", "values.update", edits=[{"do": "sort", "column": 0}])
    assert read(sheets_api, file.file_id)[1] == ["c", "3"]
    write(sheets_api, file.file_id, "B2", [["written to row 2"]])
    assert sheets_api.rows(file) == [
        ["id", "n"],
        ["a", "written to row 2"],
        ["b", "2"],
        ["c", "3"],
    ]


def test_an_edit_after_a_read_is_not_in_its_answer(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    edits = [
        {"do": "insert_rows", "at": 1, "rows": [["new", "0042"]]},
        {"do": "delete_rows", "start": 2},
    ]
    sheets_api.faults.add("edit_after", "values.get", edits=edits)
    assert read(sheets_api, file.file_id) == ROWS
    assert read(sheets_api, file.file_id) == [ROWS[0], ["new", "42"], *ROWS[2:]]


def test_people_move_rows_and_columns_type_and_rename(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    sheets_api.edit(
        file,
        {"do": "move_rows", "start": 1, "to": 4},
        {"do": "insert_columns", "at": 1},
        {"do": "type", "cell": "B1", "value": "1,5"},
        {"do": "delete_columns", "start": 2},
        {"do": "rename_tab", "title": "Renamed"},
        {"do": "add_tab", "title": "Other"},
    )
    assert sheets_api.rows(file, "Renamed") == [["id", "1,5"], ["a"], ["b"], ["c"]]
    sheets_api.edit(file, {"do": "delete_tab", "tab": "Renamed"})
    assert [s.title for s in file.document.sheets] == ["Other"]


def test_edits_that_fail_leave_nothing_behind(sheets_api: Emulator):
    file = sheets_api.new(rows=ROWS)
    with pytest.raises(ValueError, match="no tab 'Nowhere'"):
        sheets_api.edit(
            file,
            {"do": "type", "cell": "A1", "value": "x"},
            {"do": "sort", "tab": "Nowhere"},
        )
    assert sheets_api.rows(file) == ROWS


def test_the_admin_route_seeds_edits_fails_counts_and_dumps(sheets_api: Emulator):
    admin = f"{sheets_api.url}/_admin"
    made = requests.post(f"{admin}/files", json={"title": "T", "rows": ROWS}, timeout=60).json()
    file_id = made["file_id"]
    edits = {"edits": [{"do": "sort", "column": 1, "descending": True}]}
    requests.post(f"{admin}/files/{file_id}/edits", json=edits, timeout=60).raise_for_status()
    fault = {"kind": "500", "call": "values.get", "times": 1}
    requests.post(f"{admin}/faults", json=fault, timeout=60).raise_for_status()
    base = f"{sheets_api.url}/v4/spreadsheets/{file_id}/values"
    assert requests.get(f"{base}/A1", timeout=60).status_code == 500
    assert read(sheets_api, file_id) == [ROWS[0], ROWS[1], ROWS[3], ROWS[2]]
    log = requests.get(f"{admin}/log", timeout=60).json()
    assert log["counts"] == {"values.get": 2}
    assert [call["status"] for call in log["calls"]] == [500, 200]
    dumped = requests.get(f"{admin}/files/{file_id}", timeout=60).json()
    assert dumped["tabs"][0]["rows"] == [ROWS[0], ROWS[1], ROWS[3], ROWS[2]]
    wrong = requests.post(f"{admin}/faults", json={"kind": "rain"}, timeout=60)
    assert wrong.status_code == 400
    assert "no such fault: rain" in wrong.json()["error"]
