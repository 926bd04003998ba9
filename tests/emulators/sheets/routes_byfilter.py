"""The routes that name ranges by data filters, those of metadata, and sheets.copyTo."""

from typing import Any

from tests.emulators.sheets import requests_byfilter, requests_copies, spreadsheet_get
from tests.emulators.sheets.errors import ApiError, forbidden, not_found
from tests.emulators.sheets.payload import body_json, read_query
from tests.emulators.sheets.requests_parse import read_message
from tests.emulators.sheets.routing import Call, allowed, route

PATIENCE = 20


def sent(call: Call) -> dict[str, Any]:
    read_query(call.request.query, {})
    body: dict[str, Any] = body_json(call.request.body)
    return body


@route("values.batchGetByDataFilter", "POST", "/values:batchGetByDataFilter", writes=False)
def batch_get(call: Call) -> Any:
    return requests_byfilter.batch_get(call.document, sent(call))


@route("values.batchUpdateByDataFilter", "POST", "/values:batchUpdateByDataFilter")
def batch_update(call: Call) -> Any:
    return requests_byfilter.batch_update(call.document, sent(call), call.caller)


@route("values.batchClearByDataFilter", "POST", "/values:batchClearByDataFilter")
def batch_clear(call: Call) -> Any:
    return requests_byfilter.batch_clear(call.document, sent(call), call.caller)


@route("developerMetadata.search", "POST", "/developerMetadata:search", writes=False)
def metadata_search(call: Call) -> Any:
    return requests_byfilter.metadata_search(call.document, sent(call))


@route("developerMetadata.get", "GET", "/developerMetadata/([^/]+)")
def metadata_get(call: Call) -> Any:
    read_query(call.request.query, {})
    return requests_byfilter.metadata_get(call.document, call.args[0])


@route("spreadsheets.getByDataFilter", "POST", ":getByDataFilter", writes=False)
def get_by_filter(call: Call) -> Any:
    body = read_message("GetSpreadsheetByDataFilterRequest", sent(call))
    document = call.document
    found = requests_byfilter.found_by(document, body.get("dataFilters", []))
    return spreadsheet_get.get(
        document,
        ranges=[document.range_name(f.range) for f in found],
        grid_data=body.get("includeGridData", False),
        caller=call.caller,
    )


@route("sheets.copyTo", "POST", "/sheets/([^/:]+):copyTo")
def copy_to(call: Call) -> Any:
    body = read_message("CopySheetToAnotherSpreadsheetRequest", sent(call))
    if not call.args[0].isdigit():
        raise ApiError(f"Invalid value at 'sheet_id' (TYPE_INT32), \"{call.args[0]}\"")
    target = call.store.find(body.get("destinationSpreadsheetId", ""))
    document = call.document
    if target is None:
        raise not_found()
    if not allowed(target, call.identity, "writer"):
        raise forbidden()
    # Our own file is locked by now: two copies in opposite directions must not wait for ever.
    if not target.lock.acquire(timeout=PATIENCE):
        raise ApiError("The service is currently unavailable.", code=503)
    try:
        with target.document.transaction() as work:
            made = requests_copies.copy_to(document, int(call.args[0]), work)
        target.modified = call.store.clock.now()
        return target.document.sheet_properties(target.document.sheet(made))
    finally:
        target.lock.release()
