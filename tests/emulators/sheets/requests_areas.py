"""The rectangle that a request names: on a tab that exists, closed at the grid's ends."""

from typing import Any, NamedTuple

from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import Dimension, GridRange
from tests.emulators.sheets.ranges import exceeds
from tests.emulators.sheets.sheet import Sheet


class Area(NamedTuple):
    """Half-open, within the grid."""

    sheet: Sheet
    r0: int
    r1: int
    c0: int
    c1: int

    @property
    def range(self) -> GridRange:
        return GridRange(self.sheet.sheet_id, self.r0, self.r1, self.c0, self.c1)

    @property
    def height(self) -> int:
        return self.r1 - self.r0

    @property
    def width(self) -> int:
        return self.c1 - self.c0


def area(document: Spreadsheet, body: dict[str, Any] | None) -> Area:
    """A GridRange of a request. It may end past the grid (it is cut there), not start there."""
    if body is None:
        raise ApiError("No range specified.")
    r = ordered(body)
    sheet = document.sheet(r.sheet_id)
    rows, columns = sheet.grid.row_count, sheet.grid.column_count
    if (r.r0 or 0) >= rows or (r.c0 or 0) >= columns:
        raise exceeds(document, sheet, r)
    r0, r1, c0, c1 = r.bounds(rows, columns)
    return Area(sheet, r0, min(r1, rows), c0, min(c1, columns))


def ordered(body: dict[str, Any]) -> GridRange:
    """The range as sent; refused where it is negative, turned round or empty."""
    r = GridRange.of(body)
    for start, end, what in ((r.r0, r.r1, "Row"), (r.c0, r.c1, "Column")):
        for name, index in ((f"start{what}Index", start), (f"end{what}Index", end)):
            if index is not None and index < 0:
                raise ApiError(f"range.{name}[{index}] must be >= 0")
        if end is not None and end <= (start or 0):
            raise ApiError(
                f"range.end{what}Index[{end}] must be > range.start{what}Index[{start or 0}]"
            )
    return r


class Span(NamedTuple):
    """Rows or columns of a tab."""

    sheet: Sheet
    dimension: Dimension
    start: int
    end: int

    @property
    def size(self) -> int:
        return size_of(self.sheet, self.dimension)

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def range(self) -> GridRange:
        return GridRange(self.sheet.sheet_id).with_span(self.dimension, (self.start, self.end))


def size_of(sheet: Sheet, dimension: Dimension) -> int:
    return sheet.grid.row_count if dimension is Dimension.ROWS else sheet.grid.column_count


def span(document: Spreadsheet, body: dict[str, Any] | None, name: str = "range") -> Span:
    """A DimensionRange as sent; open ends are the grid's. Where it may lie is its user's matter."""
    body = body or {}
    sheet = document.sheet(body.get("sheetId", 0))
    if "dimension" not in body:
        raise ApiError(f"{name}.dimension is required.")
    dimension = Dimension(body["dimension"])
    start = body.get("startIndex", 0)
    end = body.get("endIndex", size_of(sheet, dimension))
    if start < 0:
        raise ApiError(f"{name}.startIndex[{start}] must be >= 0")
    if end <= start:
        raise ApiError(f"{name}.endIndex[{end}] must be > {name}.startIndex[{start}]")
    return Span(sheet, dimension, start, end)


def spelled_span(r: GridRange, dimension: Dimension) -> dict[str, Any]:
    """A DimensionRange as Google answers it."""
    start, end = r.span(dimension)
    spelled: dict[str, Any] = {"sheetId": r.sheet_id} if r.sheet_id else {}
    spelled["dimension"] = dimension.value
    if start is not None:
        spelled["startIndex"] = start
    if end is not None:
        spelled["endIndex"] = end
    return spelled


def word(dimension: Dimension) -> str:
    return "row" if dimension is Dimension.ROWS else "column"
