"""What a spreadsheet and a tab are, without their values: titles, size, merges, protections."""

from dataclasses import dataclass, field
from typing import Any, Final

from connector.sheet_a1 import cell_name
from connector.sheet_address import TabName
from connector.sheet_calls import Calls, Json
from connector.sheet_errors import ColumnProtected, HeaderMerged, TabNotFound
from connector.sheet_table import HEADER_WITHIN, Table

FIELDS_ABOUT: Final = (
    "properties.title,sheets(properties(sheetId,title,sheetType,"
    "gridProperties(rowCount,columnCount)),merges,"
    "protectedRanges(range,warningOnly,requestingUserCanEdit,unprotectedRanges))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTab:
    """Which tab of which spreadsheet, and how people call both."""

    spreadsheet_id: str
    gid: int
    title: str
    tab: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A tab without its values; ranges are Google's: from 0, ends excluded, or open."""

    spreadsheet: str
    title: str
    row_count: int
    column_count: int
    merges: tuple[Json, ...] = ()
    protections: tuple[Json, ...] = ()
    tabs: tuple[str, ...] = field(default=(), repr=False)

    def forbids(self, row: int, column: int) -> bool:
        """Whether we may not edit a cell."""
        return any(
            covers(each.get("range") or {}, row, column)
            and not any(covers(free, row, column) for free in each.get("unprotectedRanges") or [])
            for each in self.protections
        )


def covers(grid_range: Json, row: int, column: int) -> bool:
    """Whether a range of Google's holds a cell."""
    top, bottom = grid_range.get("startRowIndex", 0), grid_range.get("endRowIndex", row + 1)
    left, right = (
        grid_range.get("startColumnIndex", 0),
        grid_range.get("endColumnIndex", column + 1),
    )
    return bool(top <= row < bottom and left <= column < right)


def about_of(answer: Json, gid: int) -> About:
    """The tab *gid* in an answer of spreadsheets.get. Raises TabNotFound."""
    sheets = answer.get("sheets") or []
    tabs = tuple(str((each.get("properties") or {}).get("title", "")) for each in sheets)
    for each in sheets:
        properties = each.get("properties") or {}
        if properties.get("sheetId", 0) == gid:
            grid = properties.get("gridProperties") or {}
            return About(
                spreadsheet=str((answer.get("properties") or {}).get("title", "")),
                title=str(properties.get("title", "")),
                row_count=int(grid.get("rowCount", 0)),
                column_count=int(grid.get("columnCount", 0)),
                merges=tuple(each.get("merges") or ()),
                protections=tuple(
                    one
                    for one in each.get("protectedRanges") or ()
                    if not one.get("warningOnly") and not one.get("requestingUserCanEdit")
                ),
                tabs=tabs,
            )
    raise TabNotFound(f"with the number {gid}", list(tabs))


def check_merges(about: About, table: Table) -> None:
    """Raise HeaderMerged where a heading of ours covers more than its own cell."""
    for merge in about.merges:
        for column in sorted(table.columns.at.values()):
            if covers(merge, table.header_at, column):
                top, left = merge.get("startRowIndex", 0), merge.get("startColumnIndex", 0)
                raise HeaderMerged(cell_name(top, left))


def check_protection(about: About, table: Table, columns: set[int], calls: Calls) -> None:
    """Raise ColumnProtected where one of *columns* is closed to us in every row."""
    rows = list(table.body()) if about.protections else []
    for column in sorted(columns):
        if rows and all(about.forbids(row, column) for row in rows):
            raise ColumnProtected(table.columns.headings[column], calls.address)


def blame_merges(about: About) -> None:
    """Raise HeaderMerged where a merge near the top may hide a heading that is not found."""
    for merge in about.merges:
        top, left = merge.get("startRowIndex", 0), merge.get("startColumnIndex", 0)
        if top < HEADER_WITHIN and merge.get("endColumnIndex", left + 1) - left > 1:
            raise HeaderMerged(cell_name(top, left))


def place_of(calls: Calls, tab: TabName | None, gid: int | None) -> FoundTab:
    """The tab that is meant: *tab* as a person named it, else the address' *gid*, else the first.

    Raises TabNotFound.
    """
    answer = calls.about("properties.title,sheets(properties(sheetId,title,sheetType))")
    sheets: list[dict[str, Any]] = [
        each
        for each in answer.get("sheets") or []
        if (each.get("properties") or {}).get("sheetType", "GRID") == "GRID"
    ]
    wanted = tab if tab is not None else TabName(gid=gid)
    for test in (
        lambda found: bool(wanted.title) and found.get("title") == wanted.title,
        lambda found: wanted.gid is not None and found.get("sheetId", 0) == wanted.gid,
        lambda found: wanted.gid is None and not wanted.title,
    ):
        for each in sheets:
            properties = each.get("properties") or {}
            if test(properties):
                return FoundTab(
                    spreadsheet_id=calls.spreadsheet_id,
                    gid=int(properties.get("sheetId", 0)),
                    title=str((answer.get("properties") or {}).get("title", "")),
                    tab=str(properties.get("title", "")),
                )
    titles = [str((each.get("properties") or {}).get("title", "")) for each in sheets]
    what = repr(wanted.title) if wanted.title else f"with the number {wanted.gid}"
    raise TabNotFound(what, titles)
