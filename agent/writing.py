"""Bring results into their rows: a writer for each source, and what the relay waits to hear of."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from agent.course import Course
from agent.events import Events
from agent.findings import Accepted
from agent.keeping import Keeping
from agent.spool import Settled
from agent.writeback import Owed, Pace, SourceWriter
from connector.errors import DiskFull
from connector.source import Source


class Writing:
    """*on_settled* hears what became of rows, once the spool knows it.

    *is_quiet* says whether nothing else is on its way, so that waiting for more would be in vain.
    """

    def __init__(
        self,
        *,
        keeping: Keeping,
        events: Events,
        course: Course,
        is_quiet: Callable[[], bool],
        on_settled: Callable[[Sequence[Settled]], None],
    ) -> None:
        self._keeping = keeping
        self._events = events
        self._course = course
        self._on_settled = on_settled
        self._is_quiet = is_quiet
        self._lock = threading.Lock()
        self._owed: dict[str, str] = {}  # job id: its source
        self._writers: dict[str, SourceWriter] = {}
        self._is_hurrying = False

    def take_on(
        self,
        source: Source,
        *,
        pace: Pace,
        max_age: timedelta,
        on_trouble: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Write the rows of *source* from now on; *on_trouble* hears why they cannot be written."""

        def in_trouble(error: Exception) -> None:
            if isinstance(error, DiskFull):
                self._events.say("disk_full", detail=str(error))
            on_trouble(error)

        writer = SourceWriter(
            source,
            on_settled=self._settled,
            is_quiet=self._is_quiet,
            on_crash=self._course.crash,
            on_trouble=in_trouble,
            pace=pace,
            max_age=max_age,
        )
        with self._lock:
            self._writers[source.source_id] = writer
            if self._is_hurrying:
                writer.hurry()
        writer.start()

    def give_up(self, source_id: str) -> int:
        """End this source's writer after the rewrite under way; how many rows it leaves unwritten.

        They stay in the spool, and are no longer ours for the relay: it may have others write them.
        """
        with self._lock:
            writer = self._writers.pop(source_id, None)
        if writer is None:
            return 0
        writer.stop()
        writer.join()
        with self._lock:
            for job_id in [job_id for job_id, of in self._owed.items() if of == source_id]:
                del self._owed[job_id]
        self._course.moved()
        return len(writer)

    def hurry(self) -> None:
        """Write what waits without regard to the pace from now on."""
        with self._lock:
            self._is_hurrying = True
        for writer in self._all():
            writer.hurry()

    def nudge(self) -> None:
        """It may have become quiet."""
        for writer in self._all():
            writer.nudge()

    def stop(self) -> None:
        """End after the rewrites under way."""
        for writer in self._all():
            writer.stop()

    def join(self, seconds: float) -> None:
        """Wait for the writers to end, so long for each."""
        for writer in self._all():
            writer.join(seconds)

    def writes(self, source_id: str | None) -> bool:
        """Whether rows of this source are ours to write."""
        with self._lock:
            return source_id in self._writers

    def of(self, source_id: str) -> int:
        """How many rows of this source wait, to be written or for the relay to hear of it."""
        with self._lock:
            return sum(of == source_id for of in self._owed.values())

    def put(self, accepted: Sequence[Accepted]) -> None:
        """Have these written; rows of sources without a writer are left in the spool."""
        by_source: dict[str, list[Accepted]] = {}
        with self._lock:
            for each in accepted:
                source_id = each.job.source_id
                if source_id is not None and source_id in self._writers:
                    self._owed[each.job.job_id] = source_id
                    by_source.setdefault(source_id, []).append(each)
            # Under the lock: a writer that is given up meanwhile would leave them owed for ever.
            for source_id, some in by_source.items():
                self._writers[source_id].put(some)

    def put_kept(self, kept: Sequence[Accepted]) -> None:
        """Have these of the spool written as well, unless they are at hand already."""
        with self._lock:
            new = [each for each in kept if each.job.job_id not in self._owed]
        self.put(new)

    def confirmed(self, settled: Sequence[Settled]) -> None:
        """The relay has heard of these: nothing of them is left to do."""
        self._keeping.forget([(each.report.job_id, each.lease_id) for each in settled])
        with self._lock:
            for each in settled:
                self._owed.pop(each.report.job_id, None)
        self._course.moved()

    def owed(self) -> list[str]:
        """The jobs whose rows the relay waits to hear of."""
        with self._lock:
            return list(self._owed)

    def __len__(self) -> int:
        """How many results wait for their rows."""
        return sum(map(len, self._all()))

    def _all(self) -> list[SourceWriter]:
        with self._lock:
            return list(self._writers.values())

    def _settled(self, settled: Sequence[Settled], owed: Sequence[Owed]) -> None:
        self._keeping.settle(settled)
        self._events.say_all(
            "written",
            (
                {
                    "job_id": said.report.job_id,
                    "row_id": of.change.row_id,
                    "writeback": said.report.writeback,
                    "detail": said.report.detail,
                }
                for said, of in zip(settled, owed, strict=True)
            ),
        )
        self._on_settled(settled)
        self._course.moved()
