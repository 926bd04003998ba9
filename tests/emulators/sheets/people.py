"""What other people do in a sheet while a program works on it."""

from typing import Any

from tests.emulators.sheets import a1
from tests.emulators.sheets.batch import Caller, batch_update
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.gridrange import Dimension
from tests.emulators.sheets.sheet import Sheet


def edit(document: Spreadsheet, edits: list[dict[str, Any]]) -> None:
    """Apply edits, each an object with `do` and its terms; rows count from 0, ends are excluded.

    {"do": "sort", "column": 2, "descending": false, "from_row": 1}
    {"do": "insert_rows", "at": 3, "count": 2, "rows": [["typed", "in"]]}
    {"do": "delete_rows", "start": 3, "end": 5}
    {"do": "move_rows", "start": 3, "end": 5, "to": 10}
    {"do": "type", "cell": "B5", "value": "x"}
    {"do": "rename_tab", "title": "New name"}
    {"do": "add_tab", "title": "Other"}   {"do": "delete_tab"}
    {"do": "insert_columns", "at": 1, "count": 1}   {"do": "delete_columns", "start": 1, "end": 2}
    {"do": "batch", "requests": [...]}   (a batchUpdate by the owner)
    Each takes "tab": a title or a sheetId; without, the first tab.
    """
    with document.transaction() as work:
        for step in edits:
            one(work, dict(step))


def one(work: Spreadsheet, step: dict[str, Any]) -> None:
    do = step.pop("do")
    tab = step.pop("tab", None)
    if do == "batch":
        batch_update(work, {"requests": step["requests"]}, Caller("", owner=True))
        return
    if do == "add_tab":
        work.sheets.append(Sheet(work.fresh_sheet_id(), step["title"]))
        return
    sheet = _tab(work, tab)
    _STEPS[do](work, sheet, **step)


def _tab(work: Spreadsheet, tab: str | int | None) -> Sheet:
    if tab is None:
        return work.sheets[0]
    if isinstance(tab, int):
        return work.sheet(tab)
    found = work.sheet_titled(tab)
    if found is None:
        raise ValueError(f"no tab {tab!r}")
    return found


def requested(work: Spreadsheet, kind: str, body: dict[str, Any]) -> None:
    """What the user interface and batchUpdate do alike, formulas that refer to it included."""
    batch_update(work, {"requests": [{kind: body}]}, Caller("", owner=True))


def sort(
    work: Spreadsheet,
    sheet: Sheet,
    column: int = 0,
    *,
    descending: bool = False,
    from_row: int = 1,
) -> None:
    """Sort all rows below the header by one column."""
    order = "DESCENDING" if descending else "ASCENDING"
    area = {"sheetId": sheet.sheet_id, "startRowIndex": from_row}
    spec = {"dimensionIndex": column, "sortOrder": order}
    requested(work, "sortRange", {"range": area, "sortSpecs": [spec]})


def insert_rows(
    work: Spreadsheet,
    sheet: Sheet,
    at: int,
    count: int = 1,
    rows: list[list[Any]] | None = None,
) -> None:
    work.insert(sheet, Dimension.ROWS, at, max(count, len(rows or [])))
    for i, row in enumerate(rows or []):
        cells = [None if v is None else enter(work, v, "USER_ENTERED", None) for v in row]
        sheet.grid.put_row(at + i, 0, cells)


def delete_rows(work: Spreadsheet, sheet: Sheet, start: int, end: int | None = None) -> None:
    work.delete(sheet, Dimension.ROWS, start, start + 1 if end is None else end)


def move_rows(work: Spreadsheet, sheet: Sheet, start: int, to: int, end: int | None = None) -> None:
    work.move(sheet, Dimension.ROWS, start, start + 1 if end is None else end, to)


def insert_columns(work: Spreadsheet, sheet: Sheet, at: int, count: int = 1) -> None:
    work.insert(sheet, Dimension.COLUMNS, at, count)


def delete_columns(work: Spreadsheet, sheet: Sheet, start: int, end: int | None = None) -> None:
    work.delete(sheet, Dimension.COLUMNS, start, start + 1 if end is None else end)


def type_in(work: Spreadsheet, sheet: Sheet, cell: str, value: Any) -> None:
    place = a1.parse_cells(cell)
    assert place.r0 is not None
    assert place.c0 is not None
    before = sheet.grid.cell(place.r0, place.c0)
    sheet.grid.put(place.r0, place.c0, enter(work, value, "USER_ENTERED", before))


def rename_tab(work: Spreadsheet, sheet: Sheet, title: str) -> None:
    properties = {"sheetId": sheet.sheet_id, "title": title}
    requested(work, "updateSheetProperties", {"properties": properties, "fields": "title"})


def delete_tab(work: Spreadsheet, sheet: Sheet) -> None:
    requested(work, "deleteSheet", {"sheetId": sheet.sheet_id})


_STEPS: dict[str, Any] = {
    "sort": sort,
    "insert_rows": insert_rows,
    "delete_rows": delete_rows,
    "move_rows": move_rows,
    "insert_columns": insert_columns,
    "delete_columns": delete_columns,
    "type": type_in,
    "rename_tab": rename_tab,
    "delete_tab": delete_tab,
}
