"""What has to happen by itself: dead leases, expiry, and a lost Redis filled again."""

import logging
import secrets
import threading
from typing import Any, Final

import redis as redis_py

from relay.errors import LedgerError
from relay.ledger.ledger import Ledger
from relay.queue.broker import Broker
from relay.queue.errors import RedisUnavailable
from relay.recorder import Recorder

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 2.0
_LOCK: Final = "linkrow:lock:rebuild"
_LOCK_SECONDS: Final = 300
_PROGRESS_SECONDS: Final = 7 * 86400  # as long as a refresh's counters live in Redis


class Clock:
    """Ticks. Several may run: a sweep is atomic, and a rebuild is done under a lock."""

    def __init__(self, broker: Broker, ledger: Ledger) -> None:
        self._broker = broker
        self._ledger = ledger
        self._redis: Any = broker.redis
        self._token = secrets.token_hex(8)

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

    def rebuild(self) -> bool:
        """Fill a Redis whose life has not begun from the ledger. Whether this process did it."""
        if not self._redis.set(_LOCK, self._token, nx=True, ex=_LOCK_SECONDS):
            return False
        try:
            if self._broker.is_ready():
                return False
            # What happened before the loss and is still in the stream belongs in the books first.
            recorder = Recorder(self._broker, self._ledger)
            try:
                recorder.drain()
            finally:
                recorder.release()
            if self._broker.backlog():
                return False  # another recorder is at it; the next tick looks again
            seconds, _ = self._redis.time()
            restored = self._broker.rebuild(
                sources=self._ledger.all_sources(),
                quotas=self._ledger.admitted_on(seconds // 86400),
                unfinished=self._ledger.unfinished(),
                owed=self._ledger.owed(),
                refreshes=self._ledger.refresh_counts(since=seconds - _PROGRESS_SECONDS),
            )
            logger.info("Redis is open; %d jobs wait again", restored)
            return True
        finally:
            if self._redis.get(_LOCK) == self._token.encode():
                self._redis.delete(_LOCK)
