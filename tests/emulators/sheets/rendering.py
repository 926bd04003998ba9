"""How values are shown: formatted, unformatted or as formulas, by rows or by columns."""

from dataclasses import dataclass
from typing import Any

from tests.emulators.sheets.cell import Cell, CellError
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.sheet import Sheet


@dataclass(frozen=True)
class Rendering:
    values: str = "FORMATTED_VALUE"
    dates: str = "SERIAL_NUMBER"
    dimension: str = "ROWS"


def rendered_rows(sheet: Sheet, r: GridRange, how: Rendering) -> list[list[Any]]:
    """The values of a rectangle, cut after the last one of each row and after the last row."""
    r0, r1, c0, c1 = r.bounds(sheet.grid.row_count, sheet.grid.column_count)
    rows = []
    for row in sheet.grid.block(r0, r1, c0, c1):
        shown = [render(cell, how) for cell in row]
        while shown and shown[-1] == "":
            shown.pop()
        rows.append(shown)
    if how.dimension == "COLUMNS":
        width = max(map(len, rows), default=0)
        rows = [[row[c] if c < len(row) else "" for row in rows] for c in range(width)]
        for column in rows:
            while column and column[-1] == "":
                column.pop()
    while rows and not rows[-1]:
        rows.pop()
    return rows


def render(cell: Cell | None, how: Rendering) -> Any:
    if cell is None or cell.value is None:
        return ""
    if how.values == "FORMULA" and cell.formula is not None:
        return cell.formula
    value = cell.value
    if isinstance(value, CellError):
        return value.text
    if how.values == "FORMATTED_VALUE":
        return formatted(value, cell)
    return value


def formatted(value: Any, cell: Cell) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)
