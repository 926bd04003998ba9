"""Look at a source as a run would, without changing anything, and say what was found."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from connector.csv_file import CsvFile
from connector.examination import Layout, examine
from connector.opening import open_sheet, open_source
from connector.registered import RegisteredSource, SheetPlace
from connector.source import Row
from connector.source_screen import Finding


def inspect(
    entry: RegisteredSource, *, home: Path, environ: Mapping[str, str], now: datetime
) -> Finding:
    """What is in *entry*'s rows. Raises ConnectorError when a run could not begin."""
    if isinstance(entry.place, SheetPlace):
        return _sheet(entry, entry.place, home=home, environ=environ, now=now)
    source = open_source(entry, home=home, environ=environ)
    source.check()
    assert isinstance(source, CsvFile)
    return Finding(
        layout=Layout.of(source.columns(), entry.columns),
        rows=examine(source.read, now=now, max_age=entry.max_age),
    )


def _sheet(
    entry: RegisteredSource,
    sheet: SheetPlace,
    *,
    home: Path,
    environ: Mapping[str, str],
    now: datetime,
) -> Finding:
    source = open_sheet(entry, sheet, home=home, environ=environ)
    try:
        rows = list(source.read())  # once: each reading is a call

        def read() -> Iterable[list[Row]]:
            return rows

        return Finding(
            layout=Layout(found={}, missing=(), others=0),
            rows=examine(read, now=now, max_age=entry.max_age),
        )
    finally:
        source.close()
