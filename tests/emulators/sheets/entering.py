"""What a value becomes when it is written: RAW keeps it, USER_ENTERED reads it as if typed."""

from typing import Any

from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import MAX_CELL_CHARACTERS, Spreadsheet
from tests.emulators.sheets.errors import ApiError


def enter(document: Spreadsheet, value: Any, option: str, before: Cell | None) -> Cell | None:
    """The cell after the write: format, note and validation stay, the rest is replaced."""
    if isinstance(value, str) and len(value) > MAX_CELL_CHARACTERS:
        raise ApiError(
            "Your input contains more than the maximum of 50000 characters in a single cell."
        )
    if value == "":
        value = None
    if before is None:
        return None if value is None else Cell(value)
    cell = before.but(value=value, formula=None, link=None, runs=None, chips=None)
    return None if cell.empty else cell
