"""Put right what a process left in a source when it died in mid-write."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from connector.csv_file import CsvFile
from connector.locks import try_lock
from connector.opening import open_sheet, open_source, run_lock
from connector.registered import RegisteredSource, SheetPlace
from connector.running.leftovers import Note
from connector.running.screen import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was done, in sentences; *is_in_order* unless something is left to be done."""

    repaired: int
    sentences: tuple[str, ...]
    is_in_order: bool = True

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "repaired": self.repaired,
            "in_order": self.is_in_order,
            "details": list(self.sentences),
        }


def repair(entry: RegisteredSource, *, home: Path, environ: Mapping[str, str]) -> Repaired:
    """Look, and repair. Raises ConnectorError when the source cannot be looked at."""
    if isinstance(entry.place, SheetPlace):
        return _sheet(entry, entry.place, home=home, environ=environ)
    source = open_source(entry, home=home, environ=environ)
    source.check()
    assert isinstance(source, CsvFile)
    swept = source.audit()
    said = f"removed {counted(swept, 'unfinished draft')}" if swept else "all is in order"
    return _with_note(Repaired(repaired=swept, sentences=(said,)), entry, home)


def _sheet(
    entry: RegisteredSource, sheet: SheetPlace, *, home: Path, environ: Mapping[str, str]
) -> Repaired:
    source = open_sheet(entry, sheet, home=home, environ=environ)
    try:
        found = source.audit()
    finally:
        source.close()
    return _with_note(
        Repaired(
            repaired=found.moved + found.cleared,
            sentences=(found.sentence,),
            is_in_order=not found.cleared,
        ),
        entry,
        home,
    )


def _with_note(repaired: Repaired, entry: RegisteredSource, home: Path) -> Repaired:
    """A run that is going on, or that was killed, is noted on this machine."""
    if not Note(home / "runs" / f"{entry.source_id}.unfinished"):
        return repaired
    with try_lock(run_lock(home, entry.source_id)) as is_free:
        if not is_free:
            return repaired
    said = "a run over it did not end; linkrow run --only-stale 24h goes on with it"
    return replace(repaired, sentences=(*repaired.sentences, said), is_in_order=False)
