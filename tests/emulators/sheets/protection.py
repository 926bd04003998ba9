"""Protected ranges: who may write where. A refusal is a 400, as Google's is."""

from typing import Any

from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange

SENTENCE = (
    "You are trying to edit a protected cell or object. Please contact the spreadsheet owner to"
    " remove protection if you need to edit."
)


def check_protection(document: Spreadsheet, r: GridRange, caller: Caller) -> None:
    """Refuse a write that touches a range which this caller may not edit."""
    for protected in document.sheet(r.sheet_id).parts.get("protectedRanges", ()):
        if may_edit(protected, caller):
            continue
        area = protected.get("range") or GridRange(r.sheet_id)
        open_parts = protected.get("unprotectedRanges") or []
        if area.touches(r) and not any(part.contains(r) for part in open_parts):
            raise ApiError(SENTENCE)


def may_edit(protected: dict[str, Any], caller: Caller) -> bool:
    """The owner always may, and so may a listed editor; a warning stops nobody here."""
    editors = protected.get("editors") or {}
    return bool(
        protected.get("warningOnly")
        or caller.owner
        or editors.get("domainUsersCanEdit")
        or caller.email.casefold() in {u.casefold() for u in editors.get("users", ())}
    )
