"""Put right what a process left in a source when it died in mid-write."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connector.csv_file import CsvFile
from connector.opening import open_source
from connector.registered import RegisteredSource, SheetPlace
from connector.running.leftovers import Note
from connector.running.screen import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was done, in sentences; *is_in_order* unless a person has to look at something."""

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
    sentences = [f"removed {counted(swept, 'unfinished draft')}" if swept else "all in order"]
    if Note(home / "runs" / f"{entry.source_id}.unfinished"):
        sentences.append("a run over it did not end; linkrow run --only-stale 24h goes on")
    return Repaired(repaired=swept, sentences=tuple(sentences))


def _sheet(
    entry: RegisteredSource, sheet: SheetPlace, *, home: Path, environ: Mapping[str, str]
) -> Repaired:
    raise NotImplementedError
