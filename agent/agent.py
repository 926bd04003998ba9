"""The agent at work: lease, resolve, keep, report, write back, confirm; and end without loss.

One thread waits for leases, one walks links, one renews what is held, one talks about results,
each source has its writer, and each refresh under way reads its source in a thread of its own. None
of them waits for another but through a bounded number of links in hand. Whatever ends the process,
the spool and the relay together know the rest.

Here they are put together, started and ended; what each does stands in a file of its own:
``leasing``, ``walking``, ``refreshing``, ``renewing``, ``courier``, ``writing``.
"""

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from agent.clock import suspend_aware
from agent.contact import Contact
from agent.courier import Courier
from agent.course import Course
from agent.duty import Duty
from agent.events import Events
from agent.findings import Accepted, Finding, to_write
from agent.holdings import Holdings
from agent.keeping import Keeping
from agent.leasing import Leasing
from agent.refreshing import Refreshing
from agent.renewing import Renewing
from agent.serving import Serving
from agent.spool import Settled, Spool
from agent.walking import Walker, Walking
from agent.writing import Writing
from connector.registered import RegisteredSource
from connector.relay_client import RelayClient
from connector.relay_errors import RelayError
from connector.telling import introduction
from wire.models import Accepted as Answer
from wire.models import Lease, ReleaseRequest
from wire.vocab import ReportState

logger = logging.getLogger(__name__)

_RESUME_SECONDS: Final = 5.0
_REFRESH_SECONDS: Final = 2.0


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
        events = events or Events(None)
        self._duty = duty
        self._spool = spool
        self._course = Course(stop, clock)
        self._contact = Contact(relay, self._course, chance)
        self._keeping = Keeping(spool, events, clock)
        self._holdings = Holdings()
        self._courier = Courier(
            relay,
            on_answer=self._answered,
            on_confirmed=self._confirmed,
            on_progress=self._progressed,
            is_fatal=self._contact.is_fatal,
            on_crash=self._course.crash,
            chance=chance,
        )
        self._walking = Walking(
            walker,
            holdings=self._holdings,
            keeping=self._keeping,
            events=events,
            course=self._course,
            on_kept=self._courier.report,
            tick_seconds=duty.tick_seconds,
        )
        self._writing = Writing(
            keeping=self._keeping,
            events=events,
            course=self._course,
            is_quiet=self._is_still,
            on_settled=self._courier.confirm,
        )
        self._serving = Serving(
            duty,
            writing=self._writing,
            events=events,
            course=self._course,
            in_hand=self._in_hand,
            on_open=self._write_kept,
            on_leave=self._give_back_refreshes,
            introduce=self._introduce,
        )
        self._refreshing = Refreshing(
            self._contact,
            course=self._course,
            events=events,
            source_of=self._serving.readable,
            patience=duty.patience,
        )
        self._renewing = Renewing(
            self._contact,
            holdings=self._holdings,
            refreshes=self._refreshing,
            course=self._course,
            owed=self._writing.owed,
            on_gone=self._walking.cancel,
            chance=chance,
            tick_seconds=duty.tick_seconds,
        )
        self._leasing = Leasing(
            self._contact, self, duty=duty, events=events, course=self._course, chance=chance
        )

    # The course of a run.

    def run(self, *, until_empty: bool = False) -> int:
        """Work until stopped or, with *until_empty*, until nothing is left.

        Returns how many results are still in the spool. Raises RelayError when the relay refuses us
        (or, at the very start, is none), SpoolError when the spool fails.
        """
        course = self._course
        walk = course.thread("walker", self._walking.run)
        renew = course.thread("renewer", self._renewing.run)
        lease = course.thread("lessee", lambda: self._leasing.run(until_empty=until_empty))
        serve = course.thread("servant", self._serving.run)
        self._courier.start()
        self._serving.begin()
        serve.start()
        renew.start()
        self._resume()
        if not course.stop.is_set():
            walk.start()
            lease.start()
        while not course.stop.wait(self._duty.tick_seconds):
            pass  # in short steps, so that Ctrl-C gets through on Windows too
        self._serving.stop()
        self._drain(walk)
        for thread in (walk, renew, serve):
            if thread.ident is not None:
                thread.join(5)
        self._serving.close()
        if course.error is not None:
            raise course.error
        return len(self._spool)

    def _resume(self) -> None:
        """First what an earlier process left: report it, write it; then give back what it held."""
        reports = rows = words = 0
        orphans: Counter[str] = Counter()
        for part in self._spool.parts():
            self._courier.confirm(part.settled)
            self._writing.put_kept(part.accepted)
            orphans.update(self._orphans(part.accepted))
            self._courier.report(part.resolved)
            reports += len(part.resolved)
            rows += len(part.accepted)
            words += len(part.settled)
        if reports or rows or words:
            logger.info(
                "resumed: %d results to report, %d rows to write, %d to confirm",
                reports,
                rows,
                words,
            )
        for source_id, count in orphans.items():
            logger.warning(
                "%d results of %s are kept: that source is not registered here any more, and they "
                "are written once it is added again",
                count,
                source_id,
            )
        course = self._course
        course.wait_until(lambda: not self._courier.reports_left())
        # Giving back also lets others write what we owe; a moment spares them that work. A file
        # that is locked for longer must not keep us from working.
        course.wait_until(
            lambda: course.stop.is_set() or not (len(self._writing) or len(self._courier)),
            until=course.clock() + _RESUME_SECONDS,
        )
        ask = ReleaseRequest(
            all=True, sources=self._serving.all_ids(), sourceless=self._duty.sourceless
        )
        self._contact.insist(lambda: self._contact.relay.release(ask))

    def _drain(self, walk: threading.Thread) -> None:
        """Finish what is in hand while there is time, give back the rest, write and confirm."""
        course, courier, writing = self._course, self._courier, self._writing
        began = course.clock()
        seconds = self._duty.drain_seconds + self._serving.drain_seconds()
        until = began + (seconds if course.error is None else 2.0)
        writing.hurry()
        self._contact.release(self._refreshing.stop(_REFRESH_SECONDS))
        if walk.ident is not None:
            course.wait_until(
                lambda: not self._holdings.walking,
                until=min(until, began + self._duty.finish_seconds),
            )
            self._walking.stop()
            walk.join(5)
        course.wait_until(lambda: not courier.reports_left(), until=until)
        self._contact.release(self._holdings.drop_walking())
        course.wait_until(lambda: not len(writing), until=until)
        course.wait_until(lambda: not len(courier), until=until)
        self._renewing.stop()
        course.moved()
        writing.stop()
        courier.stop()
        writing.join(5)
        courier.join(5)

    # What is in hand, for whoever takes more (``leasing.Work``).

    def room(self) -> int:
        """How many more links may be in hand. None while the disk, the relay or a file says wait.

        Half a share is waited for, so that leases come in batches and not one by one.
        """
        duty = self._duty
        if self._keeping.is_disk_full:
            return 0
        if self._courier.reports_left() > duty.unreported or len(self._writing) > duty.unwritten:
            return 0
        walking = self._holdings.walking
        room = duty.in_flight + duty.ahead - walking
        return room if room >= duty.ahead // 2 or not walking else 0

    def is_quiet(self) -> bool:
        """Whether nothing is on its way to a row or from one, and every source was looked at."""
        return self._is_still() and not len(self._refreshing) and self._serving.is_settled

    def _is_still(self) -> bool:
        return self._walking.is_idle() and not self._courier.reports_left()

    def _in_hand(self, source_id: str) -> int:
        return self._holdings.of(source_id) + self._refreshing.of(source_id)

    def _introduce(self, entry: RegisteredSource) -> None:
        """Let the relay know what people call a source; announcing it says no more than its id."""
        try:
            self._contact.relay.make_source(introduction(entry))
        except RelayError as error:
            logger.debug("the relay was not told of %s: %s", entry.name, error)

    def _give_back_refreshes(self, source_id: str) -> None:
        """This source is served no more; whoever noticed has no time to wait for the relay."""
        if self._refreshing.of(source_id):
            self._course.thread(
                f"leaving {source_id}",
                lambda: self._contact.release(self._refreshing.leave(source_id)),
            ).start()

    def sources(self) -> list[str]:
        """The sources whose work is to be taken now."""
        return self._serving.ids()

    def refresh_only(self) -> list[str]:
        """Sources that cannot be worked on now; whoever wants them refreshed is told why."""
        return self._serving.unreadable() if self.takes_refreshes() else []

    def serves(self, source_id: str | None) -> bool:
        """Whether work of this source is to be taken."""
        return self._serving.serves(source_id)

    def walk(self, leases: Sequence[Lease], *, until: float) -> None:
        """Walk these links, held until *until*."""
        self._walking.take(leases, until=until)

    def takes_refreshes(self) -> bool:
        """Whether a source may be read for the relay now."""
        return self._duty.refreshes and self._refreshing.has_room()

    def refresh(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """Read these sources and submit their rows; returns what is not for us."""
        return self._refreshing.take(leases)

    def write(self, results: Sequence[Accepted]) -> None:
        """Bring final results into their rows."""
        self._keeping.accept(results)
        self._writing.put(results)

    def learn(self, *, every_seconds: float, lease_seconds: float) -> None:
        """How often leases are to be renewed, and how long they last."""
        self._renewing.learn(every_seconds=every_seconds, lease_seconds=lease_seconds)

    # What the courier brings back.

    def _answered(self, pairs: Sequence[tuple[Finding, Answer | None]]) -> None:
        self._contact.has_met = True
        self._holdings.drop_all(finding.key for finding, _ in pairs)
        owed: list[Accepted] = []
        over: list[tuple[str, str]] = []
        for finding, answer in pairs:
            report = finding.report
            if answer and answer.state is ReportState.RETRY:
                self._leasing.will_come_again(report.job_id)
            ended = to_write(finding, answer)
            if ended is not None and ended.job.source_id is not None:
                owed.append(ended)
            else:
                over.append((report.job_id, report.lease_id))
        self._keeping.forget(over)
        self.write(owed)

    def _write_kept(self, source_id: str) -> None:
        """Rows of this source can be written from now on: also those that wait in the spool."""
        for part in self._spool.parts():
            self._writing.put_kept(
                [each for each in part.accepted if each.job.source_id == source_id]
            )

    def _orphans(self, accepted: Sequence[Accepted]) -> list[str]:
        """The sources of these that are no longer ours, once for each result."""
        found = (each.job.source_id for each in accepted)
        return [each for each in found if each is not None and not self._serving.knows(each)]

    def _confirmed(self, settled: Sequence[Settled]) -> None:
        self._contact.has_met = True
        self._writing.confirmed(settled)

    def _progressed(self) -> None:
        self._writing.nudge()
        self._course.moved()
