"""Bringing every formula of a document up to date, and laying array results out."""

from typing import Any

from tests.emulators.sheets.cell import Cell, CellError
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.formula_run import Book
from tests.emulators.sheets.formula_values import tidy

_PASSES = 4  # what an array formula lays out may feed others, which lay out again


def recalculate(document: Spreadsheet) -> None:
    formulas = [
        ((sheet.sheet_id, r, c), cell)
        for sheet in document.sheets
        for r, c, cell in sheet.grid.cells()
        if cell.formula is not None
    ]
    if not formulas:
        document.has_formulas = False
    spilled: dict[tuple[int, int, int], Any] = {}
    book = Book(document, spilled)
    for _ in range(_PASSES):
        book = Book(document, spilled)
        for key, cell in formulas:
            assert cell.formula is not None
            book.work_out(key, cell.formula)
        laid_out = _lay_out(document, book)
        if laid_out == spilled:
            break
        spilled = laid_out
    for key, cell in formulas:
        _show(document, key, cell, book)
    for sheet in document.sheets:
        sheet.spilled = {
            (r, c): value
            for (sheet_id, r, c), value in spilled.items()
            if sheet_id == sheet.sheet_id
        }


def _show(document: Spreadsheet, key: tuple[int, int, int], cell: Cell, book: Book) -> None:
    value, link = book.known[key], book.links.get(key)
    if type(value) is not type(cell.value) or value != cell.value or link != cell.link:
        sheet_id, row, column = key
        document.sheet(sheet_id).grid.put(row, column, cell.but(value=value, link=link))


def _lay_out(document: Spreadsheet, book: Book) -> dict[tuple[int, int, int], Any]:
    """What array results put around their formulas; one that meets a value is #REF!."""
    from tests.emulators.sheets.a1 import cell_name

    laid: dict[tuple[int, int, int], Any] = {}
    for key, array in book.arrays.items():
        sheet_id, row, column = key
        grid = document.sheet(sheet_id).grid
        cells = {
            (sheet_id, row + r, column + c): tidy(value)
            for r, line in enumerate(array.rows)
            for c, value in enumerate(line)
            if (r or c) and value is not None
        }
        for _, r, c in cells:
            held = grid.cell(r, c)
            if held is not None and not held.blank:
                book.known[key] = CellError(
                    "REF",
                    "Array result was not expanded because it would overwrite data in"
                    f" {cell_name(r, c)}.",
                )
                break
        else:
            grid.row_count = max(grid.row_count, row + array.height)
            laid.update(cells)
    return laid
