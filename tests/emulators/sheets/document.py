"""A spreadsheet: tabs in order, named ranges, properties. All changes go through a transaction."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.emulators.sheets.a1 import quoted
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import (
    Dimension,
    GridRange,
    Shift,
    deletion,
    insertion,
    map_ranges,
    movement,
)
from tests.emulators.sheets.requests_formulas import follow
from tests.emulators.sheets.sheet import Sheet, ranges_shifter

MAX_CELLS = 10_000_000
MAX_COLUMNS = 18_278
MAX_SHEETS = 200
MAX_CELL_CHARACTERS = 50_000


class Spreadsheet:
    """`revision` grows with every change that was applied."""

    def __init__(self, spreadsheet_id: str, title: str, *, rng: random.Random | None = None):
        self.spreadsheet_id = spreadsheet_id
        self.rng = rng or random.Random()
        # Beyond the title: locale, timeZone, autoRecalc, ... as set; see `spreadsheet_get`.
        self.properties: dict[str, Any] = {
            "title": title,
            "locale": "en_US",
            "autoRecalc": "ON_CHANGE",
            "timeZone": "Etc/GMT",
        }
        self.sheets: list[Sheet] = [Sheet(0, "Sheet1")]
        self.named_ranges: list[dict[str, Any]] = []  # {"namedRangeId", "name", "range": GridRange}
        self.developer_metadata: list[dict[str, Any]] = []
        self.data_sources: list[dict[str, Any]] = []
        self.revision = 0
        self.has_formulas = False  # may stay true after the last formula went
        self.calculated = -1  # the revision whose formulas are worked out
        self.changing = False  # the working copy of a transaction

    # Finding

    def sheet(self, sheet_id: int) -> Sheet:
        """The tab with this id, or the refusal of every request that names one that is not."""
        for sheet in self.sheets:
            if sheet.sheet_id == sheet_id:
                return sheet
        raise ApiError(f"No grid with id: {sheet_id}")

    def sheet_titled(self, title: str) -> Sheet | None:
        folded = title.casefold()
        return next((s for s in self.sheets if s.title.casefold() == folded), None)

    def index_of(self, sheet: Sheet) -> int:
        return self.sheets.index(sheet)

    def sheet_properties(self, sheet: Sheet) -> dict[str, Any]:
        return sheet.properties(self.index_of(sheet))

    def grid_range(self, body: dict[str, Any]) -> GridRange:
        """A GridRange of a request, on a tab that exists; ends may be open or past the grid."""
        found = GridRange.of(body)
        self.sheet(found.sheet_id)
        return found

    def fresh_id(self) -> int:
        """An id as Google gives them to tabs, protected ranges, filter views, ..."""
        return self.rng.randrange(1, 2**31)

    def fresh_sheet_id(self) -> int:
        used = {s.sheet_id for s in self.sheets}
        while (made := self.fresh_id()) in used:
            pass
        return made

    @property
    def cell_count(self) -> int:
        return sum(s.grid.row_count * s.grid.column_count for s in self.sheets)

    def check_cell_count(self) -> None:
        if self.cell_count > MAX_CELLS:
            raise ApiError(
                "This action would increase the number of cells in the workbook above the limit of"
                f" {MAX_CELLS} cells."
            )

    def range_name(self, r: GridRange) -> str:
        """`Sheet1!A1:B2`, as answers and error sentences spell a range."""
        from tests.emulators.sheets.a1 import range_text

        return f"{quoted(self.sheet(r.sheet_id).title)}!{range_text(r)}"

    # Structural changes; named ranges and formulas follow.

    def insert(self, sheet: Sheet, dimension: Dimension, start: int, count: int) -> None:
        sheet.insert(dimension, start, count)
        self._follow(sheet, dimension, insertion(start, count))

    def delete(self, sheet: Sheet, dimension: Dimension, start: int, end: int) -> None:
        sheet.delete(dimension, start, end)
        self._follow(sheet, dimension, deletion(start, end))

    def move(
        self, sheet: Sheet, dimension: Dimension, start: int, end: int, destination: int
    ) -> None:
        sheet.move(dimension, start, end, destination)
        self._follow(sheet, dimension, movement(start, end, destination))

    def _follow(self, sheet: Sheet, dimension: Dimension, shift: Shift) -> None:
        change = ranges_shifter(sheet.sheet_id, dimension, shift)
        self.named_ranges = map_ranges(self.named_ranges, change)
        for other in self.sheets:
            if other is not sheet:
                other.parts = map_ranges(other.parts, change)
        follow(self, change)

    def recalculate(self) -> None:
        """Bring the values of formulas up to date; free where there are none, or no news."""
        if self.has_formulas and (self.calculated != self.revision or self.changing):
            from tests.emulators.sheets.recalculation import recalculate

            recalculate(self)
            self.calculated = self.revision

    # Transactions

    def copy(self) -> "Spreadsheet":
        new = Spreadsheet(self.spreadsheet_id, self.properties["title"], rng=self.rng)
        new.properties = copy.deepcopy(self.properties)
        new.sheets = [s.copy() for s in self.sheets]
        new.named_ranges = copy.deepcopy(self.named_ranges)
        new.developer_metadata = copy.deepcopy(self.developer_metadata)
        new.data_sources = copy.deepcopy(self.data_sources)
        new.revision = self.revision
        new.has_formulas = self.has_formulas
        return new

    @contextmanager
    def transaction(self) -> Iterator["Spreadsheet"]:
        """Change the copy that this gives; it becomes the document if nothing is raised."""
        work = self.copy()
        work.changing = True
        yield work
        work.changing = False
        work.revision = self.revision + 1
        self.__dict__.update(work.__dict__)
