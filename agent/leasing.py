"""Take work from the relay, as much as there is room for, and sort what comes."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from agent.contact import Contact
from agent.course import Course
from agent.duty import Duty
from agent.events import Events
from agent.findings import Accepted
from connector.relay_errors import Refused, RelayError
from wire.models import MAX_REPORTS, Capabilities, Held, Lease, LeaseRequest
from wire.vocab import JobKind

logger = logging.getLogger(__name__)

_ONCE_PAUSE_SECONDS: Final = 0.2
_LATE_RETRY_SECONDS: Final = 60.0


class Work(Protocol):
    """What is in hand, and where more of it goes."""

    def room(self) -> int:
        """How many more links may be in hand."""

    def is_quiet(self) -> bool:
        """Whether nothing is on its way to a row."""

    def sources(self) -> list[str]:
        """The sources whose work is to be taken now."""

    def serves(self, source_id: str | None) -> bool:
        """Whether work of this source is to be taken."""

    def walk(self, leases: Sequence[Lease], *, until: float) -> None:
        """Walk these links, held until *until*."""

    def refresh_only(self) -> list[str]:
        """The sources of which only refreshes are to be taken now."""

    def takes_refreshes(self) -> bool:
        """Whether a source may be read for the relay now."""

    def refresh(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """Read these sources and submit their rows. Returns which are not for us."""

    def write(self, results: Sequence[Accepted]) -> None:
        """Bring these results, found elsewhere, into their rows."""

    def learn(self, *, every_seconds: float, lease_seconds: float) -> None:
        """How often leases are to be renewed, and how long they last."""


class Leasing:
    """One thread's work: a lease call whenever there is room. *chance* (0..1) spreads pauses."""

    def __init__(
        self,
        contact: Contact,
        work: Work,
        *,
        duty: Duty,
        events: Events,
        course: Course,
        chance: Callable[[], float],
    ) -> None:
        self._contact = contact
        self._work = work
        self._duty = duty
        self._events = events
        self._course = course
        self._chance = chance
        self._retries: dict[str, float] = {}
        self._is_idle = False

    def will_come_again(self, job_id: str) -> None:
        """The relay will try this link again later."""
        self._retries[job_id] = self._course.clock()

    def run(self, *, until_empty: bool) -> None:
        """Lease until stopped; with *until_empty*, stop when nothing is left anywhere.

        Raises RelayError when going on makes no sense.
        """
        failures = 0
        clock, stop = self._course.clock, self._course.stop
        while room := self._await_room():
            wait = 0 if until_empty else self._duty.poll_seconds
            sources = self._work.sources()
            ask = LeaseRequest(
                max=min(room, MAX_REPORTS),
                wait_seconds=wait,
                sources=sources,
                refresh_only=self._work.refresh_only(),
                sourceless=self._duty.sourceless,
                capabilities=Capabilities(refresh=self._work.takes_refreshes()),
            )
            asked = clock()
            try:
                answer = self._contact.relay.lease(ask)
            except RelayError as error:
                if self._contact.is_fatal(error) or (
                    isinstance(error, Refused) and error.permanent
                ):
                    raise
                failures += 1
                self._contact.wait_out(error, failures)
                continue
            if failures:
                logger.info("the relay answers again")
            failures = 0
            self._contact.has_met = True
            self._work.learn(every_seconds=answer.renew_seconds, lease_seconds=answer.lease_seconds)
            taken = self._take(answer.leases, until=asked + answer.lease_seconds)
            if taken:
                self._is_idle = False
            elif self._work.is_quiet() and not answer.leases:
                self._say_idle()
                is_all = sources == self._work.sources()
                if until_empty and is_all and not self._expects_more():
                    stop.set()
                    return
            if not taken and clock() - asked < wait / 2:
                # Nothing for us although we offered to wait: do not turn that into a hot loop.
                stop.wait(0.2 + 0.8 * self._chance())
            elif not taken and until_empty:
                stop.wait(_ONCE_PAUSE_SECONDS)

    def _say_idle(self) -> None:
        if not self._is_idle:
            self._is_idle = True
            self._events.say("idle")

    def _await_room(self) -> int:
        """Wait until there is room for more, and say for how many; 0 when stopping."""
        while not self._course.stop.is_set():
            if (room := self._work.room()) > 0:
                return room
            self._course.pause(self._duty.tick_seconds)
        return 0

    def _expects_more(self) -> bool:
        """Whether links that failed here will come again soon, or something came just now."""
        now = self._course.clock()
        self._retries = {
            job_id: since
            for job_id, since in self._retries.items()
            if now - since < _LATE_RETRY_SECONDS
        }
        return bool(self._retries) or not self._work.is_quiet()

    def _take(self, leases: Sequence[Lease], *, until: float) -> int:
        """Sort fresh leases: links are walked, known results written, the rest is given back."""
        links: list[Lease] = []
        refreshes: list[Lease] = []
        results: list[Accepted] = []
        refused: list[Held] = []
        for lease in leases:
            # No lease is renewed when it comes too late or when we are about to end.
            is_for_us = lease.source_id is None or self._work.serves(lease.source_id)
            is_late = self._course.stop.is_set() or until <= self._course.clock()
            if is_for_us and not is_late and lease.kind is JobKind.LINK:
                links.append(lease)
            elif not is_late and lease.kind is JobKind.REFRESH:
                refreshes.append(lease)
            elif is_for_us and lease.kind is JobKind.WRITEBACK and lease.result is not None:
                results.append(Accepted(lease_id=lease.lease_id, job=lease.result))
            else:
                refused.append(Held(job_id=lease.job_id, lease_id=lease.lease_id))
        for lease in links:
            self._retries.pop(lease.job_id, None)
        if links:
            logger.info("took %d links", len(links))
        self._work.walk(links, until=until)
        if results:
            self._work.write(results)
        if refreshes:
            refused += [
                Held(job_id=lease.job_id, lease_id=lease.lease_id)
                for lease in self._work.refresh(refreshes)
            ]
        self._contact.release(refused)
        return len(links) + len(results) + len(refreshes)
