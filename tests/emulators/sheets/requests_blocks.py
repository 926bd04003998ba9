"""A block of cells on its way to another place: what lies on it goes along."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.emulators.sheets.cell import EMPTY, Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.gridrange import Dimension, GridRange
from tests.emulators.sheets.requests_areas import Area
from tests.emulators.sheets.requests_formulas import moved
from tests.emulators.sheets.requests_sheets import grow
from tests.emulators.sheets.sheet import Sheet

Json = Any
VALUE = ("value", "formula", "link", "runs", "chips", "pivot")

# Which parts of a cell each kind of paste brings.
PASTED: dict[str, tuple[str, ...]] = {
    "PASTE_NORMAL": (*VALUE, "format", "note", "validation"),
    "PASTE_VALUES": ("value",),
    "PASTE_FORMAT": ("format", "validation"),
    "PASTE_NO_BORDERS": (*VALUE, "format", "note", "validation"),
    "PASTE_FORMULA": VALUE,
    "PASTE_DATA_VALIDATION": ("validation",),
    "PASTE_CONDITIONAL_FORMATTING": (),
}


@dataclass(frozen=True)
class Block:
    """Cells row by row, where they were taken, and the merges among them (relative)."""

    cells: list[list[Cell | None]]
    r0: int
    c0: int
    merges: list[GridRange]

    @property
    def height(self) -> int:
        return len(self.cells)

    @property
    def width(self) -> int:
        return len(self.cells[0]) if self.cells else 0

    def turned(self) -> "Block":
        """Rows for columns."""
        cells = [list(column) for column in zip(*self.cells, strict=True)]
        merges = [GridRange(m.sheet_id, m.c0, m.c1, m.r0, m.r1) for m in self.merges]
        return Block(cells, self.r0, self.c0, merges)


def taken(source: Area) -> Block:
    grid = source.sheet.grid
    cells = [
        [grid.cell(r, c) for c in range(source.c0, source.c1)] for r in range(source.r0, source.r1)
    ]
    merges = [
        shifted(m, -source.r0, -source.c0)
        for m in source.sheet.parts.get("merges", ())
        if source.range.contains(m)
    ]
    return Block(cells, source.r0, source.c0, merges)


def shifted(r: GridRange, rows: int, columns: int, sheet_id: int | None = None) -> GridRange:
    def by(index: int | None, count: int) -> int | None:
        return None if index is None else index + count

    return GridRange(
        r.sheet_id if sheet_id is None else sheet_id,
        by(r.r0, rows),
        by(r.r1, rows),
        by(r.c0, columns),
        by(r.c1, columns),
    )


def room(document: Spreadsheet, sheet: Sheet, rows: int, columns: int) -> None:
    """The grid grows to so many rows and columns if it has fewer."""
    for dimension, wanted, there in (
        (Dimension.ROWS, rows, sheet.grid.row_count),
        (Dimension.COLUMNS, columns, sheet.grid.column_count),
    ):
        if wanted > there:
            grow(document, sheet, dimension, wanted - there)


def put(sheet: Sheet, block: Block, r0: int, c0: int, kind: str, *, copied: bool) -> None:
    """Lay the block down; a copy's formulas are moved, those of a cut stay as they are."""
    parts = PASTED[kind]
    for i, row in enumerate(block.cells):
        old = sheet.grid.row(r0 + i)
        cells = []
        for j, cell in enumerate(row):
            before = old[c0 + j] if c0 + j < len(old) else None
            by = (r0 - block.r0, c0 - block.c0) if copied else (0, 0)
            cells.append(pasted(before, cell, parts, kind, by))
        sheet.grid.put_row(r0 + i, c0, cells)
    if kind in ("PASTE_NORMAL", "PASTE_FORMAT", "PASTE_NO_BORDERS"):
        lay_merges(sheet, block, r0, c0)


def pasted(
    before: Cell | None,
    cell: Cell | None,
    parts: Sequence[str],
    kind: str,
    by: tuple[int, int],
) -> Cell | None:
    source = cell or EMPTY
    changes: dict[str, Json] = {name: getattr(source, name) for name in parts}
    if kind == "PASTE_VALUES":
        changes |= {name: None for name in VALUE if name != "value"}
    if changes.get("formula") is not None:
        changes["formula"] = moved(changes["formula"], *by)
    if kind == "PASTE_NO_BORDERS":
        shape = {n: v for n, v in (source.format or {}).items() if n != "borders"}
        own = (before or EMPTY).format or {}
        if "borders" in own:
            shape["borders"] = own["borders"]
        changes["format"] = shape or None
    after = (before or EMPTY).but(**changes)
    return None if after.empty else after


def lay_merges(sheet: Sheet, block: Block, r0: int, c0: int) -> None:
    target = GridRange(sheet.sheet_id, r0, r0 + block.height, c0, c0 + block.width)
    merges = [m for m in sheet.parts.get("merges", ()) if not m.touches(target)]
    merges += [shifted(m, r0, c0, sheet.sheet_id) for m in block.merges]
    set_merges(sheet, merges)


def set_merges(sheet: Sheet, merges: list[GridRange]) -> None:
    if merges:
        sheet.parts["merges"] = merges
    else:
        sheet.parts.pop("merges", None)


def emptied(source: Area) -> None:
    """Take everything off these cells."""
    for r in range(source.r0, min(source.r1, len(source.sheet.grid.rows))):
        source.sheet.grid.put_row(r, source.c0, [None] * source.width)
    merges = source.sheet.parts.get("merges", [])
    set_merges(source.sheet, [m for m in merges if not source.range.contains(m)])


def relocated(r: GridRange, source: GridRange, rows: int, columns: int, sheet_id: int) -> GridRange:
    """Where a range is that lay within the source of a cut."""
    return shifted(r, rows, columns, sheet_id) if source.contains(r) else r
