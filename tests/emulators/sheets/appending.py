"""values.append: which table a range means, and writing below it."""

from typing import Any

from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.grid import Grid
from tests.emulators.sheets.gridrange import Dimension, GridRange
from tests.emulators.sheets.protection import check_protection
from tests.emulators.sheets.ranges import resolve, within_grid
from tests.emulators.sheets.rendering import Rendering
from tests.emulators.sheets.sheet import Sheet
from tests.emulators.sheets.values import update_answer, wanted_option
from tests.emulators.sheets.writing import Counted, check_values, put_values, rows_of


def append(
    document: Spreadsheet,
    text: str,
    body: dict[str, Any],
    query: dict[str, Any],
    echo: Rendering | None,
    caller: Caller,
) -> dict[str, Any]:
    option = wanted_option(query.get("valueInputOption"))
    check_values(body.get("values") or [])
    document.recalculate()
    with document.transaction() as work:
        asked = within_grid(work, resolve(work, text))
        sheet = work.sheet(asked.sheet_id)
        table = find_table(sheet, asked)
        values = rows_of(body)
        insert = query.get("insertDataOption") == "INSERT_ROWS"
        counted = _put(work, sheet, asked, table, values, option, insert=insert)
        if counted.cells:
            check_protection(work, counted.written, caller)
    answer: dict[str, Any] = {"spreadsheetId": document.spreadsheet_id}
    if table is not None:
        answer["tableRange"] = document.range_name(table)
    answer["updates"] = update_answer(document, counted, echo)
    return answer


def _put(
    work: Spreadsheet,
    sheet: Sheet,
    asked: GridRange,
    table: GridRange | None,
    values: list[list[Any]],
    option: str,
    *,
    insert: bool,
) -> Counted:
    start = table.r1 if table else asked.r0
    column = table.c0 if table else asked.c0
    assert start is not None
    assert column is not None
    height = len(values)
    if insert and height and start < sheet.grid.row_count:
        work.insert(sheet, Dimension.ROWS, start, height)
    width = max((len(row) for row in values), default=0)
    grow(work, sheet.grid, start + height, column + width)
    place = GridRange(asked.sheet_id, start, start + 1, column, column + 1)
    return put_values(work, place, values, option)


def grow(work: Spreadsheet, grid: Grid, rows: int, columns: int) -> None:
    """Make room; append is the one write that does."""
    if rows > grid.row_count or columns > grid.column_count:
        grid.resize(max(rows, grid.row_count), max(columns, grid.column_count))
        work.check_cell_count()


def find_table(sheet: Sheet, asked: GridRange) -> GridRange | None:
    """The connected block around the last value in the range; None where the range has none."""
    r0, r1, c0, c1 = asked.bounds(sheet.grid.row_count, sheet.grid.column_count)
    last = None
    for row in range(min(r1, _used_rows(sheet)) - 1, r0 - 1, -1):
        columns = [c for c in range(c0, min(c1, _width(sheet, row))) if _full(sheet, row, c)]
        if columns:
            last = row, columns[-1]
            break
    if last is None:
        return None
    top, left = last
    bottom, right = top + 1, left + 1
    while True:
        before = top, bottom, left, right
        around_left, around_right = max(left - 1, 0), right + 1
        while top and _any(sheet, top - 1, around_left, around_right):
            top -= 1
        while _any(sheet, bottom, around_left, around_right):
            bottom += 1
        if left and any(_full(sheet, r, left - 1) for r in range(max(top - 1, 0), bottom + 1)):
            left -= 1
        if any(_full(sheet, r, right) for r in range(max(top - 1, 0), bottom + 1)):
            right += 1
        if (top, bottom, left, right) == before:
            return GridRange(asked.sheet_id, top, bottom, left, right)


def _used_rows(sheet: Sheet) -> int:
    return max([len(sheet.grid.rows), *(row + 1 for row, _ in sheet.spilled)])


def _width(sheet: Sheet, row: int) -> int:
    return max([len(sheet.grid.row(row)), *(c + 1 for r, c in sheet.spilled if r == row)])


def _any(sheet: Sheet, row: int, left: int, right: int) -> bool:
    return any(_full(sheet, row, c) for c in range(left, right))


def _full(sheet: Sheet, row: int, column: int) -> bool:
    cell = sheet.grid.cell(row, column)
    return (cell is not None and not cell.blank) or (row, column) in sheet.spilled
