"""What a value becomes when it is written: RAW keeps it, USER_ENTERED reads it as if typed."""

from typing import Any

from tests.emulators.sheets import typed
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import MAX_CELL_CHARACTERS, Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.numberformat import is_date

_EXACT = 2**53


def enter(document: Spreadsheet, value: Any, option: str, before: Cell | None) -> Cell | None:
    """The cell after the write: format, note and validation stay, the rest is replaced.

    None is a cell that holds nothing at all.
    """
    if value.__class__ is str:
        if len(value) > MAX_CELL_CHARACTERS:
            raise ApiError(
                "Your input contains more than the maximum of 50000 characters in a single cell."
            )
        if value == "":
            value = None
        elif option == "USER_ENTERED":
            return _typed(document, value, before)
    elif value.__class__ is float and value.is_integer() and abs(value) < 1e21:
        value = int(value)
    elif value.__class__ is int and abs(value) > _EXACT:
        value = int(float(value))  # a sheet's numbers are doubles
    return holding(value, before)


def holding(value: Any, before: Cell | None) -> Cell | None:
    """A plain value in place of what a cell held."""
    if before is None:
        return None if value is None else Cell(value)
    cell = Cell(value, None, before.format, before.note, validation=before.validation)
    return None if value is None and cell.empty else cell


def _typed(document: Spreadsheet, text: str, before: Cell | None) -> Cell | None:
    old = before.number_format if before else None
    if old and old.get("type") == "TEXT":
        return holding(text, before)
    meant = typed.read(text)
    if meant.value == "" and meant.formula is None:
        return holding(None, before)
    form = before.format if before else None
    if meant.format and not _fits(meant.format, old):
        form = {**(form or {}), "numberFormat": meant.format}
    if meant.formula is not None:
        document.has_formulas = True
    return Cell(
        meant.value,
        meant.formula,
        form,
        before.note if before else None,
        meant.link,
        validation=before.validation if before else None,
    )


def _fits(brought: dict[str, str], old: dict[str, str] | None) -> bool:
    """A cell that was formatted keeps its own pattern for a value of its kind."""
    if not old:
        return False
    if is_date(brought) or is_date(old):
        return brought["type"] == old.get("type")
    return True
