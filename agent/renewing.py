"""Renew what is held: leases until their results are reported, rows until they are written."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from agent.contact import AT_ONCE, Contact
from agent.course import Course
from agent.holdings import Holdings, key_of
from connector.relay_errors import RelayError
from wire.models import Held, RenewRequest
from wire.vocab import LeaseState

logger = logging.getLogger(__name__)


class Leases(Protocol):
    """Leases in hand that are not of links."""

    def all(self) -> list[Held]:
        """Every one, as the relay calls it."""

    def drop(self, key: str) -> bool:
        """It is ours no more. Whether it was."""


class Renewing:
    """One thread's work. *owed* names the jobs whose rows are to be written by us.

    *on_gone* is called with the keys of leases that are no longer ours while their links are
    walked; *refreshes* see to their own.
    """

    def __init__(
        self,
        contact: Contact,
        *,
        holdings: Holdings,
        refreshes: Leases,
        course: Course,
        owed: Callable[[], list[str]],
        on_gone: Callable[[list[str]], None],
        chance: Callable[[], float],
        tick_seconds: float,
    ) -> None:
        self._contact = contact
        self._holdings = holdings
        self._refreshes = refreshes
        self._course = course
        self._owed = owed
        self._on_gone = on_gone
        self._chance = chance
        self._tick_seconds = tick_seconds
        self._every_seconds = 20.0
        self._lease_seconds = 60.0
        self._is_over = threading.Event()

    def learn(self, *, every_seconds: float, lease_seconds: float) -> None:
        """The relay's own wishes, as its last lease answer told them."""
        self._every_seconds = max(every_seconds, 1.0)
        self._lease_seconds = lease_seconds

    def stop(self) -> None:
        """End soon."""
        self._is_over.set()

    def run(self) -> None:
        """Renew until stopped. Raises RelayError when going on makes no sense."""
        failures = 0
        clock = self._course.clock
        renewed = clock()
        while not self._is_over.is_set():
            pause = self._every_seconds * (1.0 - 0.1 * self._chance())
            if failures:
                pause = min(pause, self._contact.outage_pause(failures))
            left = renewed + pause - clock()
            if left > 0:
                # In short steps: this clock may run on while the machine sleeps.
                self._is_over.wait(min(left, self._tick_seconds))
                continue
            renewed = clock()
            try:
                self._renew_all()
            except RelayError as error:
                if self._contact.is_fatal(error):
                    raise
                failures += 1
                if failures == 1:
                    logger.warning("leases could not be renewed: %s", error)
            else:
                failures = 0

    def _renew_all(self) -> None:
        held = [*self._refreshes.all(), *self._holdings.all()]
        owed = self._owed()
        for start in range(0, max(len(held), len(owed)), AT_ONCE):
            ask = RenewRequest(
                leases=held[start : start + AT_ONCE], writebacks=owed[start : start + AT_ONCE]
            )
            asked = self._course.clock()
            answer = self._contact.relay.renew(ask)
            until = asked + self._lease_seconds
            gone: list[str] = []
            for each in answer.leases:
                key = key_of(each.job_id, each.lease_id)
                if each.state is LeaseState.RENEWED:
                    self._holdings.extend(key, until=until)
                elif not self._refreshes.drop(key) and self._holdings.drop(key):
                    gone.append(key)
            if gone:
                logger.info("%d links are no longer ours", len(gone))
                self._on_gone(gone)
