"""Look at a source as a run would, without changing anything, and say what was found."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from connector.columns import heading_of
from connector.csv_file import CsvFile
from connector.examination import Layout, examine
from connector.opening import open_sheet, open_source
from connector.registered import RegisteredSource, SheetPlace
from connector.running.screen import counted
from connector.source import Row
from connector.source_screen import Calls, Finding


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
        survey = source.survey()
    finally:
        source.close()

    def read() -> Iterable[list[Row]]:
        return [list(survey.rows)]

    obstacles = survey.obstacles
    if survey.misplaced:
        strayed = counted(survey.misplaced, "result")
        obstacles += (f"{strayed} in rows of others; linkrow source audit puts that right",)
    layout = Layout.of(survey.columns, entry.columns)
    made = tuple(heading_of(name, entry.columns) for name in survey.missing)
    return Finding(
        layout=replace(layout, missing=made),
        rows=examine(read, now=now, max_age=entry.max_age),
        calls=Calls(reads=survey.cost.reads, writes=survey.cost.writes),
        obstacles=obstacles,
    )
