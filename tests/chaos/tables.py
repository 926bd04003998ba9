"""A CSV and its owner, who sorts, edits, deletes and adds rows while results come in.

The owner takes the file's lock, as another program of ours would: what is written into a file that
somebody saves without looking is that somebody's loss.
"""

import csv
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import sleep

from connector.locks import try_lock
from tests.chaos.history import Event, History

_KINDS = ("fine", "slow", "gone", "rude", "busy", "long")
_WEIGHTS = (60, 22, 8, 4, 4, 2)
_HEADER = ("row_id", "tracking_url", "note", "job_id")
_LINK, _NOTE = 1, 2

Rows = list[list[str]]


class Table:
    """One file of links. Every link is new: none is used by two rows, or twice by one."""

    def __init__(self, path: Path, *, source_id: str, site: str, seed: int, history: History):
        self.path = path
        self.source_id = source_id
        self.name = path.stem
        self._site = site
        self._chance = Random(f"table {seed} {self.name}")
        self._history = history
        self._made = 0
        self._lock = threading.Lock()

    def fill(self, count: int) -> None:
        """The rows it begins with; half of them have no id yet."""
        rows = [self._new(f"r_{n:05d}" if n % 2 else "") for n in range(count)]
        self._save(list(_HEADER), rows)

    def sort(self, salt: int, share: float) -> None:
        """All rows in another order."""
        self._change(lambda rows: Random(salt).shuffle(rows))

    def edit(self, salt: int, share: float) -> None:
        """Some rows lead elsewhere."""

        def edit(rows: Rows) -> None:
            for row in _some(rows, salt, share):
                self._disown(row)
                row[_LINK], row[_NOTE] = self._new("")[_LINK : _NOTE + 1]

        self._change(edit)

    def delete(self, salt: int, share: float) -> None:
        """Some rows are no more."""

        def delete(rows: Rows) -> None:
            gone = _some(rows, salt, share)
            for row in gone:
                self._disown(row)
            rows[:] = [row for row in rows if row not in gone]

        self._change(delete)

    def add(self, salt: int, share: float) -> None:
        """Some more rows, anywhere."""

        def add(rows: Rows) -> None:
            chance = Random(salt)
            for _ in range(max(1, int(share * len(rows)))):
                rows.insert(chance.randrange(len(rows) + 1), self._new(""))

        self._change(add)

    def hold(self, seconds: float) -> None:
        """The file is its owner's alone for so long, and then saved as it was opened."""
        self._change(lambda rows: sleep(seconds))

    def rows(self) -> Iterator[Event]:
        """What stands in it, as the checker knows it."""
        with self.path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield {
                    "ev": "row",
                    "source_id": self.source_id,
                    "row_id": row["row_id"],
                    "link": row["tracking_url"],
                    "note": row["note"],
                    "final_url": row.get("final_url") or "",
                    "conclusion": row.get("conclusion") or "",
                    "job_id": row["job_id"] or "",
                }

    def link(self) -> str:
        """A link that nobody has used."""
        with self._lock:
            self._made += 1
            kind = self._chance.choices(_KINDS, _WEIGHTS)[0]
            return f"{self._site}/go/{kind}/{kind}-{self.name}-{self._made}"

    # ---- how

    def _new(self, row_id: str) -> list[str]:
        link = self.link()
        note = f"note on {link.rpartition('/')[2]}"
        self._history.say("owned", source_id=self.source_id, link=link, note=note)
        return [row_id, link, note, ""]

    def _disown(self, row: list[str]) -> None:
        self._history.say("disowned", source_id=self.source_id, link=row[_LINK])

    def _change(self, change: Callable[[Rows], None]) -> None:
        with self._held():
            with self.path.open(newline="", encoding="utf-8") as file:
                header, *rows = csv.reader(file)
            change(rows)
            self._save(header, rows)

    def _save(self, header: list[str], rows: Rows) -> None:
        saved = self.path.with_name(f"{self.path.name}.saved")
        with saved.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        saved.replace(self.path)

    @contextmanager
    def _held(self) -> Iterator[None]:
        while True:
            with try_lock(self.path.with_name(f".{self.path.name}.lock")) as is_ours:
                if is_ours:
                    yield
                    return
            sleep(0.01)


def _some(rows: Rows, salt: int, share: float) -> Rows:
    return Random(salt).sample(rows, min(len(rows), max(1, int(share * len(rows)))))
