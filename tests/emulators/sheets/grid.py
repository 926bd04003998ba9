"""The cells of one tab, row by row, and the four structural changes of rows and columns.

Rows are tuples that are never changed but replaced, so that a copy of a whole grid is a copy of
one list: a batch works on a copy, and a batch that fails leaves nothing behind.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.gridrange import Dimension, moved_index

Row = tuple[Cell | None, ...]


class Grid:
    """`rows` ends at the last row that has a cell; a row ends at its last cell."""

    def __init__(self, row_count: int = 1000, column_count: int = 26):
        self.row_count = row_count
        self.column_count = column_count
        self.rows: list[Row] = []
        # DimensionProperties of rows and columns that are not as usual (pixelSize, hiddenByUser).
        self.row_properties: dict[int, dict[str, Any]] = {}
        self.column_properties: dict[int, dict[str, Any]] = {}

    def copy(self) -> "Grid":
        new = Grid(self.row_count, self.column_count)
        new.rows = list(self.rows)
        new.row_properties = {i: dict(p) for i, p in self.row_properties.items()}
        new.column_properties = {i: dict(p) for i, p in self.column_properties.items()}
        return new

    # Reading

    def cell(self, row: int, column: int) -> Cell | None:
        if row >= len(self.rows):
            return None
        cells = self.rows[row]
        return cells[column] if column < len(cells) else None

    def row(self, row: int) -> Row:
        return self.rows[row] if row < len(self.rows) else ()

    def block(self, r0: int, r1: int, c0: int, c1: int) -> Iterator[Row]:
        """The rows of a rectangle, each cut at its last cell, ending with the last used row."""
        if c0 == 0:
            for row in self.rows[r0:r1]:
                yield row if len(row) <= c1 else row[:c1]
        else:
            for row in self.rows[r0:r1]:
                yield row[c0:c1]

    def cells(self) -> Iterator[tuple[int, int, Cell]]:
        for r, row in enumerate(self.rows):
            for c, cell in enumerate(row):
                if cell is not None:
                    yield r, c, cell

    # Writing

    def put(self, row: int, column: int, cell: Cell | None) -> None:
        self.put_row(row, column, (cell,))

    def put_row(self, row: int, column: int, cells: Sequence[Cell | None]) -> None:
        """Put cells side by side; None takes a cell away."""
        rows = self.rows
        if row >= len(rows):
            rows.extend(() for _ in range(row + 1 - len(rows)))
        old = rows[row]
        if len(old) < column:
            old += (None,) * (column - len(old))
        rows[row] = trimmed((*old[:column], *cells, *old[column + len(cells) :]))
        if row == len(rows) - 1:
            self._trim()

    def change(
        self, r0: int, r1: int, c0: int, c1: int, change: Callable[[Cell], Cell | None]
    ) -> None:
        """Put another cell (or none) in the place of each that a rectangle has."""
        for i, row in enumerate(self.rows[r0:r1], r0):
            part = row[c0:c1]
            if any(part):
                changed = [None if cell is None else change(cell) for cell in part]
                self.rows[i] = trimmed((*row[:c0], *changed, *row[c1:]))
        self._trim()

    def _trim(self) -> None:
        while self.rows and not self.rows[-1]:
            self.rows.pop()

    # Structure

    def resize(self, row_count: int, column_count: int) -> None:
        if column_count < self.column_count:
            self.rows = [trimmed(row[:column_count]) for row in self.rows]
        del self.rows[row_count:]
        self.row_count = row_count
        self.column_count = column_count
        self.row_properties = {i: p for i, p in self.row_properties.items() if i < row_count}
        self.column_properties = {
            i: p for i, p in self.column_properties.items() if i < column_count
        }
        self._trim()

    def insert(self, dimension: Dimension, start: int, count: int) -> None:
        if dimension is Dimension.ROWS:
            if start < len(self.rows):
                self.rows[start:start] = [()] * count
            self.row_count += count
        else:
            gap = (None,) * count
            self.rows = [
                row if len(row) <= start else (*row[:start], *gap, *row[start:])
                for row in self.rows
            ]
            self.column_count += count
        self._remap(dimension, lambda i: i if i < start else i + count)

    def delete(self, dimension: Dimension, start: int, end: int) -> None:
        if dimension is Dimension.ROWS:
            del self.rows[start:end]
            self.row_count -= end - start
        else:
            self.rows = [trimmed((*row[:start], *row[end:])) for row in self.rows]
            self.column_count -= end - start
        self._trim()
        self._remap(
            dimension, lambda i: i if i < start else (None if i < end else i - (end - start))
        )

    def move(self, dimension: Dimension, start: int, end: int, destination: int) -> None:
        """Move [start, end) to before `destination`, counted before the move."""
        if dimension is Dimension.ROWS:
            needed = max(end, destination)
            if len(self.rows) < needed:
                self.rows.extend(() for _ in range(needed - len(self.rows)))
            block = self.rows[start:end]
            del self.rows[start:end]
            at = destination if destination <= start else destination - (end - start)
            self.rows[at:at] = block
            self._trim()
        else:
            self.rows = [_moved(row, start, end, destination) for row in self.rows]
        self._remap(dimension, lambda i: moved_index(i, start, end, destination))

    def reorder(self, r0: int, c0: int, c1: int, order: Sequence[int]) -> None:
        """Row r0+i of the columns [c0, c1) becomes what row order[i] was (absolute indices)."""
        parts = [self.row(old)[c0:c1] for old in order]
        for i, part in enumerate(parts):
            if part or r0 + i < len(self.rows):
                self.put_row(r0 + i, c0, part + (None,) * (c1 - c0 - len(part)))

    def _remap(self, dimension: Dimension, place: Any) -> None:
        name = "row_properties" if dimension is Dimension.ROWS else "column_properties"
        old: dict[int, dict[str, Any]] = getattr(self, name)
        if old:
            moved = {place(i): p for i, p in old.items()}
            moved.pop(None, None)
            setattr(self, name, moved)


def trimmed(cells: Iterable[Cell | None]) -> Row:
    """A row without the nothing at its end."""
    row = tuple(cells)
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]


def _moved(row: Row, start: int, end: int, destination: int) -> Row:
    needed = max(end, destination)
    if len(row) <= min(start, destination):
        return row
    full = list(row) + [None] * (needed - len(row))
    block = full[start:end]
    del full[start:end]
    at = destination if destination <= start else destination - (end - start)
    full[at:at] = block
    return trimmed(full)
