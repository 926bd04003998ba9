"""spreadsheets.get: a spreadsheet as JSON, with or without its cells, masked."""

from collections.abc import Sequence
from typing import Any

from tests.emulators.sheets import fieldmask
from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.celldata import cell_data, spilled_data
from tests.emulators.sheets.defaults import COLUMN_PIXELS, DEFAULT_FORMAT, ROW_PIXELS, THEME
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.grid import Row
from tests.emulators.sheets.gridrange import Dimension, GridRange, plain
from tests.emulators.sheets.ranges import resolve, within_grid
from tests.emulators.sheets.requests_parts import (
    dimension_metadata,
    sheet_parts,
    spreadsheet_parts,
)
from tests.emulators.sheets.sheet import Sheet

URL = "https://docs.google.com/spreadsheets/d/{}/edit"


def get(
    document: Spreadsheet,
    *,
    ranges: Sequence[str] = (),
    grid_data: bool = False,
    mask: str | None = None,
    caller: Caller | None = None,
) -> dict[str, Any]:
    tree = fieldmask.parse(mask) if mask else {}
    if mask:
        # A mask decides alone; what `*` means of a sheet does include its cells.
        grid_data = fieldmask.wants(tree, "sheets", "data")
    asked = [within_grid(document, resolve(document, text)) for text in ranges]
    answer = spreadsheet(document, asked, tree, grid_data=grid_data, caller=caller)
    return fieldmask.select(tree, answer) if mask else answer  # type: ignore[no-any-return]


def spreadsheet(
    document: Spreadsheet,
    asked: list[GridRange],
    tree: fieldmask.Tree,
    *,
    grid_data: bool,
    caller: Caller | None = None,
) -> dict[str, Any]:
    if grid_data:
        document.recalculate()
    answer: dict[str, Any] = {
        "spreadsheetId": document.spreadsheet_id,
        "properties": {
            **document.properties,
            "defaultFormat": DEFAULT_FORMAT,
            "spreadsheetTheme": document.properties.get("spreadsheetTheme", THEME),
        },
    }
    sheets = []
    for sheet in document.sheets:
        ours = [r for r in asked if r.sheet_id == sheet.sheet_id]
        if asked and not ours:
            continue
        shown = _sheet(document, sheet, ours, tree, grid_data=grid_data)
        sheets.append(shown | sheet_parts(document, sheet, caller))
    answer["sheets"] = sheets
    answer["spreadsheetUrl"] = URL.format(document.spreadsheet_id)
    answer |= spreadsheet_parts(document)
    if document.data_sources:
        answer["dataSources"] = plain(document.data_sources)
    return answer


def _sheet(
    document: Spreadsheet,
    sheet: Sheet,
    ranges: list[GridRange],
    tree: fieldmask.Tree,
    *,
    grid_data: bool,
) -> dict[str, Any]:
    answer: dict[str, Any] = {"properties": document.sheet_properties(sheet)}
    if grid_data and sheet.sheet_type == "GRID":
        below = _below(tree, "sheets", "data")
        answer["data"] = [_grid_data(sheet, r, below) for r in ranges or [sheet.whole]]
    return answer


def _below(tree: fieldmask.Tree, *path: str) -> fieldmask.Tree:
    for name in path:
        if not tree or "*" in tree:
            return {}
        tree = tree.get(name, {})
    return tree


def _grid_data(sheet: Sheet, r: GridRange, tree: fieldmask.Tree) -> dict[str, Any]:
    r0, r1, c0, c1 = r.bounds(sheet.grid.row_count, sheet.grid.column_count)
    answer: dict[str, Any] = {}
    if r0:
        answer["startRow"] = r0
    if c0:
        answer["startColumn"] = c0
    if fieldmask.wants(tree, "rowData"):
        rows = _row_data(sheet, r0, r1, c0, c1, _below(tree, "rowData", "values"))
        if rows:
            answer["rowData"] = rows
    for name, dimension, properties, usual, start, end in (
        ("rowMetadata", Dimension.ROWS, sheet.grid.row_properties, ROW_PIXELS, r0, r1),
        ("columnMetadata", Dimension.COLUMNS, sheet.grid.column_properties, COLUMN_PIXELS, c0, c1),
    ):
        if fieldmask.wants(tree, name):
            tagged = dimension_metadata(sheet, dimension)
            answer[name] = [
                plain({"pixelSize": usual, **properties.get(i, {})})
                | ({"developerMetadata": tagged[i]} if i in tagged else {})
                for i in range(start, end)
            ]
    return answer


def _row_data(
    sheet: Sheet, r0: int, r1: int, c0: int, c1: int, tree: fieldmask.Tree
) -> list[dict[str, Any]]:
    # A row ends with its last cell that holds anything, be it what the mask asks for or not.
    rows = [
        [cell_data(cell, tree) for cell in _ended(row)] for row in sheet.grid.block(r0, r1, c0, c1)
    ]
    for (row, column), value in sheet.spilled.items():
        if r0 <= row < r1 and c0 <= column < c1:
            rows.extend([] for _ in range(row - r0 + 1 - len(rows)))
            cells = rows[row - r0]
            cells.extend({} for _ in range(column - c0 + 1 - len(cells)))
            cells[column - c0] = {**cells[column - c0], **spilled_data(value)}
    while rows and not rows[-1]:
        rows.pop()
    return [{"values": cells} if cells else {} for cells in rows]


def _ended(row: Row) -> Row:
    end = len(row)
    while end and ((last := row[end - 1]) is None or last.empty):
        end -= 1
    return row[:end]
