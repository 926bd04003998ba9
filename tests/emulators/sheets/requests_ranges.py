"""Cells put in or taken out of a part of a tab: their neighbours move over."""

from typing import Any

from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import (
    Dimension,
    GridRange,
    Shift,
    deletion,
    insertion,
)
from tests.emulators.sheets.requests_areas import Area, area, size_of
from tests.emulators.sheets.requests_blocks import set_merges
from tests.emulators.sheets.requests_formulas import follow
from tests.emulators.sheets.requests_sheets import grow


def moved_by(body: dict[str, Any]) -> Dimension:
    if "shiftDimension" not in body:
        raise ApiError("shiftDimension is required.")
    return Dimension(body["shiftDimension"])


@request("insertRange")
def insert_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    new = area(document, body.get("range"))
    dimension = moved_by(body)
    start, count = extent(new, dimension)
    over = last_used(new, dimension) + 1 + count - size_of(new.sheet, dimension)
    if last_used(new, dimension) >= start and over > 0:
        grow(document, new.sheet, dimension, over)
    follow_shift(document, new, dimension, insertion(start, count))
    for line in lines(new, dimension):
        cells = [new.sheet.grid.cell(*place) for place in line]
        size = len(cells)
        shifted = (cells[:start] + [None] * count + cells[start:])[:size]
        for place, cell in zip(line, shifted, strict=True):
            if new.sheet.grid.cell(*place) is not cell:
                new.sheet.grid.put(*place, cell)
    return None


@request("deleteRange")
def delete_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    gone = area(document, body.get("range"))
    dimension = moved_by(body)
    start, count = extent(gone, dimension)
    follow_shift(document, gone, dimension, deletion(start, start + count))
    for line in lines(gone, dimension):
        cells = [gone.sheet.grid.cell(*place) for place in line]
        shifted = cells[:start] + cells[start + count :] + [None] * count
        for place, cell in zip(line, shifted, strict=True):
            if gone.sheet.grid.cell(*place) is not cell:
                gone.sheet.grid.put(*place, cell)
    return None


def extent(at: Area, dimension: Dimension) -> tuple[int, int]:
    return (at.r0, at.height) if dimension is Dimension.ROWS else (at.c0, at.width)


def lines(at: Area, dimension: Dimension) -> list[list[tuple[int, int]]]:
    """The places of each column (or row) of the range from one end of the grid to the other."""
    if dimension is Dimension.ROWS:
        used = min(len(at.sheet.grid.rows) + at.height, at.sheet.grid.row_count)
        rows = range(max(used, at.r1))
        return [[(r, c) for r in rows] for c in range(at.c0, at.c1)]
    columns = range(at.sheet.grid.column_count)
    return [[(r, c) for c in columns] for r in range(at.r0, at.r1)]


def last_used(at: Area, dimension: Dimension) -> int:
    used = [
        r if dimension is Dimension.ROWS else c
        for r, c, _ in at.sheet.grid.cells()
        if (at.c0 <= c < at.c1 if dimension is Dimension.ROWS else at.r0 <= r < at.r1)
    ]
    return max(used, default=-1)


def follow_shift(document: Spreadsheet, at: Area, dimension: Dimension, shift: Shift) -> None:
    """Ranges that lie within the moved columns (or rows) follow; a torn merge is refused."""
    start, _ = extent(at, dimension)
    band = at.range.with_span(dimension, (start, None))
    across = Dimension.COLUMNS if dimension is Dimension.ROWS else Dimension.ROWS

    def change(r: GridRange) -> GridRange | None:
        lo, hi = r.span(across)
        first, last = at.range.span(across)
        within = lo is not None and hi is not None and first <= lo and hi <= last  # type: ignore[operator]
        if r.sheet_id != at.sheet.sheet_id or not within:
            return r
        moved = shift(*r.span(dimension))
        return None if moved is None else r.with_span(dimension, moved)

    merges = []
    for merge in at.sheet.parts.get("merges", ()):
        after = change(merge)
        if after is merge and merge.touches(band) and not band.contains(merge):
            raise ApiError("You must select all cells in a merged range to merge or unmerge them.")
        if after is not None:
            merges.append(after)
    set_merges(at.sheet, merges)
    follow(document, change)
    for named in list(document.named_ranges):
        after = change(named["range"])
        if after is None:
            document.named_ranges.remove(named)
        else:
            named["range"] = after
