"""spreadsheets.create: a new spreadsheet after a Spreadsheet message."""

from typing import Any

from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.grid import Grid
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.sheet import Sheet

_TEXTS = ("title", "locale", "timeZone", "autoRecalc")


def fill(document: Spreadsheet, body: dict[str, Any]) -> None:
    properties = body.get("properties") or {}
    for name in _TEXTS:
        if properties.get(name):
            document.properties[name] = properties[name]
    if body.get("sheets"):
        document.sheets = []
        for i, wanted in enumerate(body["sheets"]):
            document.sheets.append(_sheet(document, wanted, i))
    for named in body.get("namedRanges") or ():
        document.named_ranges.append(
            {
                "namedRangeId": named.get("namedRangeId") or str(document.fresh_id()),
                "name": named.get("name", ""),
                "range": GridRange.of(named.get("range") or {}),
            }
        )


def _sheet(document: Spreadsheet, wanted: dict[str, Any], i: int) -> Sheet:
    properties = wanted.get("properties") or {}
    grid = properties.get("gridProperties") or {}
    used = {s.sheet_id for s in document.sheets}
    sheet_id = properties.get("sheetId")
    if sheet_id is None:
        sheet_id = document.fresh_sheet_id() if document.sheets else 0
    if sheet_id in used:
        raise ApiError(f"Invalid sheets[{i}]: A sheet with id {sheet_id} already exists.")
    title = properties.get("title") or f"Sheet{i + 1}"
    if document.sheet_titled(title):
        raise ApiError(
            f'A sheet with the name "{title}" already exists. Please enter another name.'
        )
    sheet = Sheet(
        sheet_id, title, Grid(grid.get("rowCount") or 1000, grid.get("columnCount") or 26)
    )
    known = ("rowCount", "columnCount")
    sheet.grid_extra = {k: v for k, v in grid.items() if k not in known and v}
    plain = ("sheetId", "title", "index", "sheetType", "gridProperties")
    sheet.extra = {k: v for k, v in properties.items() if k not in plain}
    for data in wanted.get("data") or ():
        _fill_data(document, sheet, data)
    return sheet


def _fill_data(document: Spreadsheet, sheet: Sheet, data: dict[str, Any]) -> None:
    from tests.emulators.sheets.batch import handlers

    update = handlers().get("updateCells")
    if update is None or not data.get("rowData"):
        return
    start = {
        "sheetId": sheet.sheet_id,
        "rowIndex": data.get("startRow", 0),
        "columnIndex": data.get("startColumn", 0),
    }
    document.sheets.append(sheet)
    try:
        body = {"start": start, "rows": data["rowData"], "fields": "*"}
        update(document, body, Caller("", owner=True))
    finally:
        document.sheets.pop()
