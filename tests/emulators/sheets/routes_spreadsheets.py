"""The routes of a whole spreadsheet: create, get, batchUpdate."""

from typing import Any

from tests.emulators.sheets import answer_fields, batch, creating, spreadsheet_get
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.payload import ListOf, body_json, read_query
from tests.emulators.sheets.routing import Call, route
from tests.emulators.sheets.store import OWNER


@route("spreadsheets.create", "POST", "")
def create(call: Call) -> Any:
    read_query(call.request.query, {})
    body = body_json(call.request.body)
    answer_fields.check_spreadsheet(body)
    file = call.store.create("Untitled spreadsheet", call.identity.email or OWNER)
    try:
        creating.fill(file.document, body)
    except ApiError:
        call.store.delete(file.file_id)
        raise
    return spreadsheet_get.get(file.document)


@route("spreadsheets.get", "GET", "")
def get(call: Call) -> Any:
    query = read_query(
        call.request.query,
        {
            "ranges": ListOf("string"),
            "includeGridData": "bool",
            "excludeTablesInBandedRanges": "bool",
        },
    )
    return spreadsheet_get.get(
        call.document,
        ranges=query.get("ranges", ()),
        grid_data=query.get("includeGridData", False),
        mask=query.get("fields"),
        caller=call.caller,
    )


@route("spreadsheets.batchUpdate", "POST", ":batchUpdate")
def batch_update(call: Call) -> Any:
    read_query(call.request.query, {})
    body = body_json(call.request.body)
    answer = batch.batch_update(call.document, body, call.caller)
    if body.get("includeSpreadsheetInResponse"):
        answer["updatedSpreadsheet"] = spreadsheet_get.get(
            call.document,
            ranges=body.get("responseRanges") or (),
            grid_data=bool(body.get("responseIncludeGridData")),
            caller=call.caller,
        )
    return answer
