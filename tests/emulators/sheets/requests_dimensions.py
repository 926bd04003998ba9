"""Rows and columns: insert, delete, move, append, size, hide."""

from typing import Any

from tests.emulators.sheets import fieldmask, requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import MAX_COLUMNS, Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import Dimension
from tests.emulators.sheets.requests_areas import Span, span, word
from tests.emulators.sheets.requests_sheets import check_deletion, grow, too_many_columns
from tests.emulators.sheets.requests_widths import fitting
from tests.emulators.sheets.sheet import Sheet


@request("insertDimension")
def insert_dimension(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    new = span(document, body.get("range"))
    before = body.get("inheritFromBefore", False)
    if new.start > new.size:
        raise ApiError(f"range.startIndex is larger than current grid size ({new.size})")
    if new.start == new.size and not before:
        raise ApiError(
            f"range.startIndex must be less than the grid size ({new.size})"
            " if inheritFromBefore is false."
        )
    if new.start == 0 and before:
        raise ApiError("inheritFromBefore cannot be true if range.startIndex is 0.")
    insert(document, new)
    inherit(new, new.start - 1 if before else new.end)
    return None


def insert(document: Spreadsheet, new: Span) -> None:
    columns = new.dimension is Dimension.COLUMNS
    if columns and new.size + new.length > MAX_COLUMNS:
        raise too_many_columns()
    document.insert(new.sheet, new.dimension, new.start, new.length)
    frozen = "frozenColumnCount" if columns else "frozenRowCount"
    extra = new.sheet.grid_extra
    if new.start < extra.get(frozen, 0):
        extra[frozen] += new.length
    document.check_cell_count()


def inherit(new: Span, neighbour: int) -> None:
    """New rows and columns look like their neighbour: its formats, its size, no values."""
    grid = new.sheet.grid
    rows = new.dimension is Dimension.ROWS
    properties = grid.row_properties if rows else grid.column_properties
    size = properties.get(neighbour, {}).get("pixelSize")
    if size is not None:
        for i in range(new.start, new.end):
            properties[i] = {"pixelSize": size}
    if rows:
        looks = tuple(map(look, grid.row(neighbour)))
        if any(looks):
            for i in range(new.start, new.end):
                grid.put_row(i, 0, looks)
        return
    for r, row in enumerate(list(grid.rows)):
        shown = look(row[neighbour]) if neighbour < len(row) else None
        if shown is not None:
            grid.put_row(r, new.start, (shown,) * new.length)


def look(cell: Cell | None) -> Cell | None:
    if cell is None or (cell.format is None and cell.validation is None):
        return None
    return Cell(format=cell.format, validation=cell.validation)


@request("deleteDimension")
def delete_dimension(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    gone = span(document, body.get("range"))
    name = word(gone.dimension)
    if gone.start >= gone.size:
        raise ApiError(
            f"Cannot delete a {name} that doesn't exist. Tried to delete {name} index {gone.start}"
            f" but there are only {gone.size} {name}s."
        )
    end = min(gone.end, gone.size)
    check_deletion(gone.sheet, gone.dimension, end - gone.start)
    extra = gone.sheet.grid_extra
    key = "frozenRowCount" if gone.dimension is Dimension.ROWS else "frozenColumnCount"
    frozen = extra.get(key, 0)
    document.delete(gone.sheet, gone.dimension, gone.start, end)
    if gone.start < frozen:
        extra[key] = frozen - (min(end, frozen) - gone.start)
    return None


@request("moveDimension")
def move_dimension(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    source = span(document, body.get("source"), "source")
    destination = body.get("destinationIndex", 0)
    name = word(source.dimension)
    if source.end > source.size:
        raise ApiError(
            f"Cannot move a {name} that doesn't exist. Tried to move {name} index"
            f" {max(source.start, source.size)} but there are only {source.size} {name}s."
        )
    if not 0 <= destination <= source.size:
        raise ApiError(
            f"destinationIndex[{destination}] is after last {name} in grid[{source.size - 1}]"
        )
    if source.start <= destination <= source.end:
        return None
    check_merges(source, destination)
    document.move(source.sheet, source.dimension, source.start, source.end, destination)
    return None


def check_merges(source: Span, destination: int) -> None:
    """A move may not tear a merge apart: neither where it takes nor where it puts."""
    name = word(source.dimension)
    for merge in source.sheet.parts.get("merges", ()):
        start, end = merge.span(source.dimension)
        torn = start < source.end and end > source.start
        whole = source.start <= start and end <= source.end
        if (torn and not whole) or start < destination < end:
            raise ApiError(
                f"Sorry, it is not possible to move a {name} to a position that crosses a merged"
                " cell. Please unmerge and try again."
            )


@request("appendDimension")
def append_dimension(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet = document.sheet(body.get("sheetId", 0))
    if "dimension" not in body:
        raise ApiError("dimension is required.")
    length = body.get("length", 0)
    if length <= 0:
        raise ApiError("length must be greater than 0.")
    grow(document, sheet, Dimension(body["dimension"]), length)
    return None


@request("updateDimensionProperties")
def update_dimension_properties(
    document: Spreadsheet, body: dict[str, Any], caller: Caller
) -> Reply:
    tree = requests_masks.parse("DimensionProperties", body.get("fields", ""), "properties")
    touched = existing(span(document, body.get("range")))
    asked = {
        name: value
        for name, value in body.get("properties", {}).items()
        if name in ("hiddenByUser", "pixelSize")
    }
    kept = {name: below for name, below in tree.items() if name in ("hiddenByUser", "pixelSize")}
    if tree and not kept:
        raise ApiError(f"Invalid field: {next(iter(tree))}")
    if asked.get("pixelSize", 1) < 1:
        raise ApiError("pixelSize must be greater than 0.")
    properties = properties_of(touched.sheet, touched.dimension)
    for i in range(touched.start, touched.end):
        part = dict(properties.get(i, {}))
        fieldmask.update(part, asked, kept)
        set_properties(properties, i, part)
    return None


def existing(asked: Span) -> Span:
    """The part of it that is on the grid; refused where none is."""
    if asked.start >= asked.size:
        name = word(asked.dimension)
        raise ApiError(
            f"range.startIndex[{asked.start}] is after last {name} in grid[{asked.size - 1}]"
        )
    return asked._replace(end=min(asked.end, asked.size))


def properties_of(sheet: Sheet, dimension: Dimension) -> dict[int, dict[str, Any]]:
    return (
        sheet.grid.row_properties if dimension is Dimension.ROWS else sheet.grid.column_properties
    )


def set_properties(properties: dict[int, dict[str, Any]], i: int, part: dict[str, Any]) -> None:
    part = {name: value for name, value in part.items() if value}
    if part:
        properties[i] = part
    else:
        properties.pop(i, None)


@request("autoResizeDimensions")
def auto_resize(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    touched = existing(span(document, body.get("dimensions"), "dimensions"))
    properties = properties_of(touched.sheet, touched.dimension)
    for i in range(touched.start, touched.end):
        size = fitting(touched.sheet, touched.dimension, i)
        part = dict(properties.get(i, {}))
        part.pop("pixelSize", None)
        if size is not None:
            part["pixelSize"] = size
        set_properties(properties, i, part)
    return None
