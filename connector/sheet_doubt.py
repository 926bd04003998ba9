"""What writes that went astray may have spoiled, and what puts it back. Pure.

Every write says beside its results whose they are (``check_ref``), so they are known wherever they
landed, also when the answer was lost.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.columns import same
from connector.sheet_plan import Echo
from connector.sheet_table import CHECK_REF, NO_ID, OURS, Edits, Table


@dataclass(slots=True, kw_only=True)
class Doubt:
    """Writes that may have landed elsewhere, and what every row should hold but for them.

    *belief*: the rows of the last reading, as they would be had no write gone astray.
    """

    belief: Table | None = None
    refs: set[str] = field(default_factory=set)
    hit: set[str] = field(default_factory=set)
    has_cleared: bool = False
    sent: list[tuple[Table, Edits]] = field(default_factory=list)

    def add(self, belief: Table, edits: Edits) -> None:
        """*edits* were sent, believing that; where they landed is not known."""
        self.belief = belief
        self.sent.append((belief, edits))
        for name in (CHECK_REF, "row_id"):
            column = belief.columns.at.get(name)
            if column is not None:
                refs = {cells[column] for cells in edits.values() if column in cells}
                self.has_cleared = self.has_cleared or "" in refs
                self.refs |= refs - {""}

    def saw(self, astray: Sequence[int], echo: Echo) -> None:
        """The answer shows which rows were hit instead, or hold another link by now."""
        assert self.belief is not None
        at = self.belief.columns.at.get("row_id")
        for row in astray:
            self.hit.add((echo.at(row, at).strip() if at is not None else "") or NO_ID)

    def clear(self) -> None:
        """What was sent is known to have landed where it should."""
        self.belief = None
        self.refs.clear()
        self.hit.clear()
        self.has_cleared = False
        self.sent.clear()

    def drop(self) -> None:
        """The last write was refused as a whole: it landed nowhere."""
        if self.sent:
            self.sent.pop()

    def header(self, rows: Sequence[list[str]], header_at: int) -> Edits:
        """Headings that a write replaced because the header had moved to where a row was."""
        heads = rows[header_at]
        edits: Edits = defaultdict(dict)
        for table, sent in self.sent:
            for row, cells in sent.items():
                # One column is enough to know ours by: an id stands in no header.
                is_ours = any(
                    text in self.refs and text != NO_ID and _at(heads, column) == text
                    for column, text in cells.items()
                )
                for column, text in cells.items() if is_ours and row != table.header_at else ():
                    if _at(heads, column) == text and column < len(table.columns.headings):
                        edits[header_at][column] = table.columns.headings[column]
        return dict(edits)

    def restore(self, now: Table) -> Edits:
        """What puts back what stood, in the rows of *now*, where a write of ours went astray."""
        if self.belief is None:
            return {}
        edits = self.beside(now)
        self._restore_rows(now.patched(edits), self.belief, edits)
        return {row: cells for row, cells in edits.items() if cells}

    def _restore_rows(self, now: Table, belief: Table, edits: Edits) -> None:
        at = now.columns.at
        if CHECK_REF not in at:
            return
        shifted = self._sent_rows() if self._is_shifted(now) else set()
        written = {
            name
            for table, sent in self.sent
            for name in OURS
            if name in at
            and (shifted or any(table.columns.at.get(name) in cells for cells in sent.values()))
        }
        before = _Before(belief)
        for row in now.body():
            ref, owner = now.ref(row), now.owner(row)
            is_astray = ref in self.refs and (ref != owner or owner == NO_ID)
            # What was cleared does not say any more whose it was.
            is_bare = self.has_cleared and not ref
            is_known = owner in self.hit or row in shifted
            if not (is_astray or is_bare or is_known):
                continue
            old = before.find(now, row)
            texts = {name: "" if old is None else belief.text(old, name) for name in written}
            if not (is_astray or is_known):
                texts = {name: text for name, text in texts.items() if not now.text(row, name)}
            wrong = [name for name in texts if texts[name] != now.text(row, name)]
            if wrong:
                # What is put back says whose it is, too: it may go astray as well.
                if owner != NO_ID:
                    texts[CHECK_REF] = owner
                for name, text in texts.items():
                    if text != now.text(row, name):
                        edits[row][at[name]] = text

    def beside(self, now: Table) -> Edits:
        """What puts back cells beside ours that were written because columns had moved."""
        edits: Edits = defaultdict(dict)
        headings = now.columns.headings
        for table, sent in self.sent:
            old = table.columns.headings
            where = {same(heading): column for column, heading in enumerate(old) if heading}
            origins = _Origins(now, table)
            for row, cells in sent.items():
                hit = [
                    column
                    for column, text in cells.items()
                    if column not in now.ours
                    and same(_at(headings, column)) != same(_at(old, column))
                    and text
                    and now.at(row, column) == text
                ]
                if not hit:
                    continue
                origin = origins.find(row, but=hit)
                for column in hit:
                    source = where.get(same(_at(headings, column)))
                    is_known = source is not None and origin is not None
                    edits[row][column] = table.at(origin or 0, source) if is_known else ""
        return edits

    def _is_shifted(self, now: Table) -> bool:
        return any(
            now.columns.at.get(name) != column
            for table, _ in self.sent
            for name, column in table.columns.at.items()
        )

    def _sent_rows(self) -> set[int]:
        return {row for _, edits in self.sent for row in edits}


def _at(cells: Sequence[str], column: int) -> str:
    return cells[column] if column < len(cells) else ""


class _Origins:
    """Which row of *then* a row of *now* is, by all its columns but some and ours.

    Columns are known by their headings: they moved.
    """

    def __init__(self, now: Table, then: Table) -> None:
        self._now = now
        self._then = then
        self._where = {same(text): at for at, text in enumerate(then.columns.headings) if text}
        self._rows: dict[tuple[int, ...], dict[tuple[str, ...], int]] = {}

    def find(self, row: int, *, but: Sequence[int]) -> int | None:
        """The row that *row* was; where several were alike, the one in its place."""
        pairs = [
            (column, self._where[same(heading)])
            for column, heading in enumerate(self._now.columns.headings)
            if column not in but and column not in self._now.ours and same(heading) in self._where
        ]
        columns = tuple(column for _, column in pairs)
        texts = tuple(self._now.at(row, column).strip() for column, _ in pairs)
        if self._texts(row, columns) == texts:
            return row
        if columns not in self._rows:
            self._rows[columns] = {self._texts(each, columns): each for each in self._then.body()}
        return self._rows[columns].get(texts)

    def _texts(self, row: int, columns: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self._then.at(row, column).strip() for column in columns)


class _Before:
    """Finds the rows of an earlier reading again."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._but = frozenset(table.ours)
        self._by_id: dict[str, list[int]] = defaultdict(list)
        for row in table.body():
            self._by_id[table.row_id(row)].append(row)
        self._by_rest: dict[tuple[str, ...], list[int]] | None = None

    def find(self, now: Table, row: int) -> int | None:
        """The row that is *row* of *now*; None for one that was not there."""
        row_id = now.row_id(row)
        several = self._by_id.get(row_id, [])
        if row_id and len(several) <= 1:
            return several[0] if several else None
        rest = now.rest(row, frozenset(now.ours))
        for each in several:
            if self._table.rest(each, self._but) == rest:
                return each
        return None
