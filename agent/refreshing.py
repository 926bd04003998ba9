"""The refreshes in hand: at most one under way for each source, a few in all, each in a thread.

They run beside the lease loop: what they hand in comes back as links to be walked, to this agent
or to another one.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.contact import Contact
from agent.course import Course
from agent.events import Events
from agent.holdings import key_of
from agent.refresh import Patience, Refresh
from connector.relay_errors import RelayError
from connector.source import Source
from wire.models import Held, Lease

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4


@dataclass(slots=True, kw_only=True)
class _InHand:
    """A lease, and the work on it once it has begun."""

    lease: Lease
    work: Refresh | None = None
    thread: threading.Thread | None = None

    @property
    def is_ending(self) -> bool:
        return self.work is not None and self.work.stop.is_set()

    @property
    def held(self) -> Held:
        return Held(job_id=self.lease.job_id, lease_id=self.lease.lease_id)


class Refreshing:
    """Takes refresh leases, works on them and lets go; for all threads.

    *source_of* gives the source of an id while it is served here.
    """

    def __init__(
        self,
        contact: Contact,
        *,
        course: Course,
        events: Events,
        source_of: Callable[[str], Source | None],
        patience: Patience,
        at_once: int = AT_ONCE,
    ) -> None:
        self._contact = contact
        self._course = course
        self._events = events
        self._source_of = source_of
        self._patience = patience
        self._at_once = at_once
        self._lock = threading.Lock()
        self._hands: dict[str, _InHand] = {}
        self._is_over = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._hands)

    def of(self, source_id: str) -> int:
        """How many are of this source."""
        with self._lock:
            return sum(hand.lease.source_id == source_id for hand in self._hands.values())

    def has_room(self) -> bool:
        """Whether one more may be taken."""
        with self._lock:
            return not self._is_over and len(self._hands) < self._at_once

    def take(self, leases: Sequence[Lease]) -> list[Lease]:
        """Work on these, each as soon as its source is free. Returns which are not for us."""
        refused = []
        with self._lock:
            for lease in leases:
                if self._is_over or lease.refresh is None or not self._is_served(lease):
                    refused.append(lease)
                else:
                    key = key_of(lease.job_id, lease.lease_id)
                    self._hands.setdefault(key, _InHand(lease=lease))
        self._begin()
        return refused

    def all(self) -> list[Held]:
        """Every lease that is still worked for, as the relay calls it."""
        with self._lock:
            return [hand.held for hand in self._hands.values() if not hand.is_ending]

    def drop(self, key: str) -> bool:
        """The relay took this one from us: stop at once. Whether it was here."""
        with self._lock:
            hand = self._hands.get(key)
            if hand is None:
                return False
            if hand.work is None:
                del self._hands[key]
            elif not hand.work.stop.is_set():
                hand.work.stop.set()  # its thread lets go of it
                logger.info("a refresh of %s is no longer ours", hand.lease.source_id)
        return True

    def leave(self, source_id: str) -> list[Held]:
        """This source is served here no more: stop its refresh; returns what to give back."""
        return self._end(lambda lease: lease.source_id == source_id)

    def stop(self, seconds: float) -> list[Held]:
        """End everything within so long; returns what to give back."""
        with self._lock:
            self._is_over = True
        return self._end(lambda lease: True, seconds=seconds)

    def _end(self, is_meant: Callable[[Lease], bool], *, seconds: float = 0.0) -> list[Held]:
        with self._lock:
            ended = {key: hand for key, hand in self._hands.items() if is_meant(hand.lease)}
            for key, hand in ended.items():
                if hand.work is None:
                    del self._hands[key]
                else:
                    hand.work.stop.set()
        until = time.monotonic() + seconds
        for hand in ended.values():
            if hand.thread is not None:
                hand.thread.join(max(0.0, until - time.monotonic()))
        return [hand.held for hand in ended.values()]

    def _is_served(self, lease: Lease) -> bool:
        return lease.source_id is not None and self._source_of(lease.source_id) is not None

    def _begin(self) -> None:
        """Start whatever waits and may start."""
        with self._lock:
            busy = {hand.lease.source_id for hand in self._hands.values() if hand.work}
            for key, hand in self._hands.items():
                if self._is_over or hand.work or hand.lease.source_id in busy:
                    continue
                if len(busy) >= self._at_once:
                    return
                self._start(key, hand)
                busy.add(hand.lease.source_id)

    def _start(self, key: str, hand: _InHand) -> None:
        lease = hand.lease
        source = self._source_of(lease.source_id or "")
        if source is None or lease.refresh is None:
            return  # it was served here a moment ago; ``leave`` gives it back
        hand.work = Refresh(
            lease,
            lease.refresh,
            source,
            contact=self._contact,
            patience=self._patience,
        )
        hand.thread = threading.Thread(
            target=self._work,
            args=(key, lease, lease.refresh.refresh_id, hand.work),
            name=f"refresh {lease.source_id}",
            daemon=True,
        )
        hand.thread.start()

    def _work(self, key: str, lease: Lease, refresh_id: str, work: Refresh) -> None:
        facts = {"refresh_id": refresh_id, "source_id": lease.source_id}
        self._events.say("refreshing", **facts)
        try:
            is_told = work.run()
            self._events.say("refreshed" if is_told else "refresh_left", **facts)
        except RelayError as error:
            self._course.crash(error)
        except Exception:
            # Not given back: its lease runs out, so that the same fault comes no sooner.
            logger.exception("refresh %s broke off", refresh_id)
        finally:
            with self._lock:
                self._hands.pop(key, None)
            self._begin()
            self._course.moved()
