"""From what a person typed to a place: a file on this machine, or one tab of a spreadsheet."""

from collections.abc import Mapping
from pathlib import Path

from connector.errors import NoSuchPlace, UnsupportedFile
from connector.naming import is_address, names_file
from connector.registered import FilePlace, Place, SheetPlace
from connector.sheet_errors import LoginMissing, SheetNotFound

_BOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})


def locate(
    text: str, *, tab: str = "", credentials: Path | None = None, environ: Mapping[str, str]
) -> Place:
    """The place that *text* and *tab* name; a sheet is asked for its title and its tabs.

    Raises ConnectorError: NoSuchPlace, UnsupportedFile, or what is wrong with the sheet.
    """
    path = Path(text).expanduser()
    if names_file(text, exists=path.exists()):
        return usable_file(path, tab=tab)
    from connector.sheets import find_sheet  # noqa: PLC0415 - gspread is slow to import

    try:
        found = find_sheet(text, tab=tab, credentials=credentials, environ=environ)
    except (LoginMissing, SheetNotFound) as error:
        if is_address(text) or (isinstance(error, SheetNotFound) and tab):
            raise
        # Most likely a file's name, mistyped: say that first.
        raise NoSuchPlace(text, f"is no file here, and as a Google Sheet: {error}") from error
    return SheetPlace(
        spreadsheet=found.spreadsheet_id, gid=found.gid, title=found.title, tab=found.tab
    )


def usable_file(path: Path, *, tab: str = "") -> FilePlace:
    """The file's real path; a kind that is no table of rows is refused with what to do."""
    if path.suffix.lower() in _BOOKS:
        raise UnsupportedFile(path, "export the sheet as CSV and use that file")
    if tab:
        raise NoSuchPlace(str(path), "is a file and has no tabs; --tab is for Google Sheets")
    return FilePlace.of(path)
