"""spreadsheets.batchUpdate: looks each request's kind up, applies all of them or none."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.emulators import sheets as package
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError, bad_payload, unknown_name


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
    requests = body.get("requests") or []
    if not requests:
        raise ApiError("Must specify at least one request.")
    replies = []
    with document.transaction() as work:
        for i, entry in enumerate(requests):
            replies.append(_apply(work, i, entry, caller))
    return {"spreadsheetId": document.spreadsheet_id, "replies": replies}


def _apply(work: Spreadsheet, i: int, entry: dict[str, Any], caller: Caller) -> dict[str, Any]:
    place = f"requests[{i}]"
    kinds = [kind for kind, content in entry.items() if content is not None]
    if not kinds:
        raise ApiError(f"Invalid {place}: No request set.")
    if len(kinds) > 1:
        sentence = (
            f"Invalid value at '{place}' (oneof), oneof field 'kind' is already set. Cannot set"
            f" '{kinds[1]}'"
        )
        raise bad_payload(sentence, place)
    kind = kinds[0]
    handler = handlers().get(kind)
    if handler is None:
        raise unknown_name(kind, place)
    try:
        reply = handler(work, entry[kind] or {}, caller)
    except ApiError as refused:
        raise refused.within(f"{place}.{kind}") from None
    return {} if reply is None else {kind: reply}
