"""The routes of spreadsheets.values."""

from typing import Any

from tests.emulators.sheets import appending, payload, values
from tests.emulators.sheets.payload import ListOf, read_body, read_query
from tests.emulators.sheets.rendering import Rendering
from tests.emulators.sheets.routing import Call, route


@route("values.batchGet", "GET", "/values:batchGet")
def batch_get(call: Call) -> Any:
    query = read_query(call.request.query, {**payload.READING, "ranges": ListOf("string")})
    return values.batch_get(call.document, query.get("ranges", []), reading(query))


@route("values.get", "GET", "/values/(.+)")
def get(call: Call) -> Any:
    query = read_query(call.request.query, payload.READING)
    return values.get(call.document, call.args[0], reading(query))


@route("values.update", "PUT", "/values/(.+)")
def update(call: Call) -> Any:
    query = read_query(call.request.query, payload.WRITING)
    body = read_body(call.request.body, payload.VALUE_RANGE, "data")
    return values.update(
        call.document,
        call.args[0],
        body,
        query.get("valueInputOption"),
        echo(query, body.get("majorDimension")),
        call.caller,
    )


@route("values.append", "POST", "/values/(.+):append")
def append(call: Call) -> Any:
    query = read_query(call.request.query, {**payload.WRITING, "insertDataOption": payload.INSERT})
    body = read_body(call.request.body, payload.VALUE_RANGE, "data")
    return appending.append(
        call.document,
        call.args[0],
        body,
        query,
        echo(query, body.get("majorDimension")),
        call.caller,
    )


@route("values.clear", "POST", "/values/(.+):clear")
def clear(call: Call) -> Any:
    read_query(call.request.query, {})
    read_body(call.request.body, payload.CLEAR)
    return values.clear(call.document, call.args[0], call.caller)


@route("values.batchUpdate", "POST", "/values:batchUpdate")
def batch_update(call: Call) -> Any:
    read_query(call.request.query, {})
    body = read_body(call.request.body, payload.BATCH_UPDATE)
    return values.batch_update(call.document, body, echo(body, None), call.caller)


@route("values.batchClear", "POST", "/values:batchClear")
def batch_clear(call: Call) -> Any:
    read_query(call.request.query, {})
    body = read_body(call.request.body, payload.BATCH_CLEAR)
    return values.batch_clear(call.document, body.get("ranges") or [], call.caller)


def reading(query: dict[str, Any]) -> Rendering:
    return Rendering(
        query.get("valueRenderOption") or "FORMATTED_VALUE",
        query.get("dateTimeRenderOption") or "SERIAL_NUMBER",
        dimension(query.get("majorDimension")),
    )


def echo(asked: dict[str, Any], major: str | None) -> Rendering | None:
    """How the written values are answered, if they are to be."""
    if not asked.get("includeValuesInResponse"):
        return None
    return Rendering(
        asked.get("responseValueRenderOption") or "FORMATTED_VALUE",
        asked.get("responseDateTimeRenderOption") or "SERIAL_NUMBER",
        dimension(major),
    )


def dimension(word: str | None) -> str:
    return "COLUMNS" if word == "COLUMNS" else "ROWS"
