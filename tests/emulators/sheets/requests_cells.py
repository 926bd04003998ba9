"""Cells as objects: values, formats, notes and rules written by updateCells, repeatCell, ..."""

from typing import Any

from tests.emulators.sheets import fieldmask, requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import EMPTY, Cell
from tests.emulators.sheets.document import MAX_CELL_CHARACTERS, Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.fieldmask import Tree
from tests.emulators.sheets.gridrange import Dimension
from tests.emulators.sheets.requests_areas import Area, area
from tests.emulators.sheets.requests_formulas import moved
from tests.emulators.sheets.requests_sheets import grow
from tests.emulators.sheets.sheet import Sheet

Json = Any

# Parts of CellData that a mask may name, and where a Cell keeps them.
_PLAIN = {
    "note": "note",
    "textFormatRuns": "runs",
    "dataValidation": "validation",
    "chipRuns": "chips",
    "pivotTable": "pivot",
}


class Brush:
    """One CellData and a mask: paints cells."""

    def __init__(self, document: Spreadsheet, data: dict[str, Json], tree: Tree):
        self.document = document
        self.data = requests_masks.coloured("CellData", data)
        self.tree = tree
        # What becomes of a format, by the format: cells share theirs.
        self.known: dict[tuple[int, str | None], tuple[Json, dict[str, Json]]] = {}
        check_value(self.data.get("userEnteredValue", {}))
        if len(self.data.get("note", "")) > MAX_CELL_CHARACTERS:
            raise too_long()

    def wants(self, name: str) -> bool:
        return not self.tree or name in self.tree

    def paint(self, before: Cell | None, rows: int = 0, columns: int = 0) -> Cell | None:
        """The cell after it; a formula is moved by so many rows and columns."""
        cell = before or EMPTY
        changes: dict[str, Json] = {}
        for name, place in _PLAIN.items():
            if self.wants(name):
                changes[place] = self.data.get(name) or None
        if self.wants("userEnteredFormat"):
            seen = (id(cell.format), cell.link)
            if seen not in self.known:
                self.known[seen] = cell.format, self.formatted(cell)
            changes |= self.known[seen][1]
        if changes:
            cell = cell.but(**changes)
        if self.wants("userEnteredValue"):
            kept = {n: getattr(cell, n) for n in ("runs", "chips", "link")}
            found = self.valued(cell, rows, columns) or EMPTY
            # A write of the value takes runs and links away, unless the same request brings them.
            back = {n: v for n, v in kept.items() if v is not None and n in changes}
            cell = found.but(**back) if back else found
        return None if cell.empty else cell

    def valued(self, cell: Cell, rows: int, columns: int) -> Cell | None:
        value = self.data.get("userEnteredValue", {})
        if "formulaValue" in value:
            formula = moved(value["formulaValue"], rows, columns)
            return enter(self.document, formula, "USER_ENTERED", cell)
        for name in ("stringValue", "numberValue", "boolValue"):
            if name in value:
                return enter(self.document, value[name], "RAW", cell)
        return enter(self.document, "", "RAW", cell)

    def formatted(self, cell: Cell) -> dict[str, Json]:
        below = {} if not self.tree else self.tree["userEnteredFormat"]
        before = dict(cell.format or {})
        if cell.link is not None:
            before["textFormat"] = {**before.get("textFormat", {}), "link": {"uri": cell.link}}
        part = {"format": before}
        fieldmask.update(
            part, {"format": self.data.get("userEnteredFormat", {})}, {"format": below}
        )
        after = dict(part.get("format") or {})
        text = dict(after.pop("textFormat", None) or {})
        link = text.pop("link", None) or {}
        if text:
            after["textFormat"] = text
        return {"format": after or None, "link": link.get("uri")}


def check_value(value: dict[str, Json]) -> None:
    formula = value.get("formulaValue")
    if formula is not None and not formula.startswith("="):
        raise ApiError(f"Invalid formula: {formula}. A formula must start with '='.")
    for name in ("stringValue", "formulaValue"):
        if len(value.get(name, "")) > MAX_CELL_CHARACTERS:
            raise too_long()
    if "errorValue" in value:
        raise ApiError("userEnteredValue cannot be an error.")


def too_long() -> ApiError:
    return ApiError(
        f"Your input contains more than the maximum of {MAX_CELL_CHARACTERS} characters in a"
        " single cell."
    )


@request("updateCells")
def update_cells(document: Spreadsheet, body: dict[str, Json], caller: Caller) -> Reply:
    tree = requests_masks.parse("CellData", body.get("fields", ""))
    rows = [row.get("values", []) for row in body.get("rows", [])]
    if "start" in body:
        target = from_corner(document, body["start"])
    elif "range" in body:
        target = area(document, body["range"])
    else:
        raise ApiError("Either start or range must be specified.")
    for i, row in enumerate(rows):
        if target.r0 + i >= target.r1:
            raise beyond("row", target.r0 + i, target.r1 - 1)
        if target.c0 + len(row) > target.c1:
            raise beyond("column", target.c1, target.c1 - 1)
    if "start" in body:
        write_rows(document, target, rows, tree)
        return None
    cleared = Brush(document, {}, tree)
    for i in range(target.height):
        row = rows[i] if i < len(rows) else []
        brushes = [Brush(document, data, tree) for data in row]
        brushes += [cleared] * (target.width - len(brushes))
        write(target.sheet, target.r0 + i, target.c0, brushes)
    return None


def from_corner(document: Spreadsheet, start: dict[str, int]) -> Area:
    sheet = document.sheet(start.get("sheetId", 0))
    r0, c0 = start.get("rowIndex", 0), start.get("columnIndex", 0)
    one = {"startRowIndex": r0, "endRowIndex": r0 + 1}
    one |= {"startColumnIndex": c0, "endColumnIndex": c0 + 1}
    area(document, {"sheetId": sheet.sheet_id, **one})
    return Area(sheet, r0, sheet.grid.row_count, c0, sheet.grid.column_count)


def beyond(what: str, tried: int, last: int) -> ApiError:
    return ApiError(
        f"Attempting to write {what}: {tried}, beyond the last requested {what} of: {last}"
    )


def write_rows(
    document: Spreadsheet, target: Area, rows: list[list[dict[str, Json]]], tree: Tree
) -> None:
    for i, row in enumerate(rows):
        write(target.sheet, target.r0 + i, target.c0, [Brush(document, d, tree) for d in row])


def write(sheet: Sheet, r: int, c0: int, brushes: list[Brush]) -> None:
    if brushes:
        cells = [b.paint(sheet.grid.cell(r, c0 + i)) for i, b in enumerate(brushes)]
        sheet.grid.put_row(r, c0, cells)


@request("repeatCell")
def repeat_cell(document: Spreadsheet, body: dict[str, Json], caller: Caller) -> Reply:
    tree = requests_masks.parse("CellData", body.get("fields", ""), "cell")
    target = area(document, body.get("range"))
    brush = Brush(document, body.get("cell", {}), tree)
    paint_area(target, brush)
    return None


def paint_area(target: Area, brush: Brush) -> None:
    has_formula = "formulaValue" in brush.data.get("userEnteredValue", {})
    fresh = None if has_formula else brush.paint(None)
    grid = target.sheet.grid
    last = target.r1 if fresh is not None or has_formula else min(target.r1, len(grid.rows))
    for r in range(target.r0, last):
        before = grid.row(r)
        cells = [
            fresh
            if not has_formula and (c >= len(before) or before[c] is None)
            else brush.paint(before[c] if c < len(before) else None, r - target.r0, c - target.c0)
            for c in range(target.c0, target.c1)
        ]
        grid.put_row(r, target.c0, cells)


@request("appendCells")
def append_cells(document: Spreadsheet, body: dict[str, Json], caller: Caller) -> Reply:
    tree = requests_masks.parse("CellData", body.get("fields", ""))
    sheet = document.sheet(body.get("sheetId", 0))
    rows = [row.get("values", []) for row in body.get("rows", [])]
    start = last_used_row(sheet) + 1
    missing = start + len(rows) - sheet.grid.row_count
    if missing > 0:
        grow(document, sheet, Dimension.ROWS, missing)
    missing = max((len(row) for row in rows), default=0) - sheet.grid.column_count
    if missing > 0:
        grow(document, sheet, Dimension.COLUMNS, missing)
    target = Area(sheet, start, sheet.grid.row_count, 0, sheet.grid.column_count)
    write_rows(document, target, rows, tree)
    return None


def last_used_row(sheet: Sheet) -> int:
    """-1 where no cell shows anything."""
    for r in range(len(sheet.grid.rows) - 1, -1, -1):
        if any(cell is not None and not cell.blank for cell in sheet.grid.row(r)):
            return r
    return -1


@request("setDataValidation")
def set_data_validation(document: Spreadsheet, body: dict[str, Json], caller: Caller) -> Reply:
    target = area(document, body.get("range"))
    rule = body.get("rule")
    if rule is not None:
        check_condition(rule.get("condition"))
    paint_area(
        target,
        Brush(document, {"dataValidation": rule} if rule else {}, {"dataValidation": {}}),
    )
    return None


_VALUES = {
    "BLANK": 0,
    "NOT_BLANK": 0,
    "TEXT_IS_EMAIL": 0,
    "TEXT_IS_URL": 0,
    "DATE_IS_VALID": 0,
    "NUMBER_BETWEEN": 2,
    "NUMBER_NOT_BETWEEN": 2,
    "DATE_BETWEEN": 2,
    "DATE_NOT_BETWEEN": 2,
}
_ANY_NUMBER = ("ONE_OF_LIST", "BOOLEAN", "TEXT_NOT_EQ", "TEXT_EQ", "DATE_EQ", "DATE_NOT_EQ")


def check_condition(condition: dict[str, Json] | None) -> None:
    """How many values a condition takes."""
    kind = (condition or {}).get("type")
    if condition is None or kind is None:
        raise ApiError("Condition must have a type.")
    given = len(condition.get("values", ()))
    wanted = _VALUES.get(kind, 1)
    if kind == "ONE_OF_LIST" and not given:
        raise ApiError("ConditionType 'ONE_OF_LIST' must have at least one ConditionValue.")
    if kind not in _ANY_NUMBER and given != wanted:
        raise ApiError(
            f"ConditionType '{kind}' must have exactly {wanted} ConditionValue"
            f"{'' if wanted == 1 else 's'}, but {given} were specified."
        )


@request("updateBorders")
def update_borders(document: Spreadsheet, body: dict[str, Json], caller: Caller) -> Reply:
    target = area(document, body.get("range"))
    drawn = {
        side: requests_masks.coloured("Border", body[side])
        for side in ("top", "bottom", "left", "right", "innerHorizontal", "innerVertical")
        if side in body
    }
    for r in range(target.r0, target.r1):
        for c in range(target.c0, target.c1):
            sides = {
                "top": "top" if r == target.r0 else "innerHorizontal",
                "bottom": "bottom" if r == target.r1 - 1 else "innerHorizontal",
                "left": "left" if c == target.c0 else "innerVertical",
                "right": "right" if c == target.c1 - 1 else "innerVertical",
            }
            put_borders(target.sheet, r, c, {s: drawn[b] for s, b in sides.items() if b in drawn})
    return None


def put_borders(sheet: Sheet, r: int, c: int, drawn: dict[str, Json]) -> None:
    cell = sheet.grid.cell(r, c) or EMPTY
    shape = dict(cell.format or {})
    borders = dict(shape.pop("borders", {}))
    for side, border in drawn.items():
        if border.get("style") in (None, "NONE"):
            borders.pop(side, None)
        else:
            borders[side] = border
    if borders:
        shape["borders"] = borders
    after = cell.but(format=shape or None)
    sheet.grid.put(r, c, None if after.empty else after)
