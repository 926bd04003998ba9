"""Walk the links in hand: one thread feeds the resolver and keeps what comes out of it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from agent.course import Course
from agent.events import Events
from agent.findings import Finding
from agent.holdings import Holdings, key_of
from agent.keeping import Keeping
from agent.resolver import Resolved, Task
from wire.models import Lease, Report

logger = logging.getLogger(__name__)

_MANY: Final = 100
_GATHER_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 0.25


class Walker(Protocol):
    """What the agent needs of a resolver; all but ``wake`` are called by one thread."""

    def submit(self, task: Task) -> None:
        """Begin to walk."""

    def poll(self, timeout: float) -> list[Resolved]:
        """What has ended, after at most *timeout* seconds."""

    def cancel(self, key: str) -> None:
        """Forget a walk; an unknown *key* is none."""

    def wake(self) -> None:
        """Let ``poll`` return early. From any thread."""

    def close(self) -> None:
        """Let go of every connection."""


class Walking:
    """Links go in by ``take``; *on_kept* is called with each result once the spool has it."""

    def __init__(
        self,
        make_walker: Callable[[], Walker],
        *,
        holdings: Holdings,
        keeping: Keeping,
        events: Events,
        course: Course,
        on_kept: Callable[[Sequence[Finding]], None],
        tick_seconds: float,
    ) -> None:
        self._make_walker = make_walker
        self._holdings = holdings
        self._keeping = keeping
        self._events = events
        self._course = course
        self._on_kept = on_kept
        self._tick_seconds = tick_seconds
        self._lock = threading.Lock()
        self._to_walk: list[Lease] = []
        self._to_cancel: list[str] = []
        self._unspooled: list[Finding] = []
        self._gathered_since = 0.0
        self._next_look = 0.0
        self._walker: Walker | None = None
        self._is_over = threading.Event()

    def take(self, leases: Sequence[Lease], *, until: float) -> None:
        """Walk these, held until *until*. From any thread."""
        self._holdings.add(leases, until=until)
        with self._lock:
            self._to_walk.extend(leases)
        self._wake()

    def cancel(self, keys: Sequence[str]) -> None:
        """Drop these walks. From any thread."""
        with self._lock:
            self._to_cancel.extend(keys)
        self._wake()

    def stop(self) -> None:
        """End soon, whatever is under way. From any thread."""
        self._is_over.set()
        self._wake()

    def is_idle(self) -> bool:
        """Whether no link is walked and no result waits for the spool."""
        return not (self._holdings.walking or self._unspooled)

    def run(self) -> None:
        """Walk until stopped."""
        walker = self._make_walker()
        self._walker = walker
        try:
            while not self._is_over.is_set():
                with self._lock:
                    leases, self._to_walk = self._to_walk, []
                    canceled, self._to_cancel = self._to_cancel, []
                for key in canceled:
                    walker.cancel(key)
                for lease in leases:
                    walker.submit(_task_of(lease))
                wait = _GATHER_SECONDS if self._unspooled else self._tick_seconds
                self._resolved(walker.poll(min(wait, self._tick_seconds)))
                self._cancel_overdue(walker)
            self._keep()
        finally:
            self._walker = None
            walker.close()

    def _cancel_overdue(self, walker: Walker) -> None:
        now = self._course.clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        for key in self._holdings.drop_overdue(now):
            logger.warning("a lease ran out while its link was walked")
            walker.cancel(key)

    def _wake(self) -> None:
        walker = self._walker
        if walker is not None:
            walker.wake()

    def _resolved(self, ended: Sequence[Resolved]) -> None:
        told = []
        for each in ended:
            lease = self._holdings.walked(each.key)
            if lease is None:
                continue  # lost or canceled meanwhile
            report = Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=each.outcome)
            self._unspooled.append(Finding(lease=lease, report=report))
            told.append(
                {
                    "job_id": lease.job_id,
                    "row_id": lease.row_id,
                    "conclusion": each.outcome.conclusion,
                    "ms": each.ms,
                    "hops": len(each.outcome.hops),
                }
            )
        self._events.say_all("resolved", told)
        if self._is_time_to_keep():
            self._keep()

    def _is_time_to_keep(self) -> bool:
        """Whether fresh results waited for company long enough: a commit costs as much for one.

        Who is killed before walks a link twice, and nothing is lost: its lease is the relay's.
        """
        now = time.monotonic()
        if not self._unspooled or not self._holdings.walking:
            self._gathered_since = now
            return True
        if len(self._unspooled) >= _MANY or now - self._gathered_since >= _GATHER_SECONDS:
            self._gathered_since = now
            return True
        return False

    def _keep(self) -> None:
        """Put fresh results into the spool, and only then let them be reported."""
        findings = self._unspooled
        if not self._keeping.add(findings) or not findings:
            return
        self._unspooled = []
        self._on_kept(findings)
        self._course.moved()


def _task_of(lease: Lease) -> Task:
    return Task(
        key=key_of(lease.job_id, lease.lease_id),
        url=lease.tracking_url,
        expected_domain=lease.expected_domain,
        previous_final_url=lease.previous_final_url,
        profile=lease.profile,
    )
