"""Merged cells: they show one value, that of their upper left corner."""

from typing import Any

from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import EMPTY, Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.requests_areas import Area, area


@request("mergeCells")
def merge_cells(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    target = area(document, body.get("range"))
    take_apart(target)
    for block in blocks(target, body.get("mergeType", "MERGE_ALL")):
        if block.height > 1 or block.width > 1:
            target.sheet.list_of("merges").append(block.range)
            keep_one(block)
    return None


def blocks(target: Area, kind: str) -> list[Area]:
    if kind == "MERGE_ROWS":
        return [target._replace(r0=r, r1=r + 1) for r in range(target.r0, target.r1)]
    if kind == "MERGE_COLUMNS":
        return [target._replace(c0=c, c1=c + 1) for c in range(target.c0, target.c1)]
    return [target]


def keep_one(block: Area) -> None:
    """The first value there is goes to the corner, all others go."""
    grid = block.sheet.grid
    corner: Cell | None = None
    for r in range(block.r0, min(block.r1, len(grid.rows))):
        for c in range(block.c0, block.c1):
            cell = grid.cell(r, c)
            if cell is None or cell.blank:
                continue
            if corner is None:
                corner = cell
            bare = cell.but(value=None, formula=None, link=None, runs=None, chips=None)
            grid.put(r, c, None if bare.empty else bare)
    if corner is not None:
        at = grid.cell(block.r0, block.c0) or EMPTY
        kept = {n: getattr(corner, n) for n in ("value", "formula", "link", "runs", "chips")}
        grid.put(block.r0, block.c0, at.but(**kept))


@request("unmergeCells")
def unmerge_cells(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    take_apart(area(document, body.get("range")))
    return None


def take_apart(target: Area) -> None:
    """Merges within the range end; one that lies across its edge is in the way."""
    kept: list[GridRange] = []
    for merge in target.sheet.parts.get("merges", ()):
        if not merge.touches(target.range):
            kept.append(merge)
        elif not target.range.contains(merge):
            raise ApiError("You must select all cells in a merged range to merge or unmerge them.")
    set_merges(target, kept)


def set_merges(target: Area, merges: list[GridRange]) -> None:
    if merges:
        target.sheet.parts["merges"] = merges
    else:
        target.sheet.parts.pop("merges", None)
