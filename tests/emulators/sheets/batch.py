"""spreadsheets.batchUpdate: looks each request's kind up, applies all of them or none."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.emulators import sheets as package
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.requests_parse import read_message


@dataclass(frozen=True)
class Caller:
    """Who calls: a user's address, and whether the file is theirs."""

    email: str
    owner: bool = True


Reply = dict[str, Any] | None
Handler = Callable[[Spreadsheet, dict[str, Any], Caller], Reply]

_HANDLERS: dict[str, Handler] = {}


def request(kind: str) -> Callable[[Handler], Handler]:
    """Register the keeper of one kind: `@request("addSheet")` over
    `def add_sheet(document, body, caller) -> reply`.

    It changes the document it is given (a working copy), and returns the content of its reply
    (`{"properties": ...}`) or None for `{}`. What it refuses it raises as ApiError("sentence"); the
    dispatcher puts `Invalid requests[0].addSheet: ` in front.
    """

    def keep(handler: Handler) -> Handler:
        if kind in _HANDLERS:
            raise ValueError(f"{kind} has two keepers")
        _HANDLERS[kind] = handler
        return handler

    return keep


@cache
def handlers() -> dict[str, Handler]:
    """All kinds, out of the modules requests_*.py of this folder."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("requests_"):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return _HANDLERS


def batch_update(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
    body = read_message("BatchUpdateSpreadsheetRequest", body)
    requests = body.get("requests", [])
    if not requests:
        raise ApiError("Must specify at least one request.")
    replies = []
    with document.transaction() as work:
        for i, entry in enumerate(requests):
            replies.append(_apply(work, i, entry, caller))
    return {"spreadsheetId": document.spreadsheet_id, "replies": replies}


def _apply(work: Spreadsheet, i: int, entry: dict[str, Any], caller: Caller) -> dict[str, Any]:
    place = f"requests[{i}]"
    if not entry:
        raise ApiError(f"Invalid {place}: No request set.")
    ((kind, content),) = entry.items()
    handler = handlers().get(kind)
    if handler is None:
        raise ApiError(f"Invalid {place}.{kind}: The emulator does not know this request yet.")
    from tests.emulators.sheets.requests_guard import guard_request  # it needs Caller

    try:
        guard_request(work, kind, content, caller)
        reply = handler(work, content, caller)
    except ApiError as refused:
        raise refused.within(f"{place}.{kind}") from None
    return {} if reply is None else {kind: reply}
