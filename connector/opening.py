"""From what is remembered of a source to the keeper of its rows."""

from collections.abc import Mapping
from pathlib import Path

from connector.csv_file import CsvFile
from connector.registered import FilePlace, RegisteredSource
from connector.source import CheckedSource


def open_source(entry: RegisteredSource, *, environ: Mapping[str, str]) -> CheckedSource:
    """The keeper of *entry*'s rows; nothing is read yet. Raises ConnectorError."""
    match entry.place:
        case FilePlace(path=path):
            return CsvFile(path, source_id=entry.source_id, columns=entry.columns)
        case _:
            raise NotImplementedError


def run_lock(home: Path, source_id: str) -> Path:
    """What whoever works on a source holds: a run, or an agent that serves it."""
    return home / "runs" / f"{source_id}.lock"
