"""Bring results into their rows: a writer for each source, and what the relay waits to hear of."""

import threading
from collections.abc import Callable, Sequence

from agent.course import Course
from agent.duty import Duty
from agent.events import Events
from agent.findings import Accepted
from agent.keeping import Keeping
from agent.spool import Settled
from agent.writeback import Owed, SourceWriter
from connector.errors import DiskFull


class Writing:
    """*on_settled* hears what became of rows, once the spool knows it.

    *is_quiet* says whether nothing else is on its way, so that waiting for more would be in vain.
    """

    def __init__(
        self,
        duty: Duty,
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
        self._lock = threading.Lock()
        self._owed: set[str] = set()
        self._writers = {
            source_id: SourceWriter(
                source,
                on_settled=self._settled,
                is_quiet=is_quiet,
                on_crash=course.crash,
                on_trouble=self._in_trouble,
                pace=duty.pace,
                max_age=duty.max_age,
            )
            for source_id, source in duty.sources.items()
        }

    def start(self) -> None:
        """Begin to write what comes."""
        for writer in self._writers.values():
            writer.start()

    def hurry(self) -> None:
        """Write what waits without regard to the pace from now on."""
        for writer in self._writers.values():
            writer.hurry()

    def nudge(self) -> None:
        """It may have become quiet."""
        for writer in self._writers.values():
            writer.nudge()

    def stop(self) -> None:
        """End after the rewrites under way."""
        for writer in self._writers.values():
            writer.stop()

    def join(self, seconds: float) -> None:
        """Wait for the writers to end, so long for each."""
        for writer in self._writers.values():
            writer.join(seconds)

    def serves(self, source_id: str | None) -> bool:
        """Whether rows of this source are ours to write."""
        return source_id in self._writers

    def put(self, accepted: Sequence[Accepted]) -> None:
        """Have these written; rows of other agents' sources are left to them."""
        by_source: dict[str, list[Accepted]] = {}
        with self._lock:
            for each in accepted:
                source_id = each.job.source_id
                if source_id is not None and source_id in self._writers:
                    self._owed.add(each.job.job_id)
                    by_source.setdefault(source_id, []).append(each)
        for source_id, some in by_source.items():
            self._writers[source_id].put(some)

    def confirmed(self, settled: Sequence[Settled]) -> None:
        """The relay has heard of these: nothing of them is left to do."""
        self._keeping.forget([(each.report.job_id, each.lease_id) for each in settled])
        with self._lock:
            for each in settled:
                self._owed.discard(each.report.job_id)
        self._course.moved()

    def owed(self) -> list[str]:
        """The jobs whose rows the relay waits to hear of."""
        with self._lock:
            return list(self._owed)

    def __len__(self) -> int:
        """How many results wait for their rows."""
        return sum(map(len, self._writers.values()))

    def _in_trouble(self, error: Exception) -> None:
        if isinstance(error, DiskFull):
            self._events.say("disk_full", detail=str(error))

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
