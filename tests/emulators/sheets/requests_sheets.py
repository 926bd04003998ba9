"""Tabs and the spreadsheet itself: add, delete, duplicate, rename, move, hide, resize, colour."""

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tests.emulators.sheets import fieldmask, requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import MAX_COLUMNS, MAX_SHEETS, Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.grid import Grid
from tests.emulators.sheets.gridrange import Dimension
from tests.emulators.sheets.requests_copies import copied_parts
from tests.emulators.sheets.requests_formulas import sheet_gone, sheet_renamed
from tests.emulators.sheets.sheet import Sheet

MAX_TITLE = 100
DEFAULT_ROWS = 1000
DEFAULT_COLUMNS = 26
_GRID_SIZE = ("rowCount", "columnCount")


@request("addSheet")
def add_sheet(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = requests_masks.coloured("SheetProperties", body.get("properties", {}))
    kind = asked.get("sheetType", "GRID")
    if kind == "DATA_SOURCE":
        raise ApiError("Adding a sheet of type DATA_SOURCE is not supported.")
    title = asked.get("title") or free_title(document, "Sheet")
    check_title(document, title)
    grid = asked.get("gridProperties", {})
    made = Sheet(
        new_sheet_id(document, asked.get("sheetId")),
        title,
        Grid(grid.get("rowCount", DEFAULT_ROWS), grid.get("columnCount", DEFAULT_COLUMNS)),
    )
    if made.grid.row_count < 1 or made.grid.column_count < 1:
        raise ApiError("The number of rows and columns of a sheet must be greater than 0.")
    made.sheet_type = kind
    made.grid_extra = {k: v for k, v in grid.items() if k not in _GRID_SIZE}
    made.extra = {k: v for k, v in asked.items() if k in _EXTRA}
    check_frozen(made)
    place_sheet(document, made, asked.get("index", len(document.sheets)))
    return {"properties": document.sheet_properties(made)}


_EXTRA = ("hidden", "tabColor", "tabColorStyle", "rightToLeft")


def new_sheet_id(document: Spreadsheet, wanted: int | None) -> int:
    if wanted is None:
        return document.fresh_sheet_id()
    if wanted < 0:
        raise ApiError("Sheet id must be non-negative.")
    if any(s.sheet_id == wanted for s in document.sheets):
        raise ApiError(f"Sheet with id {wanted} already exists.")
    return wanted


def place_sheet(document: Spreadsheet, made: Sheet, index: int) -> None:
    if index < 0:
        raise ApiError("Sheet index must be non-negative.")
    if len(document.sheets) >= MAX_SHEETS:
        raise ApiError(f"This spreadsheet has reached the limit of {MAX_SHEETS} sheets.")
    if made.grid.column_count > MAX_COLUMNS:
        raise too_many_columns()
    document.sheets.insert(min(index, len(document.sheets)), made)
    document.check_cell_count()


def too_many_columns() -> ApiError:
    return ApiError(
        "This action would increase the number of columns in the sheet above the limit of"
        f" {MAX_COLUMNS} columns."
    )


def free_title(document: Spreadsheet, stem: str) -> str:
    number = len(document.sheets) + 1
    while document.sheet_titled(f"{stem}{number}"):
        number += 1
    return f"{stem}{number}"


def check_title(document: Spreadsheet, title: str, own: Sheet | None = None) -> None:
    if not title:
        raise ApiError("The sheet name cannot be empty.")
    if len(title) > MAX_TITLE:
        raise ApiError(f"The sheet name cannot be greater than {MAX_TITLE} characters.")
    if document.sheet_titled(title) not in (None, own):
        raise ApiError(
            f'A sheet with the name "{title}" already exists. Please enter another name.'
        )


def sheet_by_id(document: Spreadsheet, sheet_id: int) -> Sheet:
    """As `document.sheet`, with the words of the requests that are about a tab."""
    for sheet in document.sheets:
        if sheet.sheet_id == sheet_id:
            return sheet
    raise ApiError(f"No sheet with id: {sheet_id}")


@request("deleteSheet")
def delete_sheet(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet = sheet_by_id(document, body.get("sheetId", 0))
    others = [s for s in document.sheets if s is not sheet]
    if not others:
        raise ApiError("You can't remove all the sheets in a document.")
    if all(s.extra.get("hidden") for s in others):
        raise ApiError("You can't remove all the visible sheets in a document.")
    document.sheets = others
    document.named_ranges = [
        n for n in document.named_ranges if n["range"].sheet_id != sheet.sheet_id
    ]
    sheet_gone(document, sheet.title)
    return None


@request("duplicateSheet")
def duplicate_sheet(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    source = sheet_by_id(document, body.get("sourceSheetId", 0))
    title = body.get("newSheetName") or copy_title(document, source.title)
    check_title(document, title)
    made = source.copy()
    made.sheet_id = new_sheet_id(document, body.get("newSheetId"))
    made.title = title
    made.extra.pop("hidden", None)
    made.parts = copied_parts(document, source.parts, source.sheet_id, made.sheet_id)
    place_sheet(document, made, body.get("insertSheetIndex", 0))
    return {"properties": document.sheet_properties(made)}


def copy_title(document: Spreadsheet, title: str) -> str:
    """`Copy of Sheet1`, `Copy of Sheet1 2`, ..."""
    stem = f"Copy of {title}"[:MAX_TITLE]
    made, number = stem, 1
    while document.sheet_titled(made):
        number += 1
        made = f"{stem} {number}"
    return made


@request("updateSheetProperties")
def update_sheet_properties(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = requests_masks.coloured("SheetProperties", body.get("properties", {}))
    tree = requests_masks.parse("SheetProperties", body.get("fields", ""), "properties")
    sheet = sheet_by_id(document, asked.get("sheetId", 0))
    everything = not tree
    if everything or "title" in tree:
        rename(document, sheet, asked.get("title", ""))
    if fieldmask.wants(tree, "gridProperties"):
        below = {} if everything else tree["gridProperties"]
        update_grid(document, sheet, asked.get("gridProperties", {}), below)
    if everything or "hidden" in tree:
        hide(document, sheet, hidden=asked.get("hidden", False))
    for name in ("tabColor", "tabColorStyle", "rightToLeft"):
        if everything or name in tree:
            part: dict[str, Any] = {name: sheet.extra[name]} if name in sheet.extra else {}
            fieldmask.update(part, asked, {name: {} if everything else tree[name]})
            sheet.extra.pop(name, None)
            sheet.extra.update(part)
    if everything or "index" in tree:
        move_sheet(document, sheet, asked.get("index"))
    return None


def rename(document: Spreadsheet, sheet: Sheet, title: str) -> None:
    check_title(document, title, own=sheet)
    before, sheet.title = sheet.title, title
    sheet_renamed(document, before, title)


def hide(document: Spreadsheet, sheet: Sheet, *, hidden: bool) -> None:
    if hidden and all(s.extra.get("hidden") for s in document.sheets if s is not sheet):
        raise ApiError("You can't hide all the sheets in a document.")
    sheet.extra.pop("hidden", None)
    if hidden:
        sheet.extra["hidden"] = True


def move_sheet(document: Spreadsheet, sheet: Sheet, index: int | None) -> None:
    """The index is one of the order before the move; without one the tab goes to the end."""
    current = document.index_of(sheet)
    index = len(document.sheets) if index is None else index
    if index < 0:
        raise ApiError("Sheet index must be non-negative.")
    if index in (current, current + 1):
        return
    document.sheets.pop(current)
    document.sheets.insert(index if index < current else index - 1, sheet)


def update_grid(
    document: Spreadsheet, sheet: Sheet, asked: dict[str, Any], tree: fieldmask.Tree
) -> None:
    if sheet.sheet_type != "GRID":
        raise ApiError("Only sheets of type GRID have grid properties.")
    for name, dimension in zip(_GRID_SIZE, Dimension, strict=True):
        if not tree or name in tree:
            resize(document, sheet, dimension, asked.get(name, 0))
    for name in ("frozenRowCount", "frozenColumnCount", "hideGridlines"):
        if not tree or name in tree:
            sheet.grid_extra[name] = asked.get(name, 0)
    for name in ("rowGroupControlAfter", "columnGroupControlAfter"):
        if not tree or name in tree:
            sheet.grid_extra[name] = asked.get(name, False)
    sheet.grid_extra = {k: v for k, v in sheet.grid_extra.items() if v}
    check_frozen(sheet)


def resize(document: Spreadsheet, sheet: Sheet, dimension: Dimension, size: int) -> None:
    grid = sheet.grid
    rows = dimension is Dimension.ROWS
    current = grid.row_count if rows else grid.column_count
    if size < current:
        check_deletion(sheet, dimension, current - max(size, 0))
        document.delete(sheet, dimension, size, current)
    elif size > current:
        grow(document, sheet, dimension, size - current)


def grow(document: Spreadsheet, sheet: Sheet, dimension: Dimension, count: int) -> None:
    """Empty rows or columns at the end."""
    if dimension is Dimension.ROWS:
        sheet.grid.row_count += count
    else:
        sheet.grid.column_count += count
    if sheet.grid.column_count > MAX_COLUMNS:
        raise too_many_columns()
    document.check_cell_count()


def check_deletion(sheet: Sheet, dimension: Dimension, count: int) -> None:
    """Refused: a tab without rows, or with none that scroll."""
    rows = dimension is Dimension.ROWS
    size = sheet.grid.row_count if rows else sheet.grid.column_count
    many = "rows" if rows else "columns"
    if count >= size:
        raise ApiError(f"You can't delete all the {many} on the sheet.")
    frozen = sheet.grid_extra.get("frozenRowCount" if rows else "frozenColumnCount", 0)
    if frozen and size - count <= frozen:
        raise ApiError(f"Sorry, it is not possible to delete all non-frozen {many}.")


def check_frozen(sheet: Sheet) -> None:
    for many, name, size in (
        ("rows", "frozenRowCount", sheet.grid.row_count),
        ("columns", "frozenColumnCount", sheet.grid.column_count),
    ):
        frozen = sheet.grid_extra.get(name, 0)
        if frozen < 0:
            raise ApiError(f"gridProperties.{name} must be non-negative.")
        if frozen >= size:
            raise ApiError(f"You can't freeze all visible {many} on the sheet.")


@request("updateSpreadsheetProperties")
def update_properties(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = requests_masks.coloured("SpreadsheetProperties", body.get("properties", {}))
    tree = requests_masks.parse("SpreadsheetProperties", body.get("fields", ""), "properties")
    kept = dict(document.properties)
    fieldmask.update(kept, asked, tree)
    check_properties(kept, tree)
    document.properties = kept
    return None


_DEFAULTS = {"locale": "en_US", "autoRecalc": "ON_CHANGE", "timeZone": "Etc/GMT"}


def check_properties(kept: dict[str, Any], touched: Iterable[str]) -> None:
    if not kept.get("title"):
        raise ApiError("The title of the spreadsheet cannot be empty.")
    for name, default in _DEFAULTS.items():
        kept.setdefault(name, default)
    if not touched or "timeZone" in touched:
        try:
            ZoneInfo(kept["timeZone"])
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ApiError(f"Invalid time zone: {kept['timeZone']}") from None
    language, _, country = kept["locale"].partition("_")
    if not (language.isalpha() and 2 <= len(language) <= 3 and (not country or country.isalpha())):
        raise ApiError(f"Unsupported locale: {kept['locale']}")
