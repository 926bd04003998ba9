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
    lost: set[str] = field(default_factory=set)
    _open: dict[tuple[str, ...], list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.new = frozenset(self.wanted.values())
        but = frozenset({self.first.columns.at["row_id"]})
        self._open = defaultdict(list)
        for row, row_id in self.wanted.items():
            self._open[self.first.rest(row, but)].append(row_id)

    def next(self, now: Table) -> Edits:
        """What is still to be written into *now*: ids put back or taken away first, then given."""
        column = now.columns.at["row_id"]
        present = {now.row_id(row) for row in now.body()}
        edits: Edits = {row: {column: text} for row, text in self._mended(now, present).items()}
        but = frozenset({column})
        given = present & self.new
        for row in now.body():
            if now.row_id(row) or row in edits or not now.text(row, "tracking_url").strip():
                continue
            ids = self._open.get(now.rest(row, but), [])
            row_id = next((each for each in ids if each not in given), None)
            if row_id is not None:
                given.add(row_id)
                edits[row] = {column: row_id}
        return edits

    def _mended(self, now: Table, present: set[str]) -> dict[int, str]:
        """Row → what its id must be instead of a new one that landed there."""
        gone = {
            self.first.row_id(row): row
            for row in self.first.body()
            if self.first.row_id(row) and self.first.row_id(row) not in present
        }
        but_now = frozenset({now.columns.at["row_id"]})
        but_then = frozenset({self.first.columns.at["row_id"]})
        by_rest: dict[tuple[str, ...], list[str]] = defaultdict(list)
        by_link: dict[str, list[str]] = defaultdict(list)
        for row_id, row in gone.items():
            by_rest[self.first.rest(row, but_then)].append(row_id)
            by_link[self.first.text(row, "tracking_url").strip()].append(row_id)
        found: dict[int, str] = {}
        for row in now.body():
            row_id = now.row_id(row)
            if row_id not in self.new:
                continue
            old = self._before(now, row, gone, by_rest, but_now, by_link)
            if old is not None:
                del gone[old]
                found[row] = old
            elif not now.text(row, "tracking_url").strip():
                found[row] = ""
        return found

    def _before(
        self,
        now: Table,
        row: int,
        gone: dict[str, int],
        by_rest: dict[tuple[str, ...], list[str]],
        but: frozenset[int],
        by_link: dict[str, list[str]],
    ) -> str | None:
        """The id that stood in *row* before a new one was written over it."""
        ref = now.text(row, CHECK_REF).strip()
        if ref in gone:
            return ref
        rest = now.rest(row, but)
        same = [each for each in by_rest.get(rest, []) if each in gone]
        if same:
            return same[0]
        if rest in self._open:
            return None  # a row that was meant, or its twin
        # Edited in the same moment: its link alone has to do, where that leaves no doubt.
        alike = [
            each for each in by_link.get(now.text(row, "tracking_url").strip(), []) if each in gone
        ]
        return alike[0] if len(alike) == 1 else None
