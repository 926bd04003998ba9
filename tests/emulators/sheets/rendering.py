"""How values are shown: formatted, unformatted or as formulas, by rows or by columns."""

from dataclasses import dataclass
from typing import Any

from tests.emulators.sheets.cell import Cell, CellError, Value
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.numberformat import is_date, show
from tests.emulators.sheets.sheet import Sheet


@dataclass(frozen=True)
class Rendering:
    values: str = "FORMATTED_VALUE"
    dates: str = "SERIAL_NUMBER"
    dimension: str = "ROWS"


def rendered_rows(sheet: Sheet, r: GridRange, how: Rendering) -> list[list[Any]]:
    """The values of a rectangle, cut after the last one of each row and after the last row."""
    r0, r1, c0, c1 = r.bounds(sheet.grid.row_count, sheet.grid.column_count)
    rows: list[list[Any]] = []
    # Most cells of a big tab are plain text: those are told from the others by their class alone.
    for row in sheet.grid.block(r0, r1, c0, c1):
        shown = [
            ""
            if cell is None
            else (
                cell.value
                if cell.value.__class__ is str and cell.formula is None
                else render(cell, how)
            )
            for cell in row
        ]
        while shown and shown[-1] == "":
            shown.pop()
        rows.append(shown)
    for (row_index, column), value in sheet.spilled.items():
        if r0 <= row_index < r1 and c0 <= column < c1:
            _overlay(rows, row_index - r0, column - c0, render_value(value, None, how))
    if how.dimension == "COLUMNS":
        rows = _turned(rows)
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _overlay(rows: list[list[Any]], row: int, column: int, shown: Any) -> None:
    if shown == "":
        return
    rows.extend([] for _ in range(row + 1 - len(rows)))
    cells = rows[row]
    cells.extend("" for _ in range(column + 1 - len(cells)))
    cells[column] = shown


def _turned(rows: list[list[Any]]) -> list[list[Any]]:
    width = max(map(len, rows), default=0)
    columns = [[row[c] if c < len(row) else "" for row in rows] for c in range(width)]
    for column in columns:
        while column and column[-1] == "":
            column.pop()
    return columns


def render(cell: Cell | None, how: Rendering) -> Any:
    if cell is None:
        return ""
    if how.values == "FORMULA" and cell.formula is not None:
        return cell.formula
    return render_value(cell.value, cell.format, how)


def render_value(value: Value, form: dict[str, Any] | None, how: Rendering) -> Any:
    if value is None:
        return ""
    if value.__class__ is str:
        return value
    if isinstance(value, CellError):
        return value.text
    if how.values == "FORMATTED_VALUE":
        return formatted(value, form)
    if isinstance(value, bool):
        return value
    number_format = form.get("numberFormat") if form else None
    if is_date(number_format) and how.dates == "FORMATTED_STRING":
        return show(value, number_format)  # type: ignore[arg-type]
    return value


def formatted(value: Value, form: dict[str, Any] | None) -> str:
    """formattedValue: what a person sees in the cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, CellError):
        return value.text
    if isinstance(value, str):
        return value
    return show(value, form.get("numberFormat") if form else None)
