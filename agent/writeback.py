"""Bring accepted results into the rows of one source, many at a time, until each has its word.

A file is rewritten as a whole, so the writer waits until a rewrite is worth it (``Pace``), and
while the file is locked or being edited it tries again, less and less often. Other sources and
the rest of the agent never wait for it. A result that waits takes about a kilobyte: its evidence
is in the spool and at the relay, here is only what goes into its row.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from agent.findings import Accepted
from agent.spool import Settled
from connector.errors import ConnectorError, DiskFull
from connector.results import as_of, change_for
from connector.source import Change, Source, Written
from wire.models import WritebackReport
from wire.ready_for_ads import DEFAULT_MAX_AGE
from wire.vocab import Writeback

logger = logging.getLogger(__name__)

_LONGEST_DETAIL = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When a rewrite is worth it.

    Otherwise than at the end, *share* times as long after the last rewrite as that one took, so
    that rewriting a huge file never takes more than a fixed share of the time; sooner when
    *longest* seconds are over or *many* results wait, which bounds how old and how big the heap
    becomes. When nothing else is on its way waiting brings no company, but more may come any
    moment (a full queue is filled again): then half of the time is the rewriter's at most, and a
    rewrite that costs calls comes no more often than every *quiet_shortest* seconds.

    *first_pause* to *longest_pause* lie between failed tries. What cannot be helped by waiting
    (the file is gone) is given up after *hopeless_seconds*: an editor that saves may remove the
    file for a moment; what a person can mend (a sheet is not shared any more) after the time that
    the error itself asks for.
    """

    many: int = 50_000
    share: float = 5.0
    quiet_share: float = 1.0
    quiet_shortest: float = 0.0
    shortest: float = 0.25
    longest: float = 120.0
    first_pause: float = 0.2
    longest_pause: float = 5.0
    hopeless_seconds: float = 10.0

    def wait(self, waiting: int, *, since_last: float, last_took: float, is_quiet: bool) -> float:
        """Seconds until the *waiting* results should be written; 0 is now."""
        if waiting >= self.many:
            return 0.0
        if is_quiet:
            # A file rewritten within the shortest pause is not worth a wait.
            took = self.quiet_share * last_took if last_took > self.shortest else 0.0
            rest = max(self.quiet_shortest, took)
        else:
            rest = max(self.shortest, self.share * last_took)
        return max(0.0, min(rest, self.longest) - since_last)

    def pause(self, failures: int) -> float:
        """Seconds to wait after the *failures*-th failed try in a row."""
        return min(self.first_pause * 2.0 ** min(failures - 1, 20), self.longest_pause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A result that waits for its row: of which delivery of which job it is, and what it says."""

    job_id: str
    lease_id: str
    found_at: datetime
    change: Change

    @classmethod
    def of(cls, accepted: Accepted, *, now: datetime, max_age: timedelta) -> Self:
        """What of *accepted* is needed here."""
        job = accepted.job
        return cls(
            job_id=job.job_id,
            lease_id=accepted.lease_id,
            found_at=job.checked_at or job.created_at,
            change=change_for(job, now=now, max_age=max_age),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one rewrite puts down: at most one change per row, and whom each stands for."""

    changes: tuple[Change, ...]
    stands_for: tuple[tuple[Owed, ...], ...]


def batch_of(owed: Iterable[Owed], *, now: datetime, max_age: timedelta = DEFAULT_MAX_AGE) -> Batch:
    """One change per row: of two results for the same row and link the newer one stands.

    The older one is answered with the newer one's word: a newer answer is what belongs there.
    """
    rows: dict[tuple[str, str], list[Owed]] = {}
    for each in owed:
        rows.setdefault((each.change.row_id, each.change.tracking_url), []).append(each)
    changes = []
    for several in rows.values():
        if len(several) > 1:
            several.sort(key=lambda each: each.found_at)
        changes.append(as_of(several[-1].change, now=now, max_age=max_age))
    return Batch(
        changes=tuple(changes), stands_for=tuple(tuple(several) for several in rows.values())
    )


class SourceWriter(threading.Thread):
    """The one writer of one source: a thread that takes results and says what became of them.

    *on_settled* is called with every word on a row, from this thread. *is_quiet* says whether
    nothing else is on its way, so that waiting for more would be in vain. *on_trouble* is called
    once for each kind of trouble until a rewrite works again.
    """

    def __init__(
        self,
        source: Source,
        *,
        on_settled: Callable[[Sequence[Settled], Sequence[Owed]], None],
        is_quiet: Callable[[], bool],
        on_crash: Callable[[Exception], None],
        on_trouble: Callable[[Exception], None] = lambda error: None,
        pace: Pace = Pace(),
        max_age: timedelta = DEFAULT_MAX_AGE,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(name=f"writer {source.source_id}", daemon=True)
        self._source = source
        self._on_settled = on_settled
        self._is_quiet = is_quiet
        self._on_crash = on_crash
        self._on_trouble = on_trouble
        self._pace = pace
        self._max_age = max_age
        self._clock = clock
        self._wall = wall
        self._changed = threading.Condition()
        self._waiting: list[Owed] = []
        self._writing = 0
        self._is_hurrying = False
        self._is_stopping = False
        self._failures = 0
        self._failing_since = 0.0
        self._last_end = clock()
        self._last_took = 0.0
        self._told: type[Exception] | None = None
        self.trouble = ""

    def put(self, accepted: Sequence[Accepted]) -> None:
        """Have these written when it is worth it."""
        now = self._wall()
        owed = [Owed.of(each, now=now, max_age=self._max_age) for each in accepted]
        with self._changed:
            self._waiting.extend(owed)
            self._changed.notify_all()

    def nudge(self) -> None:
        """Something else ended: it may have become quiet."""
        with self._changed:
            self._changed.notify_all()

    def hurry(self) -> None:
        """Write what waits without regard to the pace from now on: the agent is ending."""
        with self._changed:
            self._is_hurrying = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End after the rewrite under way; what was not written stays in the spool."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting) + self._writing

    def run(self) -> None:
        """Write until stopped."""
        try:
            while (owed := self._next()) is not None:
                self._write(owed)
        except Exception as error:  # noqa: BLE001 - handed to the agent, which ends because of it
            self._on_crash(error)

    def _next(self) -> list[Owed] | None:
        """What to write now; None when stopped."""
        with self._changed:
            while not self._is_stopping:
                if not self._waiting:
                    self._changed.wait()
                    continue
                wait = self._wait_seconds()
                if wait <= 0:
                    taken = self._waiting[: self._pace.many]
                    del self._waiting[: self._pace.many]
                    self._writing = len(taken)
                    return taken
                self._changed.wait(wait)
            return None

    def _wait_seconds(self) -> float:
        since_last = self._clock() - self._last_end
        if self._failures:
            return self._pace.pause(self._failures) - since_last
        if self._is_hurrying:
            return 0.0
        return self._pace.wait(
            len(self._waiting),
            since_last=since_last,
            last_took=self._last_took,
            is_quiet=self._is_quiet(),
        )

    def _write(self, owed: list[Owed]) -> None:
        batch = batch_of(owed, now=self._wall(), max_age=self._max_age)
        began = self._clock()
        try:
            written = self._source.write(batch.changes)
        except (ConnectorError, OSError) as error:
            self._failed(owed, error)
            return
        if self._failures:
            logger.info("%s can be written again", self._source.name)
        self._failures = 0
        self.trouble = ""
        self._told = None
        self._last_took = self._clock() - began
        self._settle(batch, written)

    def _settle(self, batch: Batch, written: Sequence[Written]) -> None:
        settled = [
            _settled(each, word)
            for several, word in zip(batch.stands_for, written, strict=True)
            for each in several
        ]
        self._on_settled(settled, [each for several in batch.stands_for for each in several])
        self._rest(keep=())

    def _failed(self, owed: list[Owed], error: Exception) -> None:
        now = self._clock()
        if not self._failures:
            self._failing_since = now
        if type(error) is not self._told:
            self._told = type(error)
            # Only people can make room: they are told even where all else is kept quiet.
            level = logging.ERROR if isinstance(error, DiskFull) else logging.WARNING
            logger.log(level, "%s cannot be written now: %s", self._source.name, error)
            self._on_trouble(error)
        self._failures += 1
        self.trouble = str(error)
        is_hopeless = getattr(error, "permanent", False)
        patience = max(self._pace.hopeless_seconds, getattr(error, "mend_seconds", 0.0))
        if not is_hopeless or now - self._failing_since < patience:
            self._rest(keep=owed)
            return
        why = Written(row_id="", writeback=Writeback.FAILED, detail=str(error))
        self._on_settled([_settled(each, why) for each in owed], owed)
        self._rest(keep=())

    def _rest(self, *, keep: Sequence[Owed]) -> None:
        with self._changed:
            self._waiting[:0] = keep
            self._writing = 0
            self._last_end = self._clock()
            self._changed.notify_all()


def _settled(owed: Owed, written: Written) -> Settled:
    detail = "".join(letter if letter.isprintable() else " " for letter in written.detail)
    return Settled(
        lease_id=owed.lease_id,
        report=WritebackReport.model_validate(
            {
                "job_id": owed.job_id,
                "writeback": written.writeback,
                "detail": detail[:_LONGEST_DETAIL],
            }
        ),
    )
