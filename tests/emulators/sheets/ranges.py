"""From the text of a range to a rectangle of a tab that exists, or Google's refusal."""

from tests.emulators.sheets import a1
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.sheet import Sheet


def resolve(document: Spreadsheet, text: str) -> GridRange:
    """The range a text means; open ends stay open.

    A bare name is a named range first, then cells of the first tab, then a tab's title.
    """
    try:
        title, rest = a1.split_title(text)
    except a1.NotARange:
        raise unparsable(text) from None
    if title is None:
        assert rest is not None
        return _bare(document, rest, text)
    sheet = document.sheet_titled(title)
    if sheet is None:
        raise unparsable(text)
    if rest is None:
        return GridRange(sheet.sheet_id)
    try:
        return a1.parse_cells(rest).on(sheet.sheet_id)
    except a1.NotARange:
        named = _named(document, rest)
        if named is None:
            raise unparsable(text) from None
        return named


def _named(document: Spreadsheet, name: str) -> GridRange | None:
    folded = name.casefold()
    for named in document.named_ranges:
        if named["name"].casefold() == folded:
            found: GridRange = named["range"]
            return found
    return None


def _bare(document: Spreadsheet, rest: str, text: str) -> GridRange:
    named = _named(document, rest)
    if named is not None:
        return named
    try:
        return a1.parse_cells(rest).on(document.sheets[0].sheet_id)
    except a1.NotARange:
        sheet = document.sheet_titled(rest)
        if sheet is None:
            raise unparsable(text) from None
        return GridRange(sheet.sheet_id)


def unparsable(text: str) -> ApiError:
    return ApiError(f"Unable to parse range: {text}")


def within_grid(document: Spreadsheet, r: GridRange) -> GridRange:
    """The range with its open ends closed; refused where it leaves the grid."""
    sheet = document.sheet(r.sheet_id)
    rows, columns = sheet.grid.row_count, sheet.grid.column_count
    outside = (
        (r.r0 or 0) >= rows or (r.c0 or 0) >= columns or (r.r1 or 0) > rows or (r.c1 or 0) > columns
    )
    if outside:
        raise exceeds(document, sheet, r)
    return r.closed(rows, columns)


def exceeds(document: Spreadsheet, sheet: Sheet, r: GridRange) -> ApiError:
    return ApiError(
        f"Range ({document.range_name(r)}) exceeds grid limits."
        f" Max rows: {sheet.grid.row_count}, max columns: {sheet.grid.column_count}"
    )
