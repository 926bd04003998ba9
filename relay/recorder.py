"""Write the books: drain the outcome stream into the ledger. Killed anywhere, it resumes.

An entry is acknowledged only after its commit, so it is read again after a crash between the two;
the ledger keeps what stands. One recorder is active at a time; another one waits for its lock. What
was read before Redis lost everything is booked before its counters are taken from the books, or not
at all (relay/ledger/lives.py).
"""

import logging
import secrets
import threading
import time
from dataclasses import replace
from typing import Any, Final

import redis as redis_py

from relay.errors import LedgerError, LedgerRefused
from relay.events import GROUP, STREAM, Admitted, UnreadableEvent, decode
from relay.ledger.bookings import Entry, Recorded
from relay.ledger.ledger import Ledger
from relay.queue.broker import Broker
from relay.queue.errors import RedisUnavailable
from relay.queue.refill import LIFE

logger = logging.getLogger(__name__)

BATCH: Final = 500
_LOCK: Final = "linkrow:lock:recorder"
_LOCK_MS: Final = 5_000
_CONSUMER: Final = "recorder"
_BLOCK_MS: Final = 1000
_PAUSE_SECONDS: Final = 1.0

# The first write takes no memory: a full Redis would refuse it, and only a recorder makes room.
_TAKE = """
redis.call('DEL', 'linkrow:nothing')
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return false
end
return redis.call('GET', KEYS[2]) or ''
"""
# Not MULTI: a full Redis queues no commands. In another life the same ids are other entries.
_SETTLE = """
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('XACK', KEYS[1], unpack(ARGV, 2))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 3))
"""
_DROP = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)


Raw = list[tuple[bytes, dict[bytes, bytes]]]
"""Entries of the stream as Redis hands them out."""


class Recorder:
    """Moves events from Redis into the ledger, in order, each at least once and so once."""

    def __init__(self, broker: Broker, ledger: Ledger) -> None:
        self._broker = broker
        self._redis: Any = broker.redis
        self._ledger = ledger
        self._token = secrets.token_hex(8)
        self._take = self._redis.register_script(_TAKE)
        self._settle = self._redis.register_script(_SETTLE)
        self._drop = self._redis.register_script(_DROP)

    def run(self, stop: threading.Event) -> None:
        """Until *stop*; then until the stream is empty."""
        while not stop.is_set():
            try:
                if not self.step(block_ms=_BLOCK_MS):
                    stop.wait(_PAUSE_SECONDS if self._turn() is None else 0)
            except (LedgerError, RedisUnavailable, redis_py.exceptions.RedisError) as error:
                logger.warning("the recorder waits: %s", error)
                stop.wait(_PAUSE_SECONDS)
        try:
            self._take_over()
            self.drain()
        except (LedgerError, RedisUnavailable, redis_py.exceptions.RedisError) as error:
            logger.warning("the recorder stops with events left: %s", error)
        finally:
            self.release()

    def _take_over(self) -> None:
        """Wait for the lock of a recorder that was killed: what it left is ours to book."""
        until = time.monotonic() + 2 * _LOCK_MS / 1000
        while self._turn() is None and self._broker.backlog() and time.monotonic() < until:
            time.sleep(0.1)

    def drain(self) -> int:
        """Book everything there is now. How many entries."""
        total = 0
        while count := self.step(block_ms=None):
            total += count
        return total

    def step(self, *, block_ms: int | None) -> int:
        """Book one batch. How many entries; 0 if there are none or another recorder is active."""
        life = self._turn()
        if life is None:
            return 0
        # What was read and not acknowledged (by us, before a crash) comes first.
        entries = self._read("0", None) or self._read(">", block_ms)
        if not entries:
            return 0
        batch = [_entry(entry_id, fields) for entry_id, fields in entries]
        recorded = self._record(batch, entries, life)
        # Before it is acknowledged: after a crash in between, nobody would let these keys go.
        self._broker.forget(recorded.ended)
        entry_ids = [entry_id for entry_id, _ in entries]
        self._settle(keys=[STREAM, LIFE], args=[life, GROUP, *entry_ids])
        if recorded.unreadable:
            logger.error("%d events could not be read and were set aside", recorded.unreadable)
        return len(entries)

    def _record(self, batch: list[Entry], raw: Raw, life: str) -> Recorded:
        """Book *batch*; what the database will not take is set aside, so that it blocks nothing."""
        try:
            return self._ledger.record(batch, life=life)
        except LedgerRefused as error:
            parts = [self._record(*part, life) for part in _smaller(batch, raw)]
            if parts:
                return Recorded(
                    admitted=sum(part.admitted for part in parts),
                    ended=tuple(job_id for part in parts for job_id in part.ended),
                    unreadable=sum(part.unreadable for part in parts),
                )
            refused = UnreadableEvent(f"the ledger refused it: {error}")
            aside = Entry(entry_id=batch[0].entry_id, event=refused, raw=repr(raw[0][1]))
            return self._ledger.record([aside], life=life)

    def release(self) -> None:
        """Let another recorder take over at once."""
        try:
            self._drop(keys=[_LOCK], args=[self._token])
        except redis_py.exceptions.RedisError:
            logger.info("the recorder's lock runs out by itself")

    def _turn(self) -> str | None:
        """The life of Redis in which it is our turn to book; None: it is another recorder's."""
        life = self._take(keys=[_LOCK, LIFE], args=[self._token, _LOCK_MS])
        return None if life is None else life.decode()

    def _read(self, start: str, block_ms: int | None) -> Raw:
        try:
            answer = self._redis.xreadgroup(
                GROUP, _CONSUMER, {STREAM: start}, count=BATCH, block=block_ms
            )
        except redis_py.exceptions.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
            return []
        if not answer:
            return []
        streams = answer.items() if isinstance(answer, dict) else answer
        found: Raw = []
        for _, entries in streams:
            # redis-py nests one level deeper under RESP3.
            flat = entries[0] if entries and isinstance(entries[0], list) else entries
            found += [(entry_id, fields or {}) for entry_id, fields in flat]
        return found


def _smaller(batch: list[Entry], raw: Raw) -> list[tuple[list[Entry], Raw]]:
    """The same in smaller parts: entry by entry, an admission job by job; [] if there are none."""
    if len(batch) > 1:
        return [([entry], [fields]) for entry, fields in zip(batch, raw, strict=True)]
    event = batch[0].event
    if isinstance(event, Admitted) and len(event.jobs) > 1:
        return [([replace(batch[0], event=replace(event, jobs=(job,)))], raw) for job in event.jobs]
    return []


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    try:
        return Entry(entry_id=entry_id.decode(), event=decode(fields))
    except UnreadableEvent as error:
        return Entry(entry_id=entry_id.decode(), event=error, raw=repr(fields))
