"""Decide what is written where, whether it landed there, and how to put right what did not.

A write names places, and rows move between the reading that found a place and the write. So every
write says beside its results whose they are (``check_ref``), and its answer shows the rows as they
were in that very moment. No I/O.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connector.columns import same
from connector.rows import text_of
from connector.sheet_a1 import block, column_of, runs
from connector.sheet_table import CHECK_REF, NO_ID, OURS, Edits, Table
from connector.source import Change

MOST_ROWS: Final = 2000
MOST_CHARACTERS: Final = 50_000
MOST_LETTERS: Final = 1_500_000  # of a call; Google recommends 2 MB


def flushes(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """*changes* in portions that one call can carry, by number and by size."""
    start = size = 0
    for end, change in enumerate(changes):
        weight = sum(len(cell(text_of(value))) for value in change.cells.values())
        if end - start >= MOST_ROWS or (end > start and size + weight > MOST_LETTERS):
            yield changes[start:end]
            start, size = end, 0
        size += weight
    if start < len(changes):
        yield changes[start:]


def cell(text: str) -> str:
    """*text* as a cell can hold it."""
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def body(table: Table, edits: Edits, tab: str) -> dict[str, Any]:
    """The one call that makes *edits*; cells between ours are skipped (null), not written.

    The first range is the header, of which nothing is written: the answer shows where the columns
    were in that moment.
    """
    first, last = table.span
    for cells in edits.values():
        first, last = min(first, *cells), max(last, *cells)
    nothing: list[str | None] = [None] * (last - first + 1)
    data = [
        {
            "range": block(tab, table.header_at, first, table.header_at, last),
            "values": [nothing],
        }
    ]
    for top, bottom in runs(sorted(edits)):
        values = []
        for row in range(top, bottom + 1):
            line = list(nothing)
            for column, text in edits[row].items():
                line[column - first] = cell(text)
            values.append(line)
        data.append({"range": block(tab, top, first, bottom, last), "values": values})
    return {
        "valueInputOption": "RAW",
        "includeValuesInResponse": True,
        "responseValueRenderOption": "FORMATTED_VALUE",
        "data": data,
    }


def narrow_body(edits: Edits, tab: str) -> dict[str, Any]:
    """The same with nothing but the cells that are written: what is beside them is protected.

    The answer then shows too little to tell whose rows they were.
    """
    data = []
    for top, bottom in runs(sorted(edits)):
        columns = sorted({column for row in range(top, bottom + 1) for column in edits[row]})
        for first, last in runs(columns):
            values = [
                [
                    cell(edits[row][column]) if column in edits[row] else None
                    for column in range(first, last + 1)
                ]
                for row in range(top, bottom + 1)
            ]
            data.append({"range": block(tab, top, first, bottom, last), "values": values})
    return {"valueInputOption": "RAW", "data": data}


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """The rows that were written as they were right after; *header* None: it was not shown.

    *is_later*: they were read after the write, so they may have moved once more.
    """

    first: int
    header: list[str] | None
    rows: Mapping[int, list[str]]
    is_later: bool = False

    @classmethod
    def of(cls, sent: Mapping[str, Any], answer: Mapping[str, Any], edits: Edits) -> "Echo | None":
        """What *answer* shows of *sent*; None when it does not show the rows."""
        responses = answer.get("responses") or []
        if len(responses) != len(sent["data"]):
            return None
        shown = [response.get("updatedData") for response in responses]
        if any(each is None for each in shown[1:]):
            return None
        head = shown[0].get("values") if shown[0] else None
        rows: dict[int, list[str]] = {}
        for (top, bottom), each in zip(runs(sorted(edits)), shown[1:], strict=True):
            values = each.get("values") or []
            for row in range(top, bottom + 1):
                line = values[row - top] if row - top < len(values) else []
                rows[row] = [str(text) for text in line]
        return cls(
            first=column_of(sent["data"][0]["range"].rpartition("!")[2].partition(":")[0]),
            header=[str(text) for text in head[0]] if head else None,
            rows=rows,
        )

    def at(self, row: int, column: int) -> str:
        """A cell of a row that was written."""
        cells = self.rows[row]
        place = column - self.first
        return cells[place] if 0 <= place < len(cells) else ""


def header_holds(table: Table, first: int, header: Sequence[str]) -> bool:
    """Whether the columns of ours are still where *table* says, given the header from *first*."""
    for column in table.columns.at.values():
        place = column - first
        text = header[place] if place < len(header) else ""
        if same(text) != same(table.columns.headings[column]):
            return False
    return True


def strays(table: Table, edits: Edits, echo: Echo) -> list[int]:
    """The rows that were written and are not those of *table* any more.

    A row is known by its id and link; one without an id, or with one that others have too, by all
    that was not written.
    """
    at = table.columns.at
    who = [at["tracking_url"], *([at["row_id"]] if "row_id" in at else [])]
    counts: dict[str, int] = defaultdict(int)
    for row in table.body():
        counts[table.row_id(row)] += 1
    first, last = table.span
    everything = list(range(first, last + 1))
    found = []
    for row, cells in edits.items():
        row_id = table.row_id(row)
        is_named = bool(row_id) and counts[row_id] == 1 and at.get("row_id") not in cells
        is_same = all(
            echo.at(row, column).strip() == table.at(row, column).strip()
            for column in (who if is_named else everything)
            if column not in cells
        )
        is_there = not echo.is_later or all(
            echo.at(row, column) == cell(text) for column, text in cells.items()
        )
        if not (is_same and is_there):
            found.append(row)
    return found


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
        edits: Edits = defaultdict(dict)
        self._restore_columns(now, edits)
        self._restore_rows(now, self.belief, edits)
        return {row: cells for row, cells in edits.items() if cells}

    def _restore_rows(self, now: Table, belief: Table, edits: Edits) -> None:
        at = now.columns.at
        if CHECK_REF not in at:
            return
        written = {
            name
            for table, sent in self.sent
            for name in OURS
            if name in at and any(table.columns.at.get(name) in cells for cells in sent.values())
        }
        shifted = self._sent_rows() if self._is_shifted(now) else set()
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

    def _restore_columns(self, now: Table, edits: Edits) -> None:
        """Cells beside ours that were written because columns had moved."""
        for table, sent in self.sent:
            headings, old = now.columns.headings, table.columns.headings
            where = {same(heading): column for column, heading in enumerate(old) if heading}
            ours = set(now.ours) | {now.columns.at.get("row_id")}
            for row, cells in sent.items():
                for column, text in cells.items():
                    heading = headings[column] if column < len(headings) else ""
                    was = old[column] if column < len(old) else ""
                    if same(heading) == same(was) or column in ours:
                        continue
                    if text and now.at(row, column) == text:
                        source = where.get(same(heading)) if heading else None
                        edits[row][column] = "" if source is None else table.at(row, source)

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
