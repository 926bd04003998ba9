"""Write into a tab whose rows move: look, write once, look at the answer, put right what strayed.

The result of each row is written with ``check_ref``, so that what goes astray is known for ever.
Two calls for up to 2,000 rows when nobody interferes.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from connector.errors import ConnectorError
from connector.rows import Targets, text_of
from connector.sheet_a1 import cell_name
from connector.sheet_doubt import Doubt
from connector.sheet_errors import ColumnProtected, SheetError, SheetMoving, SheetRefused
from connector.sheet_giving import IdGiver
from connector.sheet_links import Found, shows_a_label
from connector.sheet_plan import MOST_ROWS, header_holds, strays
from connector.sheet_tab import SheetTab
from connector.sheet_table import CHECK_REF, MADE, NO_ID, Edits, Table, find_header
from connector.source import Cells, Change, Written
from wire.vocab import Writeback

logger = logging.getLogger(__name__)

_GOES: Final = 5  # the first, and four repairs


class _Again(Exception):
    """Rows moved while we looked; nothing is wrong, look again."""


class SheetWriter:
    """Writes into one tab; not for two threads at once. Raises SheetError.

    *stats* counts flushes, repairs (answers that showed rows elsewhere) and cells put back.
    """

    def __init__(
        self, tab: SheetTab, mapping: Mapping[str, str], *, name: str, protect: bool
    ) -> None:
        self.tab = tab
        self.stats: Counter[str] = Counter()
        self._mapping = dict(mapping)
        self._name = name
        self._protect = protect
        self._doubt = Doubt()
        self._heading_fix: Edits = {}
        self._ids = IdGiver(tab, self._claimed, name=name, stats=self.stats)

    def give(self, table: Table, wanted: Mapping[int, str]) -> int:
        """Give ids to rows of *table*. Returns to how many."""
        return self._ids.give(table, wanted)

    def table(self, beside: SheetTab | None = None) -> Table:
        """The tab as it is now; where headings of ours were hit, as it should be."""
        rows = self.tab.rows(beside)
        try:
            return self._table(rows)
        except ConnectorError as error:
            error.mend_seconds = SheetError.mend_seconds  # a heading is being typed, perhaps
            if beside is not None:
                beside.forget()
            raise

    def _table(self, rows: list[list[str]]) -> Table:
        self._heading_fix = {}
        header_at = find_header(rows, self._mapping)
        if self._doubt.sent and header_at is not None:
            self._heading_fix = self._doubt.header(rows, header_at)
            for row, cells in self._heading_fix.items():
                rows[row] += [""] * (max(cells) + 1 - len(rows[row]))
                for column, text in cells.items():
                    rows[row][column] = text
        return Table.of(rows, self._mapping, tab=self.tab.title)

    def ready(self) -> Table:
        """The tab with all columns that results need; they are made where they are missing."""
        return self.ready_for(MADE)

    def ready_for(self, names: Sequence[str]) -> Table:
        """The tab with the columns *names*."""
        table = self.table()
        missing = [name for name in names if name not in table.columns.at]
        return self._make(table, missing) if missing else table

    def _make(self, table: Table, missing: Sequence[str]) -> Table:
        """*table* with new columns; whether they are where we think the next write's answer tells.

        So it is not read again.
        """
        made = self.tab.make_columns(table, missing, protect=self._protect, mapping=self._mapping)
        return self._table(list(table.patched({table.header_at: made}).rows))

    def settled(self) -> Table:
        """The tab with all that went astray before put back."""
        return self.settled_for(MADE)

    def settled_for(self, names: Sequence[str]) -> Table:
        """The same with no more columns than *names* made."""
        self._ids.finish()
        for _ in range(_GOES):
            table = self.ready_for(names)
            fix = self._fix(table)
            if not fix or self._put_allowed(table.patched(fix), fix):
                return table.patched(fix)
        raise SheetMoving(self._name)

    def glance(self) -> Table:
        """The tab as it is; only what is known to be astray makes this write."""
        self._ids.finish()
        return self.settled() if self._doubt.sent else self.table()

    def mend(self, table: Table, edits: Edits) -> None:
        """Make *edits*; what strays is put back with the next look."""
        for start in range(0, len(edits), MOST_ROWS):
            some = sorted(edits)[start : start + MOST_ROWS]
            if not self._put_allowed(table, {row: edits[row] for row in some}):
                return

    def flush(self, changes: Sequence[Change]) -> list[Written]:
        """Put at most MOST_ROWS changes into their rows."""
        self._ids.finish()
        blocked: dict[str, str] = {}
        for _ in range(_GOES):
            try:
                answers = self.tab.calls.patiently(partial(self._go, changes, blocked))
            except _Again:
                continue
            except _Protected as error:
                blocked |= error.blocked
                continue
            except _Refused as error:
                if len(changes) == 1:
                    return [_failed(changes[0].row_id, str(error.why))]
                half = len(changes) // 2
                return self.flush(changes[:half]) + self.flush(changes[half:])
            if answers is not None:
                return list(answers)
        raise SheetMoving(self._name)

    def place(self, table: Table, cells: Mapping[int, Cells]) -> int:
        """Put cells into rows that have no id of their own, where *table* found them.

        What strays is taken back and not tried again. Returns how many rows changed.
        """
        edits = self._edits(table, cells)
        if not edits:
            return 0
        if self._put_allowed(table, edits):
            return len(edits)
        self.settled()
        return 0

    def _claimed(self, claims: Doubt) -> Table:
        """The tab again; a heading that an id replaced is put back first."""
        mine, self._doubt = self._doubt, claims
        try:
            table = self.table()
            if self._heading_fix:
                self.tab.put(table, self._heading_fix)
                table = self.table()
        finally:
            self._doubt = mine
        return table

    def _go(self, changes: Sequence[Change], blocked: Mapping[str, str]) -> list[Written] | None:
        """One look and one write; None where the answer shows that rows had moved."""
        table = self.table()
        fix = self._fix(table)
        believed = table.patched(fix)
        open_ = [change for change in changes if change.row_id not in blocked]
        targets = Targets(open_)
        links = self._links(believed, targets)
        for row in believed.body():
            row_id = believed.row_id(row)
            if row_id in targets.found:
                link = links[row].link if row in links else believed.text(row, "tracking_url")
                targets.see(row_id, link.strip(), believed.text(row, "last_checked"), place=row)
        settled, at = targets.settle()
        answers = iter(settled)
        said = [
            _failed(change.row_id, blocked[change.row_id])
            if change.row_id in blocked
            else next(answers)
            for change in changes
        ]
        if at and table.missing:
            believed = self._make(believed, believed.missing)
        edits = self._edits(believed, at)
        for row, cells in fix.items():
            edits[row] = {**cells, **edits.get(row, {})}
        if not edits:
            self._doubt.clear()
            return said
        self.stats["flushes"] += 1
        try:
            return said if self._put(believed, edits) else None
        except SheetRefused as error:
            if error.status != 400:
                raise
            raise self._explained(error, believed, edits) from error

    def _put(self, believed: Table, edits: Edits) -> bool:
        """Send *edits*; whether the answer shows them where they should be."""
        self._doubt.add(believed, edits)
        try:
            echo = self.tab.put(believed, edits)
        except (SheetRefused, ColumnProtected):
            self._doubt.drop()
            raise
        astray = strays(believed, edits, echo)
        if not astray and header_holds(believed, echo.first, echo.header or []):
            self._doubt.clear()
            return True
        self._doubt.saw(astray, echo)
        self.stats["repairs"] += 1
        logger.info("rows of %s moved while they were written; putting it right", self._name)
        return False

    def _put_allowed(self, believed: Table, edits: Edits) -> bool:
        """The same without the rows that are protected."""
        try:
            return self._put(believed, edits)
        except SheetRefused as error:
            allowed = self.tab.allowed(edits) if error.status == 400 else edits
            if len(allowed) == len(edits):
                raise
        return not allowed or self._put(believed, allowed)

    def _fix(self, table: Table) -> Edits:
        fix = self._doubt.restore(table)
        for row, cells in self._heading_fix.items():
            fix[row] = {**fix.get(row, {}), **cells}
        self.stats["restored"] += sum(map(len, fix.values()))
        return fix

    def _links(self, table: Table, targets: Targets) -> dict[int, Found]:
        labels = [
            row
            for row in table.body()
            if shows_a_label(table.text(row, "tracking_url")) and table.row_id(row) in targets.found
        ]
        if not labels:
            return {}
        links = self.tab.links(table, labels)
        if links is None:
            raise _Again
        return links

    def _edits(self, table: Table, at: Mapping[int, Cells]) -> Edits:
        """Cells by column; what stands there already is left out."""
        columns = table.columns.at
        edits: Edits = {}
        for row, cells in at.items():
            texts = {
                columns[name]: text_of(cell) for name, cell in cells.items() if name in columns
            }
            if any(table.at(row, column) != text for column, text in texts.items()):
                texts[columns[CHECK_REF]] = table.row_id(row) or NO_ID
                edits[row] = texts
        return edits

    def _explained(self, error: SheetRefused, table: Table, edits: Edits) -> Exception:
        """Why Google refused a write: rows are protected, or rows are gone, or who knows."""
        if error.is_out_of_place:
            return _Again()
        about = self.tab.about()
        blocked = {
            table.row_id(row): f"{cell_name(row, column)} is protected; allow "
            f"{self.tab.calls.address or 'Linkrow'} to edit it"
            for row, cells in edits.items()
            for column in cells
            if about.forbids(row, column)
        }
        blocked.pop("", None)
        return _Protected(blocked) if blocked else _Refused(error)


class _Protected(Exception):
    def __init__(self, blocked: dict[str, str]) -> None:
        super().__init__()
        self.blocked = blocked


class _Refused(Exception):
    def __init__(self, why: SheetRefused) -> None:
        super().__init__()
        self.why = why


def _failed(row_id: str, detail: str) -> Written:
    return Written(row_id=row_id, writeback=Writeback.FAILED, detail=detail)
