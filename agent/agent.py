"""The agent at work: lease, resolve, keep, report, write back, confirm; and end without loss.

One thread waits for leases, one walks links, one renews what is held, one talks about results, and
each source has its writer. None of them waits for another but through a bounded number of links in
hand. Whatever ends the process, the spool and the relay together know the rest.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from agent.courier import Courier
from agent.errors import SpoolFull
from agent.events import Events
from agent.holdings import Holdings, key_of
from agent.resolver import Resolved, Task
from agent.spool import Accepted, Settled, Spool
from agent.writeback import Owed, Pace, SourceWriter
from connector.relay_client import (
    NotARelay,
    Patience,
    Refused,
    RelayClient,
    RelayError,
    Unreachable,
)
from connector.source import Source
from wire.models import MAX_REPORTS, Held, Lease, LeaseRequest, ReleaseRequest, RenewRequest, Report
from wire.models import Accepted as Answer
from wire.ready_for_ads import DEFAULT_MAX_AGE
from wire.vocab import JobKind, LeaseState, ReportState, Writeback

logger = logging.getLogger(__name__)

_OUTAGE: Final = Patience(first_pause=0.2, longest_pause=15.0)
_ONCE_PAUSE_SECONDS = 0.2
_RENEW_AT_ONCE = 4000
_RESUME_SECONDS = 5.0
_LATE_RETRY_SECONDS = 60.0
_DISK_PAUSE_SECONDS = 2.0


def suspend_aware() -> float:
    """Seconds that also pass while the machine sleeps, where the system offers such a clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What this agent serves, and how hard it works.

    *in_flight* links are walked at once and *ahead* more are in hand, so that walking never waits
    for a lease call. *unwritten* results may wait for their rows before no more work is taken. At
    the end, links in hand have *finish_seconds* to land before they are given back, and all of it
    is over after *drain_seconds*.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    sourceless: bool = True
    in_flight: int = 256
    ahead: int = 128
    unwritten: int = 100_000
    poll_seconds: int = 25
    finish_seconds: float = 5.0
    drain_seconds: float = 20.0
    tick_seconds: float = 0.5
    max_age: timedelta = DEFAULT_MAX_AGE
    pace: Pace = field(default_factory=Pace)


class Agent:
    """One process' work. ``run`` blocks; *stop* lets it end in good order.

    *clock* (seconds) must go on while the machine sleeps: deadlines of leases are kept by it.
    """

    def __init__(
        self,
        duty: Duty,
        *,
        relay: RelayClient,
        spool: Spool,
        walker: Callable[[], Walker],
        stop: threading.Event,
        events: Events | None = None,
        clock: Callable[[], float] = suspend_aware,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._duty = duty
        self._relay = relay
        self._spool = spool
        self._make_walker = walker
        self._stop = stop
        self._events = events or Events(None)
        self._clock = clock
        self._chance = chance

        self._holdings = Holdings()
        self._changed = threading.Condition()
        self._to_walk: list[Lease] = []
        self._to_cancel: list[str] = []
        self._unspooled: list[Report] = []
        self._owed: set[str] = set()
        self._retries: dict[str, float] = {}
        self._walker: Walker | None = None
        self._renew_seconds = 20.0
        self._lease_seconds = 60.0
        self._next_try = 0.0
        self._error: Exception | None = None
        self._has_met_relay = False
        self._is_disk_full = False
        self._is_idle = False
        self._stop_walking = threading.Event()
        self._finished = threading.Event()

        self._courier = Courier(
            relay,
            on_answer=self._answered,
            on_confirmed=self._confirmed,
            on_progress=self._now_quiet,
            is_fatal=self._is_fatal,
            on_crash=self._crash,
            chance=chance,
        )
        self._writers = {
            source_id: SourceWriter(
                source,
                on_settled=self._settled,
                is_quiet=self._is_quiet,
                on_crash=self._crash,
                pace=duty.pace,
                max_age=duty.max_age,
            )
            for source_id, source in duty.sources.items()
        }

    # ---- the course of a run

    def run(self, *, until_empty: bool = False) -> int:
        """Work until stopped or, with *until_empty*, until nothing is left.

        Returns how many results are still in the spool. Raises RelayError when the relay refuses us
        (or, at the very start, is none), SpoolError when the spool fails.
        """
        walk = threading.Thread(target=self._guard, args=(self._walk,), name="walker", daemon=True)
        renew = threading.Thread(
            target=self._guard, args=(self._renew,), name="renewer", daemon=True
        )
        lease = threading.Thread(
            target=self._guard,
            args=(lambda: self._lease(until_empty=until_empty),),
            name="lessee",
            daemon=True,
        )
        self._courier.start()
        for writer in self._writers.values():
            writer.start()
        renew.start()
        self._resume()
        if not self._stop.is_set():
            walk.start()
            lease.start()
        while not self._stop.wait(self._duty.tick_seconds):
            pass  # in short steps, so that Ctrl-C gets through on Windows too
        self._drain(walk)
        for thread in (walk, renew):
            if thread.ident is not None:
                thread.join(5)
        if self._error is not None:
            raise self._error
        return len(self._spool)

    def _resume(self) -> None:
        """First what an earlier process left: report it, write it; then give back what it held."""
        contents = self._spool.contents()
        if contents.resolved or contents.accepted or contents.settled:
            logger.info(
                "resuming: %d results to report, %d rows to write, %d to confirm",
                len(contents.resolved),
                len(contents.accepted),
                len(contents.settled),
            )
        self._courier.confirm(contents.settled)
        self._write(contents.accepted)
        self._courier.report(contents.resolved)
        self._wait_until(lambda: not self._courier.reports_left())
        # Giving back also lets others write what we owe; a moment spares them that work. A file
        # that is locked for longer must not keep us from working.
        self._wait_until(
            lambda: self._stop.is_set() or not (self._to_write() or len(self._courier)),
            until=self._clock() + _RESUME_SECONDS,
        )
        ask = ReleaseRequest(
            all=True, sources=list(self._duty.sources), sourceless=self._duty.sourceless
        )
        self._insist(lambda: self._relay.release(ask))

    def _drain(self, walk: threading.Thread) -> None:
        """Finish what is in hand while there is time, give back the rest, write and confirm."""
        began = self._clock()
        until = began + (self._duty.drain_seconds if self._error is None else 2.0)
        for writer in self._writers.values():
            writer.hurry()
        if walk.ident is not None:
            self._wait_until(
                lambda: not self._holdings.walking,
                until=min(until, began + self._duty.finish_seconds),
            )
            self._stop_walking.set()
            self._wake_walker()
            walk.join(5)
        self._wait_until(lambda: not self._courier.reports_left(), until=until)
        self._release(self._holdings.drop_walking())
        self._wait_until(lambda: not self._to_write(), until=until)
        self._wait_until(lambda: not len(self._courier), until=until)
        self._finished.set()
        with self._changed:
            self._changed.notify_all()
        for writer in self._writers.values():
            writer.stop()
        self._courier.stop()
        for thread in (*self._writers.values(), self._courier):
            thread.join(5)

    def _wait_until(self, is_so: Callable[[], bool], *, until: float | None = None) -> None:
        """Wait: until that time, or as long as nobody stops us."""
        while not is_so():
            if self._stop.is_set() if until is None else self._clock() >= until:
                return
            with self._changed:
                # A word may come between the look and the wait; then this is how late we are.
                self._changed.wait(0.05)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised by run()
            self._crash(error)

    def _crash(self, error: Exception) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()
        self._stop.set()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # ---- the relay, and what it means when it does not do as asked

    def _is_fatal(self, error: RelayError) -> bool:
        """Whether going on makes no sense: a refused key always, anything lasting at the start.

        Later a laptop may meet a hotel's login page or wake with a wrong clock: that passes.
        """
        if isinstance(error, Refused) and error.status in (401, 403):
            return error.code != "stale_timestamp" or not self._has_met_relay
        if isinstance(error, NotARelay | Unreachable):
            return error.permanent and not self._has_met_relay
        return False

    def _insist(self, call: Callable[[], object]) -> None:
        """Make one call, however long the relay is away. Raises RelayError when that is no use."""
        failures = 0
        while not self._stop.is_set():
            try:
                call()
            except RelayError as error:
                failures += 1
                if self._is_fatal(error) or (error.permanent and isinstance(error, Refused)):
                    self._crash(error)
                    return
                self._stop.wait(self._outage(error, failures))
            else:
                self._has_met_relay = True
                return

    def _outage(self, error: RelayError, failures: int) -> float:
        """Say once that the relay is away, and how long to wait now."""
        if failures == 1:
            logger.warning("%s; trying again until it answers", error)
        retry_after = error.retry_after if isinstance(error, Refused) else None
        return _OUTAGE.pause(min(failures, 20), retry_after=retry_after, chance=self._chance())

    def _release(self, held: Sequence[Held]) -> None:
        """Give leases back; where that fails they run out by themselves."""
        if not held:
            return
        try:
            for start in range(0, len(held), _RENEW_AT_ONCE):
                some = list(held[start : start + _RENEW_AT_ONCE])
                self._relay.release(ReleaseRequest(leases=some))
        except RelayError as error:
            logger.warning("%d links could not be given back: %s", len(held), error)

    # ---- leasing

    def _lease(self, *, until_empty: bool) -> None:
        failures = 0
        while self._await_room():
            wait = 0 if until_empty else self._duty.poll_seconds
            ask = LeaseRequest(
                max=min(self._room(), MAX_REPORTS),
                wait_seconds=wait,
                sources=list(self._duty.sources),
                sourceless=self._duty.sourceless,
            )
            asked = self._clock()
            try:
                answer = self._relay.lease(ask)
            except RelayError as error:
                if self._is_fatal(error) or (isinstance(error, Refused) and error.permanent):
                    raise
                failures += 1
                self._stop.wait(self._outage(error, failures))
                continue
            if failures:
                logger.info("the relay answers again")
            failures = 0
            self._has_met_relay = True
            self._renew_seconds = float(max(answer.renew_seconds, 1))
            self._lease_seconds = float(answer.lease_seconds)
            taken = self._take(answer.leases, until=asked + answer.lease_seconds)
            if taken:
                self._is_idle = False
            elif self._is_quiet() and not answer.leases:
                self._say_idle()
                if until_empty and not self._expects_more():
                    self._stop.set()
                    return
            if not taken and self._clock() - asked < wait / 2:
                # Nothing for us although we offered to wait: do not turn that into a hot loop.
                self._stop.wait(0.2 + 0.8 * self._chance())
            elif not taken and until_empty:
                self._stop.wait(_ONCE_PAUSE_SECONDS)

    def _say_idle(self) -> None:
        if not self._is_idle:
            self._is_idle = True
            self._events.say("idle")

    def _await_room(self) -> bool:
        """Wait until there is room for more; False when stopping."""
        while not self._stop.is_set():
            if self._room() > 0:
                return True
            with self._changed:
                self._changed.wait(self._duty.tick_seconds)
        return False

    def _room(self) -> int:
        """How many more links may be in hand. None while the disk or a locked file says wait.

        Half a share is waited for, so that leases come in batches and not one by one.
        """
        duty = self._duty
        unwritten = self._to_write()
        waiting = self._courier.reports_left()
        if self._is_disk_full or unwritten > duty.unwritten or waiting > duty.unwritten:
            return 0
        walking = self._holdings.walking
        room = duty.in_flight + duty.ahead - walking
        return room if room >= duty.ahead // 2 or not walking else 0

    def _expects_more(self) -> bool:
        """Whether links that failed here will come again soon, or something came just now."""
        now = self._clock()
        self._retries = {
            job_id: since
            for job_id, since in self._retries.items()
            if now - since < _LATE_RETRY_SECONDS
        }
        return bool(self._retries) or not self._is_quiet()

    def _take(self, leases: Sequence[Lease], *, until: float) -> int:
        """Sort fresh leases: links are walked, known results written, the rest is given back."""
        links: list[Lease] = []
        results: list[Accepted] = []
        refused: list[Held] = []
        for lease in leases:
            # No lease is renewed when it comes too late or when we are about to end.
            is_for_us = lease.source_id is None or lease.source_id in self._writers
            is_late = self._stop.is_set() or until <= self._clock()
            if is_for_us and not is_late and lease.kind is JobKind.LINK:
                links.append(lease)
            elif is_for_us and lease.kind is JobKind.WRITEBACK and lease.result is not None:
                results.append(Accepted(lease_id=lease.lease_id, job=lease.result))
            else:
                refused.append(Held(job_id=lease.job_id, lease_id=lease.lease_id))
        for lease in links:
            self._retries.pop(lease.job_id, None)
        if links:
            logger.info("took %d links", len(links))
        self._holdings.add(links, until=until)
        with self._changed:
            self._to_walk.extend(links)
        self._wake_walker()
        if results:
            self._keep_accepted(results)
            self._write(results)
        self._release(refused)
        return len(links) + len(results)

    # ---- walking

    def _walk(self) -> None:
        walker = self._make_walker()
        self._walker = walker
        try:
            while not self._stop_walking.is_set():
                with self._changed:
                    leases, self._to_walk = self._to_walk, []
                    canceled, self._to_cancel = self._to_cancel, []
                for key in canceled:
                    walker.cancel(key)
                for lease in leases:
                    walker.submit(_task_of(lease))
                self._resolved(walker.poll(self._duty.tick_seconds))
                for key in self._holdings.drop_overdue(self._clock()):
                    logger.warning("a lease ran out while its link was walked")
                    walker.cancel(key)
        finally:
            self._walker = None
            walker.close()

    def _wake_walker(self) -> None:
        walker = self._walker
        if walker is not None:
            walker.wake()

    def _resolved(self, ended: Sequence[Resolved]) -> None:
        for each in ended:
            lease = self._holdings.walked(each.key)
            if lease is None:
                continue  # lost or canceled meanwhile
            self._unspooled.append(
                Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=each.outcome)
            )
            self._events.say(
                "resolved",
                job_id=lease.job_id,
                row_id=lease.row_id,
                conclusion=each.outcome.conclusion,
                ms=each.ms,
                hops=len(each.outcome.hops),
            )
        self._keep()

    def _keep(self) -> None:
        """Put fresh results into the spool, and only then let them be reported."""
        reports = self._unspooled
        if self._is_disk_full:
            if self._clock() < self._next_try:
                return
        elif not reports:
            return
        try:
            if self._is_disk_full:
                self._spool.probe()
            self._spool.add(reports)
        except SpoolFull as error:
            self._disk_is_full(error)
            return
        if self._is_disk_full:
            self._is_disk_full = False
            logger.warning("there is room on the disk again")
        self._unspooled = []
        self._courier.report(reports)
        self._notify()

    def _disk_is_full(self, error: SpoolFull) -> None:
        """Take no more work. What is resolved stays in memory, its leases are renewed."""
        if not self._is_disk_full:
            self._is_disk_full = True
            logger.error("%s; no more work is taken until then", error)
            self._events.say("disk_full", detail=str(error))
        self._next_try = self._clock() + _DISK_PAUSE_SECONDS

    # ---- renewing

    def _renew(self) -> None:
        failures = 0
        renewed = self._clock()
        while not self._finished.is_set():
            pause = self._renew_seconds * (1.0 - 0.1 * self._chance())
            if failures:
                pause = min(pause, _OUTAGE.pause(failures, retry_after=None, chance=self._chance()))
            left = renewed + pause - self._clock()
            if left > 0:
                # In short steps: this clock may run on while the machine sleeps.
                self._finished.wait(min(left, self._duty.tick_seconds))
                continue
            renewed = self._clock()
            try:
                self._renew_all()
            except RelayError as error:
                if self._is_fatal(error):
                    raise
                failures += 1
                if failures == 1:
                    logger.warning("leases could not be renewed: %s", error)
            else:
                failures = 0

    def _renew_all(self) -> None:
        held = self._holdings.all()
        with self._changed:
            owed = list(self._owed)
        for start in range(0, max(len(held), len(owed)), _RENEW_AT_ONCE):
            ask = RenewRequest(
                leases=held[start : start + _RENEW_AT_ONCE],
                writebacks=owed[start : start + _RENEW_AT_ONCE],
            )
            asked = self._clock()
            answer = self._relay.renew(ask)
            until = asked + self._lease_seconds
            gone: list[str] = []
            for each in answer.leases:
                key = key_of(each.job_id, each.lease_id)
                if each.state is LeaseState.RENEWED:
                    self._holdings.extend(key, until=until)
                elif self._holdings.drop(key):
                    gone.append(key)
            if gone:
                logger.info("%d links are no longer ours", len(gone))
                with self._changed:
                    self._to_cancel.extend(gone)
                self._wake_walker()

    # ---- reporting

    def _answered(self, pairs: Sequence[tuple[Report, Answer | None]]) -> None:
        self._has_met_relay = True
        to_write: list[Accepted] = []
        over: list[tuple[str, str]] = []
        for report, answer in pairs:
            self._holdings.drop(key_of(report.job_id, report.lease_id))
            job = answer.job if answer else None
            if answer and answer.state is ReportState.RETRY:
                self._retries[report.job_id] = self._clock()
            if (
                answer
                and answer.state in (ReportState.ACCEPTED, ReportState.DUPLICATE)
                and job is not None
                and job.writeback is Writeback.PENDING
                and job.source_id in self._writers
            ):
                to_write.append(Accepted(lease_id=report.lease_id, job=job))
            else:
                over.append((report.job_id, report.lease_id))
        self._keep_accepted(to_write)
        self._forget(over)
        self._write(to_write)

    def _keep_accepted(self, accepted: Sequence[Accepted]) -> None:
        """Note in the spool that rows are owed. A full disk is survived: the relay knows it too."""
        try:
            self._spool.accept(accepted)
        except SpoolFull as error:
            self._disk_is_full(error)

    def _forget(self, keys: Sequence[tuple[str, str]]) -> None:
        try:
            self._spool.forget(keys)
        except SpoolFull as error:
            self._disk_is_full(error)

    # ---- writing

    def _write(self, accepted: Sequence[Accepted]) -> None:
        by_source: dict[str, list[Accepted]] = {}
        with self._changed:
            for each in accepted:
                if each.job.source_id in self._writers:
                    self._owed.add(each.job.job_id)
                    by_source.setdefault(each.job.source_id, []).append(each)
        for source_id, some in by_source.items():
            self._writers[source_id].put(some)

    def _settled(self, settled: Sequence[Settled], owed: Sequence[Owed]) -> None:
        try:
            self._spool.settle(settled)
        except SpoolFull as error:
            self._disk_is_full(error)
        for said, of in zip(settled, owed, strict=True):
            self._events.say(
                "written",
                job_id=said.report.job_id,
                row_id=of.change.row_id,
                writeback=said.report.writeback,
                detail=said.report.detail,
            )
        self._courier.confirm(settled)
        self._notify()

    def _confirmed(self, settled: Sequence[Settled]) -> None:
        self._has_met_relay = True
        self._forget([(each.report.job_id, each.lease_id) for each in settled])
        with self._changed:
            for each in settled:
                self._owed.discard(each.report.job_id)
            self._changed.notify_all()

    def _to_write(self) -> int:
        """How many results wait for their rows."""
        return sum(map(len, self._writers.values()))

    def _is_quiet(self) -> bool:
        """Whether nothing is on its way to a writer."""
        return not (self._holdings.walking or self._unspooled or self._courier.reports_left())

    def _now_quiet(self) -> None:
        for writer in self._writers.values():
            writer.nudge()
        self._notify()


def _task_of(lease: Lease) -> Task:
    return Task(
        key=key_of(lease.job_id, lease.lease_id),
        url=lease.tracking_url,
        expected_domain=lease.expected_domain,
        previous_final_url=lease.previous_final_url,
        profile=lease.profile,
    )
