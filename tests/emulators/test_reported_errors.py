"""Refusals that people have reported of the real API, each brought about on the emulator."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.gridrange import GridRange

FILE = Path(__file__).parent.parent / "cases" / "sheets_api_errors_reported.jsonl"
REPORTED = [json.loads(line) for line in FILE.read_text().splitlines()]


def reported(start: str) -> dict[str, Any]:
    return next(case for case in REPORTED if case["what"].startswith(start))


class Sheet:
    """One spreadsheet of the emulator and its base address."""

    def __init__(self, api: Emulator, **terms: Any):
        self.api = api
        self.file = api.new(**terms)
        self.url = f"{api.url}/v4/spreadsheets/{self.file.file_id}"

    def put(self, text: str, values: Any, **headers: str) -> requests.Response:
        return requests.put(
            f"{self.url}/values/{text}",
            params={"valueInputOption": "RAW"},
            json={"values": values},
            headers=headers,
            timeout=60,
        )


def refused(answer: requests.Response, case: dict[str, Any]) -> None:
    assert answer.status_code == int(case["status"])
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == (int(case["status"]), case["message"])
    assert error["status"] == case.get("error_status", "INVALID_ARGUMENT")


@pytest.mark.parametrize("number", [0, 1])
def test_the_sixty_first_read_of_a_minute_is_refused(sheets_api: Emulator, number: int):
    sheet = Sheet(sheets_api)
    sheets_api.clock.hold()
    sheets_api.quota.on = True
    answers = [requests.get(f"{sheet.url}/values/A1", timeout=60) for _ in range(61)]
    assert [a.status_code for a in answers] == [200] * 60 + [429]
    case, error = REPORTED[number]["response_body"]["error"], answers[60].json()["error"]
    for name in ("code", "message", "status"):
        assert error[name] == case[name]
    # The newer recording says more than the older one; nothing of either is missing.
    for ours, theirs in zip(error["details"], case["details"], strict=False):
        assert ours["@type"] == theirs["@type"]
        assert theirs.get("metadata", {}).items() <= ours.get("metadata", {}).items()
        assert ours.get("links") == theirs.get("links")
    assert "Retry-After" not in answers[60].headers
    assert sheet.put("A1", [["writes have a quota of their own"]]).status_code == 200
    sheets_api.clock.advance(60)
    assert requests.get(f"{sheet.url}/values/A1", timeout=60).status_code == 200


def test_a_project_has_a_quota_over_all_its_users(sheets_api: Emulator):
    sheets_api.accounts.strict = True
    sheets_api.quota.on, sheets_api.quota.per_project = True, 3
    sheets_api.clock.hold()
    accounts = [f"a{i}@linkrow-test.iam.gserviceaccount.com" for i in range(4)]
    tokens = []
    for account in accounts:
        sheets_api.service_account(account)
        tokens.append(sheets_api.token_for(account))
    sheet = Sheet(sheets_api, share=dict.fromkeys(accounts, "reader"))
    answers = [
        requests.get(f"{sheet.url}/values/A1", headers={"Authorization": f"Bearer {t}"}, timeout=60)
        for t in tokens
    ]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    details = answers[3].json()["error"]["details"][0]["metadata"]
    assert details["quota_limit"] == "ReadRequestsPerMinutePerProject"
    assert details["quota_limit_value"] == "3"


def test_a_range_outside_the_grid_is_refused(sheets_api: Emulator):
    tabs = [{"title": "Sheet1", "column_count": 41, "row_count": 1000}]
    case = reported("range outside the grid")
    sheet = Sheet(sheets_api, tabs=tabs)
    refused(sheet.put("Sheet1!AP1:AW1", [["x"]]), case)
    refused(requests.get(f"{sheet.url}/values/Sheet1!AP1:AW1", timeout=60), case)


def test_a_batch_says_which_range_was_outside(sheets_api: Emulator):
    tabs = [{"title": "FORENSIC_LIVE", "column_count": 18, "row_count": 220}]
    sheet = Sheet(sheets_api, tabs=tabs)
    answer = requests.post(
        f"{sheet.url}/values:batchClear", json={"ranges": ["FORENSIC_LIVE!A221:ZZ"]}, timeout=60
    )
    refused(answer, reported("values.batchClear/batchUpdate form"))


def test_more_values_than_the_range_holds_are_refused(sheets_api: Emulator):
    sheet = Sheet(sheets_api, tabs=[{"title": "Sheet2"}])
    refused(sheet.put("Sheet2!A2:C400", [["x"]] * 400), reported("more values than"))
    assert sheets_api.rows(sheet.file) == []


def test_an_unknown_tab_is_refused(sheets_api: Emulator):
    answer = requests.get(f"{Sheet(sheets_api).url}/values/NoSuchTab!A1", timeout=60)
    refused(answer, reported("unknown tab"))


def test_a_protected_cell_refuses_the_whole_batch_with_a_400(sheets_api: Emulator):
    sheet = Sheet(sheets_api, rows=[["a", "b"], ["c", "d"]])
    account = sheets_api.service_account()["client_email"]
    sheet.file.document.sheets[0].list_of("protectedRanges").append(
        {"protectedRangeId": 1, "range": GridRange(0, 1, 2, 0, 1), "editors": {"users": []}}
    )
    sheets_api.accounts.strict = True
    token = sheets_api.token_for(account)
    bearer = {"Authorization": f"Bearer {token}"}
    body = {
        "valueInputOption": "RAW",
        "data": [
            {"range": "Sheet1!A2", "values": [["x"]]},
            {"range": "Sheet1!B1", "values": [["x"]]},
        ],
    }
    answer = requests.post(f"{sheet.url}/values:batchUpdate", json=body, headers=bearer, timeout=60)
    refused(answer, reported("protected range or sheet"))
    assert sheets_api.rows(sheet.file) == [["a", "b"], ["c", "d"]]
    body["data"] = [body["data"][1]]  # type: ignore[index]
    answer = requests.post(f"{sheet.url}/values:batchUpdate", json=body, headers=bearer, timeout=60)
    assert answer.status_code == 200


def test_a_cell_of_fifty_thousand_characters_is_the_longest(sheets_api: Emulator):
    sheet = Sheet(sheets_api)
    assert sheet.put("A1", [["x" * 50_000]]).status_code == 200
    refused(sheet.put("A1", [["x" * 50_001]]), reported("cell longer than"))


def test_a_workbook_of_ten_million_cells_is_the_largest(sheets_api: Emulator):
    sheet = Sheet(sheets_api)
    properties = {"sheetId": 0, "gridProperties": {"rowCount": 1_000_000, "columnCount": 11}}
    request = {"updateSheetProperties": {"properties": properties, "fields": "gridProperties"}}
    answer = requests.post(f"{sheet.url}:batchUpdate", json={"requests": [request]}, timeout=60)
    refused(answer, reported("10M cell limit"))


def test_a_body_of_more_than_ten_mebibytes_is_refused(sheets_api: Emulator):
    sheet = Sheet(sheets_api)
    refused(sheet.put("A1", [["x" * 10_485_760]]), reported("request body over"))


def test_a_reader_may_not_write(sheets_api: Emulator):
    account = sheets_api.service_account()["client_email"]
    sheet = Sheet(sheets_api, share={account: "reader"})
    bearer = f"Bearer {sheets_api.token_for(account)}"
    refused(sheet.put("A1", [["x"]], Authorization=bearer), reported("read-only share"))


@pytest.mark.parametrize("kind", ["500", "502", "503"])
def test_backend_trouble_can_be_ordered(sheets_api: Emulator, kind: str):
    sheet = Sheet(sheets_api)
    sheets_api.faults.add(kind, "values.get")
    answer = requests.get(f"{sheet.url}/values/A1", timeout=60)
    assert answer.status_code == int(kind)
    if kind == "502":
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "Please try again in 30 seconds." in answer.text
    else:
        assert answer.json()["error"]["code"] == int(kind)
    assert requests.get(f"{sheet.url}/values/A1", timeout=60).status_code == 200


def test_every_reported_error_has_a_test_here():
    assert len(REPORTED) == 12
