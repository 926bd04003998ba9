"""One tab: its grid and everything that hangs on it (merges, filters, protected ranges, ...)."""

import copy
from typing import Any

from tests.emulators.sheets.cell import Value
from tests.emulators.sheets.grid import Grid
from tests.emulators.sheets.gridrange import (
    Dimension,
    GridRange,
    Shift,
    deletion,
    insertion,
    map_ranges,
    movement,
    plain,
)

# Parts of a Sheet object that are lists (or one object) of JSON in which each range is a GridRange,
# so that structural changes can find them. In the order in which spreadsheets.get answers them.
RANGED = (
    "merges",
    "conditionalFormats",
    "filterViews",
    "protectedRanges",
    "basicFilter",
    "charts",
    "bandedRanges",
    "developerMetadata",
    "rowGroups",
    "columnGroups",
    "slicers",
    "tables",
)


class Sheet:
    """`extra` holds what its properties have beyond the usual (hidden, tabColor, ...), and
    `grid_extra` the same for gridProperties (frozenRowCount, ...); `parts` what RANGED names."""

    def __init__(self, sheet_id: int, title: str, grid: Grid | None = None):
        self.sheet_id = sheet_id
        self.title = title
        self.grid = grid or Grid()
        self.sheet_type = "GRID"
        self.extra: dict[str, Any] = {}
        self.grid_extra: dict[str, Any] = {}
        self.parts: dict[str, Any] = {}
        # What array formulas put into cells around them; made anew by each recalculation.
        self.spilled: dict[tuple[int, int], Value] = {}

    def copy(self) -> "Sheet":
        new = Sheet(self.sheet_id, self.title, self.grid.copy())
        new.sheet_type = self.sheet_type
        new.extra = copy.deepcopy(self.extra)
        new.grid_extra = dict(self.grid_extra)
        new.parts = copy.deepcopy(self.parts)
        new.spilled = dict(self.spilled)
        return new

    def list_of(self, part: str) -> list[Any]:
        """A part that is a list, made when it is not there: `sheet.list_of("merges")`."""
        return self.parts.setdefault(part, [])

    @property
    def whole(self) -> GridRange:
        return GridRange(self.sheet_id, 0, self.grid.row_count, 0, self.grid.column_count)

    def properties(self, index: int) -> dict[str, Any]:
        """SheetProperties as spreadsheets.get answers them."""
        answer: dict[str, Any] = {
            "sheetId": self.sheet_id,
            "title": self.title,
            "index": index,
            "sheetType": self.sheet_type,
        }
        if self.sheet_type == "GRID":
            answer["gridProperties"] = {
                "rowCount": self.grid.row_count,
                "columnCount": self.grid.column_count,
                **{k: v for k, v in self.grid_extra.items() if v},
            }
        answer.update((k, v) for k, v in self.extra.items() if v not in (None, False))
        return plain(answer)

    # Structural changes: the cells, and every range that hangs on the tab, move together.

    def insert(self, dimension: Dimension, start: int, count: int) -> None:
        self.grid.insert(dimension, start, count)
        self.shift_ranges(dimension, insertion(start, count))

    def delete(self, dimension: Dimension, start: int, end: int) -> None:
        self.grid.delete(dimension, start, end)
        self.shift_ranges(dimension, deletion(start, end))

    def move(self, dimension: Dimension, start: int, end: int, destination: int) -> None:
        self.grid.move(dimension, start, end, destination)
        self.shift_ranges(dimension, movement(start, end, destination))

    def shift_ranges(self, dimension: Dimension, shift: Shift) -> None:
        self.parts = map_ranges(self.parts, ranges_shifter(self.sheet_id, dimension, shift))


def ranges_shifter(sheet_id: int, dimension: Dimension, shift: Shift) -> Any:
    def change(r: GridRange) -> GridRange | None:
        if r.sheet_id != sheet_id:
            return r
        span = shift(*r.span(dimension))
        return None if span is None else r.with_span(dimension, span)

    return change
