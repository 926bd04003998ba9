"""Protected ranges and what an update touches: who may not edit there is refused."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import Dimension, GridRange

if TYPE_CHECKING:
    from tests.emulators.sheets.batch import Caller

REFUSED = (
    "You are trying to edit a protected cell or object. Please contact the spreadsheet owner to"
    " remove protection if you need to edit."
)


def may_edit(protected: dict[str, Any], caller: "Caller") -> bool:
    """The owner, the editors it lists, and anybody where it only warns."""
    if caller.owner or protected.get("warningOnly"):
        return True
    users = protected.get("editors", {}).get("users", ())
    return caller.email.casefold() in (user.casefold() for user in users)


def guard(document: Spreadsheet, touched: GridRange, caller: "Caller") -> None:
    """Refuse an edit of cells that are protected against this caller."""
    if caller.owner:
        return
    sheet = document.sheet(touched.sheet_id)
    for protected in sheet.parts.get("protectedRanges", ()):
        held = protected_cells(document, protected)
        if held is None or not held.touches(touched) or may_edit(protected, caller):
            continue
        free = protected.get("unprotectedRanges", ())
        if not any(r.contains(meeting(held, touched)) for r in free):
            raise ApiError(REFUSED)


def protected_cells(document: Spreadsheet, protected: dict[str, Any]) -> GridRange | None:
    """Its range, or that of the named range it is made of."""
    held: GridRange | None = protected.get("range")
    for named in document.named_ranges:
        if named["namedRangeId"] == protected.get("namedRangeId"):
            held = named["range"]
    return held


def meeting(a: GridRange, b: GridRange) -> GridRange:
    """What two ranges that touch have in common."""

    def end(x: int | None, y: int | None) -> int | None:
        return y if x is None else x if y is None else min(x, y)

    return GridRange(
        a.sheet_id,
        max(a.r0 or 0, b.r0 or 0),
        end(a.r1, b.r1),
        max(a.c0 or 0, b.c0 or 0),
        end(a.c1, b.c1),
    )


_RANGE = (
    "sortRange",
    "repeatCell",
    "updateBorders",
    "mergeCells",
    "unmergeCells",
    "randomizeRange",
    "trimWhitespace",
    "deleteDuplicates",
    "setDataValidation",
    "insertRange",
    "deleteRange",
    "autoFill",
)


def touched_ranges(kind: str, body: dict[str, Any], document: Spreadsheet) -> Iterator[GridRange]:
    """The cells that a request is going to change, as far as its body says."""
    if kind in _RANGE:
        yield GridRange.of(body.get("range", {}))
    elif kind in ("copyPaste", "cutPaste"):
        source = GridRange.of(body.get("source", {}))
        if kind == "cutPaste":
            yield source
            yield corner(body.get("destination", {}), source)
        else:
            yield GridRange.of(body.get("destination", {}))
    elif kind == "textToColumns":
        yield GridRange.of(body.get("source", {}))
    elif kind == "pasteData":
        yield corner(body.get("coordinate", {}), None)
    elif kind == "updateCells":
        if "range" in body:
            yield GridRange.of(body["range"])
        else:
            widest = max((len(row.get("values", ())) for row in body.get("rows", ())), default=0)
            start = body.get("start", {})
            r0, c0 = start.get("rowIndex", 0), start.get("columnIndex", 0)
            height = len(body.get("rows", ()))
            yield GridRange(start.get("sheetId", 0), r0, r0 + height, c0, c0 + widest)
    elif kind in ("deleteDimension", "moveDimension"):
        yield dimension_range(body.get("range") or body.get("source") or {})
    elif kind == "deleteSheet":
        yield GridRange(body.get("sheetId", 0))


def corner(start: dict[str, int], like: GridRange | None) -> GridRange:
    r0, c0 = start.get("rowIndex", 0), start.get("columnIndex", 0)
    height = width = 1
    if like is not None:
        height = 1 if like.r1 is None else like.r1 - (like.r0 or 0)
        width = 1 if like.c1 is None else like.c1 - (like.c0 or 0)
    return GridRange(start.get("sheetId", 0), r0, r0 + height, c0, c0 + width)


def dimension_range(body: dict[str, Any]) -> GridRange:
    """A structural change touches what a protected range has of these rows or columns."""
    asked = Dimension(body.get("dimension", "ROWS"))
    whole = GridRange(body.get("sheetId", 0))
    return whole.with_span(asked, (body.get("startIndex"), body.get("endIndex")))


def guard_request(document: Spreadsheet, kind: str, body: dict[str, Any], caller: "Caller") -> None:
    if caller.owner:
        return
    for touched in touched_ranges(kind, body, document):
        if any(s.sheet_id == touched.sheet_id for s in document.sheets):
            guard(document, touched, caller)
