"""Drive's routes beyond what gspread's own methods reach."""

from typing import Any

import pytest
import requests

from tests.emulators.sheets.emulator import SERVICE_ACCOUNT, Emulator

MIME = "application/vnd.google-apps.spreadsheet"


def drive(api: Emulator, verb: str, path: str, **terms: Any) -> requests.Response:
    return requests.request(verb, f"{api.url}/drive/v3/{path}", timeout=60, **terms)


@pytest.mark.parametrize(
    ("q", "names"),
    [
        (f'mimeType="{MIME}"', ["this and that", "a 'quoted' one", "Links"]),
        (f'mimeType="{MIME}" and name = "this and that"', ["this and that"]),
        (r"name = 'a \'quoted\' one'", ["a 'quoted' one"]),
        ("name contains 'LINK' or name='this and that'", ["this and that", "Links"]),
        ("not name = 'Links' and (name contains 'and')", ["this and that"]),
        ("trashed = true", []),
        (
            f"'{SERVICE_ACCOUNT}' in writers and name != 'Links'",
            ["this and that", "a 'quoted' one"],
        ),
        ("mimeType = 'application/pdf'", []),
    ],
)
def test_files_are_listed_by_a_query_newest_first(sheets_api: Emulator, q: str, names: list[str]):
    for title in ("Links", "a 'quoted' one", "this and that"):
        sheets_api.new(title)
        sheets_api.clock.advance(1)
    answer = drive(sheets_api, "GET", "files", params={"q": q, "fields": "files(name)"}).json()
    assert [f["name"] for f in answer["files"]] == names


def test_a_long_list_comes_in_pages(sheets_api: Emulator):
    made = {sheets_api.new(f"File {i}").file_id for i in range(5)}
    seen, token = [], ""
    while True:
        query = {"pageSize": 2, "fields": "nextPageToken,files(id)", "pageToken": token}
        page = drive(sheets_api, "GET", "files", params=query).json()
        seen += [f["id"] for f in page["files"]]
        token = page.get("nextPageToken")
        if not token:
            break
    assert (len(seen), set(seen)) == (5, made)


@pytest.mark.parametrize(
    ("verb", "path", "query", "status", "reason", "message"),
    [
        ("GET", "files/none", {}, 404, "notFound", "File not found: none."),
        ("DELETE", "files/none", {}, 404, "notFound", "File not found: none."),
        ("GET", "files", {"q": "name is 'x'"}, 400, "invalid", "Invalid Value"),
        (
            "GET",
            "files",
            {"fields": "colour"},
            400,
            "invalidParameter",
            "Invalid field selection colour",
        ),
        (
            "GET",
            "files/{id}/comments",
            {},
            400,
            "required",
            "The 'fields' parameter is required for this method.",
        ),
        (
            "DELETE",
            "files/{id}/permissions/1",
            {},
            404,
            "notFound",
            "Permission not found: 1.",
        ),
    ],
)
def test_drive_refuses_in_its_own_shape(
    sheets_api: Emulator, verb: str, path: str, query: Any, status: int, reason: str, message: str
):
    file = sheets_api.new()
    answer = drive(sheets_api, verb, path.format(id=file.file_id), params=query)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["message"]) == (status, status, message)
    assert error["errors"][0]["reason"] == reason


def test_a_file_is_renamed_moved_and_binned(sheets_api: Emulator):
    file = sheets_api.new("Old")
    query = {"addParents": "folder", "removeParents": file.parents[0], "fields": "name,parents"}
    answer = drive(sheets_api, "PATCH", f"files/{file.file_id}", params=query, json={"name": "New"})
    assert answer.json() == {"name": "New", "parents": ["folder"]}
    assert file.document.properties["title"] == "New"
    drive(sheets_api, "PATCH", f"files/{file.file_id}", json={"trashed": True})
    assert drive(sheets_api, "GET", f"files/{file.file_id}?fields=trashed").json() == {
        "trashed": True
    }


def test_a_write_moves_the_time_of_change_and_a_read_does_not(sheets_api: Emulator):
    file = sheets_api.new(rows=[["a"]])
    url = f"{sheets_api.url}/v4/spreadsheets/{file.file_id}/values/A1"

    def changed() -> Any:
        return drive(sheets_api, "GET", f"files/{file.file_id}?fields=modifiedTime,version").json()

    first = changed()
    sheets_api.clock.advance(5)
    requests.get(url, timeout=60)
    assert changed() == first
    requests.put(f"{url}?valueInputOption=RAW", json={"values": [["b"]]}, timeout=60)
    second = changed()
    assert second["modifiedTime"] > first["modifiedTime"]
    assert int(second["version"]) > int(first["version"])
