"""Cells put in or taken out of a part of a tab: their neighbours move over."""

from collections.abc import Sequence
from typing import Any

from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import Cell
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
    push(new, dimension, count)
    return None


@request("deleteRange")
def delete_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    gone = area(document, body.get("range"))
    dimension = moved_by(body)
    start, count = extent(gone, dimension)
    follow_shift(document, gone, dimension, deletion(start, start + count))
    pull(gone, dimension, count)
    return None


def push(at: Area, dimension: Dimension, count: int) -> None:
    """Everything from the range on goes `count` further; the range is empty then."""
    grid = at.sheet.grid
    if dimension is Dimension.COLUMNS:
        for r in range(at.r0, min(at.r1, len(grid.rows))):
            moved = grid.row(r)[at.c0 : grid.column_count - count]
            grid.put_row(r, at.c0, [None] * count + list(moved))
        return
    last = min(len(grid.rows), grid.row_count - count)
    for r in range(last - 1, at.r0 - 1, -1):
        grid.put_row(r + count, at.c0, filled(grid.row(r)[at.c0 : at.c1], at.width))
    for r in range(at.r0, min(at.r0 + count, len(grid.rows))):
        grid.put_row(r, at.c0, [None] * at.width)


def pull(at: Area, dimension: Dimension, count: int) -> None:
    """Everything behind the range comes `count` nearer, over the range."""
    grid = at.sheet.grid
    if dimension is Dimension.COLUMNS:
        for r in range(at.r0, min(at.r1, len(grid.rows))):
            grid.put_row(r, at.c0, [*grid.row(r)[at.c0 + count :], *[None] * count])
        return
    for r in range(at.r0, len(grid.rows)):
        grid.put_row(r, at.c0, filled(grid.row(r + count)[at.c0 : at.c1], at.width))


def filled(cells: Sequence[Cell | None], width: int) -> list[Cell | None]:
    return [*cells, *[None] * (width - len(cells))]


def extent(at: Area, dimension: Dimension) -> tuple[int, int]:
    return (at.r0, at.height) if dimension is Dimension.ROWS else (at.c0, at.width)


def last_used(at: Area, dimension: Dimension) -> int:
    """The last row (or column) that has a cell among the columns (or rows) of the range."""
    rows = at.sheet.grid.rows
    if dimension is Dimension.COLUMNS:
        return max(map(len, rows[at.r0 : at.r1]), default=0) - 1
    for r in range(len(rows) - 1, -1, -1):
        if any(cell is not None for cell in rows[r][at.c0 : at.c1]):
            return r
    return -1


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

    merges: list[GridRange] = []
    merge: GridRange
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
