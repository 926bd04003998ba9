"""Protected ranges and what an update touches: who may not edit there is refused."""

from collections.abc import Iterator
from typing import Any

from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import Dimension, GridRange
from tests.emulators.sheets.protection import SENTENCE, check_protection, may_edit

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
    elif kind == "insertDimension":
        # Between two rows of a protected range: as good as an edit of both.
        at = body.get("range", {})
        start = at.get("startIndex", 0)
        yield from inside_of(document, at, start)


def inside_of(document: Spreadsheet, at: dict[str, Any], start: int) -> Iterator[GridRange]:
    """The protected ranges that new rows or columns would lie within."""
    for sheet in document.sheets:
        if sheet.sheet_id == at.get("sheetId", 0):
            for protected in sheet.parts.get("protectedRanges", ()):
                held = protected.get("range") or GridRange(sheet.sheet_id)
                first, last = held.span(Dimension(at.get("dimension", "ROWS")))
                if first is not None and last is not None and first < start < last:
                    yield held


_OF_A_TAB = {
    "insertDimension": "range",
    "updateDimensionProperties": "range",
    "autoResizeDimensions": "dimensions",
    "addDimensionGroup": "range",
    "deleteDimensionGroup": "range",
    "updateSheetProperties": "properties",
    "appendDimension": "",
    "clearBasicFilter": "",
}


def tab_of(kind: str, body: dict[str, Any]) -> int | None:
    """The tab that a request changes as a whole; None where it changes cells or nothing of one."""
    if kind not in _OF_A_TAB:
        return None
    part = _OF_A_TAB[kind]
    sheet_id: int = (body.get(part, {}) if part else body).get("sheetId", 0)
    return sheet_id


def guard_tab(document: Spreadsheet, sheet_id: int, caller: Caller) -> None:
    """A tab that is protected as a whole is resized, hidden or renamed by its editors only."""
    for sheet in document.sheets:
        if sheet.sheet_id == sheet_id:
            for protected in sheet.parts.get("protectedRanges", ()):
                whole = protected.get("range") in (None, GridRange(sheet_id))
                if whole and not may_edit(protected, caller):
                    raise ApiError(SENTENCE)


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
    tab = tab_of(kind, body)
    if tab is not None:
        guard_tab(document, tab, caller)
    for touched in touched_ranges(kind, body, document):
        if any(s.sheet_id == touched.sheet_id for s in document.sheets):
            check_protection(document, touched, caller)
