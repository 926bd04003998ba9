"""Give ids to rows that have none, although the rows may move meanwhile. Pure.

An id is written into a place; the row that was meant may have gone and another one come there. The
pair (row_id, link) that stands in the sheet afterwards is the truth, but for two cases: an id that
was there before is put back, and one that landed beside no link is taken away.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from connector.sheet_table import CHECK_REF, Edits, Table

MOST_GOES: Final = 6


@dataclass(slots=True, kw_only=True)
class Giving:
    """*wanted*: row of *first* → the id it shall have; *first* is the reading that decided."""

    first: Table
    wanted: dict[int, str]
    new: frozenset[str] = field(init=False)
    _put_back: set[str] = field(default_factory=set)
    _open: dict[tuple[str, ...], list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.new = frozenset(self.wanted.values())
        but = frozenset({self.first.columns.at["row_id"]})
        self._open = defaultdict(list)
        for row, row_id in self.wanted.items():
            self._open[self.first.rest(row, but)].append(row_id)

    def next(self, now: Table) -> Edits:
        """What is still to be written into *now*: ids put back, taken away or given."""
        column = now.columns.at["row_id"]
        but = frozenset({column})
        doubtful = {
            row: now.rest(row, but)
            for row in now.body()
            if not (row_id := now.row_id(row)) or row_id in self.new or row_id in self._put_back
        }
        missing = self._missing(now, doubtful)
        given = {now.row_id(row) for row in doubtful} & self.new
        edits: Edits = {}
        for row, rest in doubtful.items():
            row_id = now.row_id(row)
            if row in missing.settled:
                continue
            has_link = bool(now.text(row, "tracking_url").strip())
            old = missing.take(now, row, rest, is_meant=rest in self._open)
            if old is not None:
                target = old
            elif row_id in self.new and has_link:
                target = row_id
            elif has_link:
                target = next((each for each in self._open.get(rest, []) if each not in given), "")
                given.add(target)
            else:
                target = ""
            if target != row_id:
                edits[row] = {column: target}
                if old is not None:
                    self._put_back.add(old)
        return edits

    def _missing(self, now: Table, doubtful: dict[int, tuple[str, ...]]) -> "_Missing":
        """The ids there were before that stand in no row of theirs now."""
        present = {now.row_id(row) for row in now.body() if row not in doubtful}
        but = frozenset({self.first.columns.at["row_id"]})
        missing = _Missing(self.first, but)
        for row in self.first.body():
            if (row_id := self.first.row_id(row)) and row_id not in present:
                missing.add(row_id, row)
        for row, rest in doubtful.items():
            row_id = now.row_id(row)
            if row_id in missing.ids and missing.fits(row_id, now, row, rest):
                missing.drop(row_id)
                missing.settled.add(row)
        return missing


class _Missing:
    """Ids whose rows are looked for, by check_ref, by all they said, and last by their links."""

    def __init__(self, first: Table, but: frozenset[int]) -> None:
        self.ids: dict[str, int] = {}
        self.settled: set[int] = set()  # rows of now that bear their own
        self._first = first
        self._but = but
        self._by_rest: dict[tuple[str, ...], list[str]] = defaultdict(list)
        self._by_link: dict[str, list[str]] = defaultdict(list)

    def add(self, row_id: str, row: int) -> None:
        self.ids[row_id] = row
        self._by_rest[self._first.rest(row, self._but)].append(row_id)
        self._by_link[self._first.text(row, "tracking_url").strip()].append(row_id)

    def drop(self, row_id: str) -> None:
        del self.ids[row_id]

    def fits(self, row_id: str, now: Table, row: int, rest: tuple[str, ...]) -> bool:
        """Whether *row* is the one that had this id."""
        if ref := now.text(row, CHECK_REF).strip():
            return ref == row_id
        then = self.ids[row_id]
        link = self._first.text(then, "tracking_url").strip()
        return self._first.rest(then, self._but) == rest or (
            link == now.text(row, "tracking_url").strip() and len(self._by_link[link]) == 1
        )

    def take(self, now: Table, row: int, rest: tuple[str, ...], *, is_meant: bool) -> str | None:
        """The id that *row* had; *is_meant*: a new one may be right, too."""
        found = self._find(now, row, rest, is_meant=is_meant)
        if found is not None:
            self.drop(found)
        return found

    def _find(self, now: Table, row: int, rest: tuple[str, ...], *, is_meant: bool) -> str | None:
        ref = now.text(row, CHECK_REF).strip()
        if ref in self.ids:
            return ref
        same = [each for each in self._by_rest.get(rest, []) if each in self.ids]
        if same:
            return same[0]
        if is_meant or not now.row_id(row):
            return None
        # Edited in the same moment: its link alone has to do, where that leaves no doubt.
        link = now.text(row, "tracking_url").strip()
        alike = [each for each in self._by_link.get(link, []) if each in self.ids]
        return alike[0] if link and len(alike) == 1 else None
