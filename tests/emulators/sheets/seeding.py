"""Filling a spreadsheet at once, and writing down what it holds."""

from typing import Any

from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.grid import Grid, trimmed
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.rendering import Rendering, rendered_rows
from tests.emulators.sheets.sheet import Sheet


def seed(document: Spreadsheet, tabs: list[dict[str, Any]]) -> None:
    """Tabs of `{"title", "rows", "sheet_id", "row_count", "column_count", "input"}`.

    Rows are values as RAW keeps them; `"input": "USER_ENTERED"` reads them as if typed.
    """
    document.sheets = []
    for i, tab in enumerate(tabs):
        sheet_id = tab.get("sheet_id")
        if sheet_id is None:
            sheet_id = document.fresh_sheet_id() if i else 0
        sheet = Sheet(sheet_id, tab.get("title") or f"Sheet{i + 1}")
        document.sheets.append(sheet)
        rows = tab.get("rows") or []
        width = max(map(len, rows), default=0)
        sheet.grid = Grid(
            tab.get("row_count") or max(1000, len(rows)),
            tab.get("column_count") or max(26, width),
        )
        if tab.get("input") == "USER_ENTERED":
            for r, row in enumerate(rows):
                sheet.grid.put_row(r, 0, [enter(document, v, "USER_ENTERED", None) for v in row])
        else:
            sheet.grid.rows = [
                trimmed([None if v is None or v == "" else Cell(v) for v in row]) for row in rows
            ]


def dump(document: Spreadsheet, how: Rendering | None = None) -> dict[str, Any]:
    """Every tab with its values."""
    document.recalculate()
    return {
        "spreadsheetId": document.spreadsheet_id,
        "title": document.properties["title"],
        "revision": document.revision,
        "tabs": [
            {
                "title": sheet.title,
                "sheet_id": sheet.sheet_id,
                "row_count": sheet.grid.row_count,
                "column_count": sheet.grid.column_count,
                "rows": rendered_rows(sheet, GridRange(sheet.sheet_id), how or Rendering()),
            }
            for sheet in document.sheets
        ],
    }
