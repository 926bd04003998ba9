"""Protected ranges and what an update touches: who may not edit there is refused."""

from collections.abc import Iterator
from typing import Any

from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.gridrange import Dimension, GridRange
from tests.emulators.sheets.protection import check_protection

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


def guard_request(document: Spreadsheet, kind: str, body: dict[str, Any], caller: Caller) -> None:
    if caller.owner:
        return
    for touched in touched_ranges(kind, body, document):
        if any(s.sheet_id == touched.sheet_id for s in document.sheets):
            check_protection(document, touched, caller)
