"""The routes of Sheets v4: which call a path means, and its parameters."""

import json
from typing import Any

from tests.emulators.sheets import batch, values
from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.errors import ApiError, not_found
from tests.emulators.sheets.rendering import Rendering
from tests.emulators.sheets.server import Answer, Request
from tests.emulators.sheets.store import File, Store


class SheetsApi:
    def __init__(self, store: Store):
        self.store = store

    def __call__(self, request: Request) -> Answer:
        try:
            return Answer.json(self.dispatch(request))
        except ApiError as refused:
            return Answer.json(refused.body(), refused.code)

    def dispatch(self, request: Request) -> Any:
        parts = request.parts()[2:]
        caller = Caller("someone@example.com")
        if not parts:
            raise not_found()
        head, _, verb = parts[0].partition(":")
        file = self.store.files.get(head)
        if file is None:
            raise not_found()
        with file.lock:
            return self.on_file(file, verb, parts[1:], request, caller)

    def on_file(
        self, file: File, verb: str, rest: list[str], request: Request, caller: Caller
    ) -> Any:
        query = dict(request.query)
        if verb == "batchUpdate":
            return batch.batch_update(file.document, body_of(request), caller)
        if not rest:
            return self.spreadsheet_get(file)
        if rest[0] == "values:batchGet":
            texts = [v for k, v in request.query if k == "ranges"]
            return values.batch_get(file.document, texts, rendering(query))
        if rest[0] == "values:batchUpdate":
            body = body_of(request)
            echo = Rendering() if body.get("includeValuesInResponse") else None
            return values.batch_update(file.document, body, echo, caller)
        if rest[0] == "values" and request.method == "GET":
            return values.get(file.document, rest[1], rendering(query))
        if rest[0] == "values" and request.method == "PUT":
            echo = Rendering() if query.get("includeValuesInResponse") in ("true", "True") else None
            option = query["valueInputOption"]
            return values.update(file.document, rest[1], body_of(request), option, echo, caller)
        raise not_found()

    def spreadsheet_get(self, file: File) -> Any:
        document = file.document
        return {
            "spreadsheetId": document.spreadsheet_id,
            "properties": document.properties,
            "sheets": [{"properties": document.sheet_properties(s)} for s in document.sheets],
            "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{file.file_id}/edit",
        }


def body_of(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.body or b"{}")
    return body


def rendering(query: dict[str, str]) -> Rendering:
    return Rendering(
        query.get("valueRenderOption", "FORMATTED_VALUE"),
        query.get("dateTimeRenderOption", "SERIAL_NUMBER"),
        query.get("majorDimension", "ROWS"),
    )
