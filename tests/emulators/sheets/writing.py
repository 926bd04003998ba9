"""Putting a block of JSON values into a tab, and counting what was written."""

from typing import Any

from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange


class Counted:
    """What a write did. null leaves a cell alone and does not count."""

    def __init__(self, sheet_id: int):
        self.sheet_id = sheet_id
        self.rows: set[int] = set()
        self.columns: set[int] = set()
        self.cells = 0
        self.written = GridRange(sheet_id)  # from the first cell as far as the values reach
        self.echoed = self.written  # what an answer with values shows: all that was asked for


def rows_of(body: dict[str, Any]) -> list[list[Any]]:
    """The values by rows, whatever their major dimension; what columns leave out is null."""
    values = body.get("values") or []
    if body.get("majorDimension") == "COLUMNS":
        height = max((len(column) for column in values), default=0)
        return [[c[i] if i < len(c) else None for c in values] for i in range(height)]
    return list(values)


def put_values(
    work: Spreadsheet, closed: GridRange, values: list[list[Any]], option: str
) -> Counted:
    """Write from the range's first cell on; the caller has checked that it fits."""
    sheet = work.sheet(closed.sheet_id)
    assert closed.r0 is not None
    assert closed.c0 is not None
    r0, c0 = closed.r0, closed.c0
    counted = Counted(closed.sheet_id)
    for i, row in enumerate(values):
        old = sheet.grid.row(r0 + i)
        cells: list[Cell | None] = []
        wrote = False
        for j, value in enumerate(row):
            before = old[c0 + j] if c0 + j < len(old) else None
            if value is None:
                cells.append(before)
                continue
            cells.append(enter(work, value, option, before))
            counted.columns.add(c0 + j)
            counted.cells += 1
            wrote = True
        if wrote:
            counted.rows.add(r0 + i)
            sheet.grid.put_row(r0 + i, c0, cells)
    height = max(len(values), 1)
    width = max((len(row) for row in values), default=0) or 1
    counted.written = GridRange(closed.sheet_id, r0, r0 + height, c0, c0 + width)
    counted.echoed = closed if closed.contains(counted.written) else counted.written
    return counted


def check_values(values: list[list[Any]]) -> None:
    """A cell holds a text, a number or a boolean; Google prints the proto of anything else."""
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if value.__class__ is list or value.__class__ is dict:
                kind = "list_value" if isinstance(value, list) else "struct_value"
                raise ApiError(f"Invalid values[{i}][{j}]: {kind} {_block(_inside(value), 0)}\n")


def _inside(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, list):
        return [("values", _proto(item)) for item in value]
    return [("fields", [("key", _quoted(k)), ("value", _proto(v))]) for k, v in value.items()]


def _proto(value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return [("null_value", "NULL_VALUE")]
    if isinstance(value, bool):
        return [("bool_value", "true" if value else "false")]
    if isinstance(value, int | float):
        return [("number_value", f"{value:g}")]
    if isinstance(value, str):
        return [("string_value", _quoted(value))]
    return [("list_value" if isinstance(value, list) else "struct_value", _inside(value))]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _block(fields: list[tuple[str, Any]], depth: int) -> str:
    pad = "  " * (depth + 1)
    lines = [
        f"{pad}{name} {_block(content, depth + 1)}"
        if isinstance(content, list)
        else f"{pad}{name}: {content}"
        for name, content in fields
    ]
    return "\n".join(["{", *lines, "  " * depth + "}"])
