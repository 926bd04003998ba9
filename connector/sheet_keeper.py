"""One tab of a Google Sheet as a keeper of rows; how calls travel is none of its business."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from connector.errors import MissingColumn
from connector.locks import try_lock
from connector.memory import IdsOnly
from connector.registered import Mode
from connector.sheet_about import About, blame_merges, check_merges, check_protection
from connector.sheet_audit import Audit, audit
from connector.sheet_calls import Calls
from connector.sheet_errors import SheetLocked, SheetMoving
from connector.sheet_links import shows_a_label
from connector.sheet_plan import MOST_ROWS, flushes
from connector.sheet_results import LOOKED_UP, with_results
from connector.sheet_results_tab import ResultsTab
from connector.sheet_rows import row_of
from connector.sheet_survey import Survey, cost_of, obstacles_of
from connector.sheet_tab import SheetTab
from connector.sheet_table import MADE, Edits, Table
from connector.sheet_writing import SheetWriter
from connector.source import Cells, Change, Revision, Row, Written

_BATCH: Final = 1000
_GOES: Final = 4
_LOCK_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


class SheetKeeper:
    """``connector/source.py`` over *calls*, which is asked for once, before the first call.

    Thread-safe. Every method raises ConnectorError.
    """

    def __init__(
        self,
        calls: Callable[[], Calls],
        spreadsheet_id: str,
        gid: int,
        *,
        source_id: str,
        home: Path,
        name: str = "",
        columns: Mapping[str, str] | None = None,
        mode: Mode = Mode.IN_PLACE,
        protect: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.spreadsheet_id = spreadsheet_id
        self.gid = gid
        self.mode = mode
        self._make_calls = calls
        self._source_id = source_id
        self._name = name or spreadsheet_id
        self._mapping = dict(columns or {})
        self._protect = protect
        self._lock_file = home / "sheets" / f"{spreadsheet_id}.{gid}.lock"
        self._clock = clock
        self._sleep = sleep
        self._wall = wall
        self._lock = threading.RLock()
        self._made: SheetWriter | None = None
        self._results: ResultsTab | None = None

    @property
    def source_id(self) -> str:
        """What the relay calls this source."""
        return self._source_id

    @property
    def name(self) -> str:
        """The sheet's title and the tab's, as they were when it was named."""
        return self._name

    @property
    def calls(self) -> Mapping[str, int]:
        """How many calls were made so far, by kind."""
        return self._made.tab.calls.counted() if self._made else {}

    @property
    def stats(self) -> Counter[str]:
        """How many flushes there were, and how many had to be repaired."""
        return self._made.stats if self._made else Counter()

    def check(self) -> None:
        """Return when the tab can be worked on; nothing is changed."""
        with self._lock:
            writer = self._writer()
            with self._merges(writer) as about:
                table = writer.table()
                check_merges(about, table)
                self._check_protection(writer, about, table)

    def survey(self) -> Survey:
        """What is found in the tab, and what a run will cost; nothing is changed."""
        with self._lock:
            writer = self._writer()
            with self._merges(writer) as about:
                table = writer.table()
                check_merges(about, table)
            found = self._look(writer, table)
            wrong = audit(found.table)[0]
            missing = tuple(found.table.missing)
            if self.mode is Mode.RESULTS_TAB:
                missing = tuple(each for each in missing if each in ("row_id", *LOOKED_UP))
            return Survey(
                spreadsheet=about.spreadsheet,
                tab=about.title,
                header_row=found.table.header_at + 1,
                columns=found.table.columns,
                missing=missing,
                rows=found.rows,
                labels=found.labels,
                formula_ids=found.formula_ids,
                formula_links=found.formula_links,
                misplaced=wrong.misplaced,
                obstacles=obstacles_of(
                    about,
                    found.table,
                    formula_ids=found.formula_ids,
                    formula_links=found.formula_links,
                    address=writer.tab.calls.address,
                ),
                cost=cost_of(
                    found.rows,
                    labels=found.labels,
                    missing=bool(missing),
                    results_tab=self.mode is Mode.RESULTS_TAB,
                ),
            )

    def read(self) -> Iterator[list[Row]]:
        """All rows in order, a thousand at a time; they are of one moment.

        What another process left in the wrong rows is put right first.
        """
        with self._writing() as writer:
            rows = self._look(writer, self._clean(writer)[1]).rows
            if self._results is not None:
                results = self._results.results()
                rows = [with_results(row, results) for row in rows]
        for start in range(0, len(rows), _BATCH):
            yield rows[start : start + _BATCH]

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into the row it belongs to, or say why not; in the order given."""
        answers: list[Written] = []
        if changes:
            with self._writing() as writer:
                if self._results is not None:
                    return self._results.write(changes)
                for some in flushes(changes):
                    answers += writer.flush(some)
        return answers

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row; ids are put down first, then what rows are told."""
        with self._writing() as writer:
            with self._merges(writer) as about:
                if self._results is not None:
                    self._results.ready()
                clean = self._clean(writer, ready=True)[1]
                check_merges(about, clean)
                self._check_protection(writer, about, clean)
            found = self._look(writer, clean)
            table, rows, places = found.table, found.rows, found.places
            if self._results is not None:
                results = self._results.results()
                rows = [with_results(row, results) for row in rows]
            revision = begin()
            for row in rows:
                revision.survey(row)
            ids: dict[int, str] = {}
            told: dict[int, tuple[Row, Cells]] = {}
            for row, place in zip(rows, places, strict=True):
                cells = dict(revision.decide(row) or {})
                row_id = str(cells.pop("row_id", ""))
                if row_id and not row.row_id:
                    ids[place] = row_id
                if cells:
                    told[place] = (row, cells)
            changed = set(ids)
            if ids:
                writer.give(table, ids)
            if self._results is not None:
                order = list(told)
                news = self._results.tell(
                    [
                        (ids.get(place, told[place][0].row_id), told[place][0].tracking_url, cells)
                        for place, (_, cells) in told.items()
                    ]
                )
                return len(changed | {order[number] for number in news})
            return self._tell(writer, table, told, ids, changed)

    def assign_ids(self) -> int:
        """Give every row with a link and no id one."""
        return self.revise(IdsOnly)

    def audit(self) -> Audit:
        """Put right what stands in a row that is not its own, and say what was done."""
        with self._writing() as writer, self._merges(writer):
            if self._results is not None:
                writer.tab.calls.patiently(self._results.tidy)
            return self._clean(writer)[0]

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            if self._made is not None:
                self._made.tab.calls.close()
                self._made = self._results = None

    def _tell(
        self,
        writer: SheetWriter,
        table: Table,
        told: Mapping[int, tuple[Row, Cells]],
        ids: Mapping[int, str],
        changed: set[int],
    ) -> int:
        """Rows with an id of their own are found by it; the others where they are, at once."""
        counts = Counter(table.row_id(place) for place in table.body())
        named: list[tuple[int, Change]] = []
        nameless: dict[int, tuple[Row, Cells]] = {}
        for place, (row, cells) in told.items():
            row_id = ids.get(place, row.row_id)
            columns = table.columns.at
            if all(
                name not in columns or table.text(place, name) == _text(cell)
                for name, cell in cells.items()
            ):
                continue
            if row_id and counts[row_id] <= 1:
                change = Change(row_id=row_id, tracking_url=row.tracking_url, cells=cells)
                named.append((place, change))
            else:
                nameless[place] = (row, cells)
        for start in range(0, len(named), MOST_ROWS):
            some = named[start : start + MOST_ROWS]
            for (place, _), word in zip(
                some, writer.flush([change for _, change in some]), strict=True
            ):
                if word.writeback == "written":
                    changed.add(place)
        if nameless:
            changed |= self._tell_nameless(writer, table, nameless)
        return len(changed)

    def _tell_nameless(
        self, writer: SheetWriter, then: Table, told: Mapping[int, tuple[Row, Cells]]
    ) -> set[int]:
        """Rows that share their id or have none are known by all that they say."""
        done: set[int] = set()
        places = sorted(told)
        for start in range(0, len(places), MOST_ROWS):
            some = places[start : start + MOST_ROWS]
            now = writer.settled()
            where: dict[tuple[str, ...], list[int]] = {}
            for row in now.body():
                where.setdefault(now.rest(row, frozenset(now.ours)), []).append(row)
            cells: dict[int, Cells] = {}
            for place in some:
                several = where.get(then.rest(place, frozenset(then.ours)))
                if several:
                    cells[several.pop(0)] = told[place][1]
                    done.add(place)
            writer.place(now, cells)
        return done

    def _look(self, writer: SheetWriter, table: Table) -> "_Look":
        """The rows and their places, links read where cells show labels; of one moment."""
        for _ in range(_GOES):
            places = list(table.body())
            formulas = writer.tab.formulas(table) if places else ([], [])
            labels = [place for place in places if shows_a_label(table.text(place, "tracking_url"))]
            links = writer.tab.links(table, labels) if labels else {}
            if formulas is not None and links is not None:
                made = frozenset(formulas[0])
                rows = [row_of(table, place, links=links, formula_ids=made) for place in places]
                return _Look(
                    table=table,
                    rows=rows,
                    places=places,
                    labels=len(labels),
                    formula_ids=len(formulas[0]),
                    formula_links=len(formulas[1]),
                )
            table = writer.glance()
        raise SheetMoving(self._name)

    def _clean(self, writer: SheetWriter, *, ready: bool = False) -> tuple[Audit, Table]:
        """The tab with every result in its own row, and what had to be done for it."""
        if self._results is not None:
            # No result stands beside a link: nothing can be beside a wrong one.
            table = writer.ready_for(("row_id",)) if ready else writer.table()
            return Audit(rows=sum(1 for _ in table.body())), table
        total: Audit | None = None
        before: Edits | None = None
        for _ in range(_GOES):
            table = writer.tab.calls.patiently(writer.settled if ready else writer.glance)
            found, edits = audit(table)
            if total is None or not found.is_clean:
                total = found
            if not edits or edits == before:
                return total, table  # what cannot be mended (protected rows) is told
            before = edits
            ready = True
            writer.tab.calls.patiently(partial(writer.mend, table, edits))
        raise SheetMoving(self._name)

    @contextmanager
    def _merges(self, writer: SheetWriter) -> Iterator[About]:
        """Look at what the tab is; a heading that a merge hides is called by that name."""
        about = writer.tab.about()
        self._name = f"{about.spreadsheet} / {about.title}" if about.spreadsheet else self._name
        try:
            yield about
        except MissingColumn as error:
            blame_merges(about)
            raise error from None

    def _check_protection(self, writer: SheetWriter, about: About, table: Table) -> None:
        names = ("row_id",) if self._results is not None else MADE
        columns = {table.columns.at[name] for name in names if name in table.columns.at}
        check_protection(about, table, columns, writer.tab.calls)

    def _writer(self) -> SheetWriter:
        if self._made is None:
            tab = SheetTab(self._make_calls(), self.gid)
            self._made = SheetWriter(tab, self._mapping, name=self._name, protect=self._protect)
            if self.mode is Mode.RESULTS_TAB:
                self._results = ResultsTab(self._made, self._mapping, wall=self._wall)
        return self._made

    @contextmanager
    def _writing(self) -> Iterator[SheetWriter]:
        """Be the one who works on the tab: of this process' threads and of this machine."""
        with self._lock:
            until = self._clock() + _LOCK_SECONDS
            while True:
                with try_lock(self._lock_file) as is_ours:
                    if is_ours:
                        yield self._writer()
                        return
                if self._clock() > until:
                    raise SheetLocked(self._name)
                self._sleep(_POLL_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """All rows as they stood in one moment, and where."""

    table: Table
    rows: list[Row]
    places: list[int]
    labels: int
    formula_ids: int
    formula_links: int


def _text(cell: object) -> str:
    return ("TRUE" if cell else "FALSE") if isinstance(cell, bool) else str(cell)
