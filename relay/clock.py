"""What has to happen by itself: dead leases, expiry, and a lost Redis filled again."""

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import redis as redis_py
from redis.lock import Lock

from relay.errors import LedgerError
from relay.ledger.ledger import Ledger
from relay.queue.broker import Broker
from relay.queue.errors import RedisUnavailable
from relay.queue.refill import Overtaken
from relay.recorder import Recorder

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 2.0
_LOCK: Final = "linkrow:lock:rebuild"
_LOCK_SECONDS: Final = 15.0  # after a clock was killed in mid-rebuild, the next one waits so long
_PROGRESS_SECONDS: Final = 8 * 86400  # as long as a refresh's counters live in Redis


class Clock:
    """Ticks. Several may run: a sweep is atomic, and a rebuild that another overtakes stops.

    A lock keeps two from rebuilding against each other; that only one of them counts is sure
    without it (relay/queue/refill.py).
    """

    def __init__(self, broker: Broker, ledger: Ledger) -> None:
        self._broker = broker
        self._ledger = ledger
        self._redis: Any = broker.redis

    def run(self, stop: threading.Event) -> None:
        """Until *stop*."""
        while True:
            try:
                self.tick()
            except (LedgerError, RedisUnavailable, redis_py.exceptions.RedisError) as error:
                logger.warning("the clock waits: %s", error)
            if stop.wait(TICK_SECONDS):
                return

    def tick(self) -> None:
        """Once: open or rebuild a store that has no epoch, then sweep."""
        if not self._broker.is_ready():
            self.rebuild()
            return
        counts = self._broker.sweep()
        if counts.leases or counts.expired or counts.unserved:
            logger.info(
                "swept: %d leases taken back, %d jobs expired, %d rows given up",
                counts.leases,
                counts.expired,
                counts.unserved,
            )
        self._agree_on_the_life()

    def rebuild(self) -> bool:
        """Fill a Redis whose life has not begun from the ledger. Whether this process did it."""
        with self._only_one() as is_ours:
            if not is_ours or self._broker.is_ready():
                return False
            try:
                return self._rebuild()
            except Overtaken as error:
                logger.warning("a rebuild was given up: %s", error)
                return False

    def _rebuild(self) -> bool:
        before, life = self._ledger.life(), secrets.token_hex(8)
        self._broker.begin_life(life)
        # What a recorder still holds of the life before is booked now, or not at all.
        if not self._ledger.begin_life(life, instead_of=before):
            raise Overtaken
        # What happened before the loss and is still in the stream belongs in the books first.
        recorder = Recorder(self._broker, self._ledger)
        try:
            recorder.drain()
        finally:
            recorder.release()
        if self._broker.backlog():
            return False  # another recorder is at it; the next tick looks again
        seconds, _ = self._redis.time()
        day = seconds // 86400
        restored = self._broker.rebuild(
            life=life,
            day=day,
            sources=self._ledger.all_sources(),
            quotas=self._ledger.admitted_on(day),
            nonces=self._ledger.spent_nonces(since=seconds),
            unfinished=self._ledger.unfinished(),
            owed=self._ledger.owed(),
            said=self._ledger.source_records(),
            asked=self._ledger.asked(since=seconds - _PROGRESS_SECONDS),
            refreshes=self._ledger.refresh_counts(since=seconds - _PROGRESS_SECONDS),
        )
        logger.info("Redis is open; %d jobs wait again", restored)
        return True

    def _agree_on_the_life(self) -> None:
        """Books that were put back from a copy, or made anew, go on with the Redis there is."""
        booked = self._ledger.life()  # before Redis is asked: a rebuild in between is not undone
        current = self._broker.life()
        if current is None or current == booked:
            return
        if self._ledger.begin_life(current, instead_of=booked):
            logger.warning("these books went with another life of Redis; they go on with this one")

    @contextmanager
    def _only_one(self) -> Iterator[bool]:
        """Whether the lock is ours. It is renewed for as long as this process lives and works."""
        # Not of one thread: another one renews it.
        lock = self._redis.lock(_LOCK, timeout=_LOCK_SECONDS, blocking=False, thread_local=False)
        if not lock.acquire():
            yield False
            return
        is_over = threading.Event()
        keeper = threading.Thread(target=_keep, args=[lock, is_over], name="rebuild", daemon=True)
        keeper.start()
        try:
            yield True
        finally:
            is_over.set()
            keeper.join()
            with suppress(redis_py.exceptions.RedisError):  # it runs out by itself
                lock.release()


def _keep(lock: Lock, is_over: threading.Event) -> None:
    while not is_over.wait(_LOCK_SECONDS / 3):
        with suppress(redis_py.exceptions.RedisError):
            lock.reacquire()
