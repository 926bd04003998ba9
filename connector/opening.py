"""From what is remembered of a source to the keeper of its rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from connector.csv_file import CsvFile
from connector.registered import FilePlace, RegisteredSource, SheetPlace
from connector.source import CheckedSource

if TYPE_CHECKING:
    from connector.sheets import SheetSource


def open_source(
    entry: RegisteredSource, *, home: Path, environ: Mapping[str, str]
) -> CheckedSource:
    """The keeper of *entry*'s rows; nothing is read yet. Raises ConnectorError."""
    match entry.place:
        case FilePlace(path=path):
            return CsvFile(path, source_id=entry.source_id, columns=entry.columns)
        case SheetPlace() as sheet:
            return open_sheet(entry, sheet, home=home, environ=environ)


def open_sheet(
    entry: RegisteredSource, sheet: SheetPlace, *, home: Path, environ: Mapping[str, str]
) -> "SheetSource":
    """One tab of a spreadsheet."""
    from connector.sheets import SheetSource  # noqa: PLC0415 - gspread is slow to import

    return SheetSource(
        sheet.spreadsheet,
        sheet.gid,
        source_id=entry.source_id,
        home=home,
        environ=environ,
        name=entry.name,
        columns=entry.columns,
        mode=entry.mode,
        credentials=entry.credentials,
        protect=entry.is_protected,
    )


def run_lock(home: Path, source_id: str) -> Path:
    """What whoever works on a source holds: a run, or an agent that serves it."""
    return home / "runs" / f"{source_id}.lock"
