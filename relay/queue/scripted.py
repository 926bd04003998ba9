"""What every part of the queue stands on: one Redis, its scripts, and the terms they are told."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

import redis as redis_py
from rq.utils import utcformat

from relay import events
from relay.queue.endings import ending_terms
from relay.queue.redis_facts import RedisFacts, ensure_safe, facts_of
from relay.queue.scripts import Scripts, redis_errors
from relay.queue.terms import Caller, QueueSettings

Found = TypeVar("Found")


class ScriptedQueue:
    """The queue in one Redis. *redis* must not decode responses: RQ's hashes hold zlib bytes.

    Every method raises RedisUnavailable when Redis does not answer. A script was run whole then, or
    not at all: every call may be made again, an admission under its Idempotency-Key. A full Redis
    refuses admissions and takes everything that drains it.
    """

    def __init__(
        self,
        redis: "redis_py.Redis",
        *,
        settings: QueueSettings = QueueSettings(),
        chance: Callable[[], float] = random.random,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.redis = redis
        self.settings = settings
        self._chance = chance
        self._clock = clock
        self._scripts = Scripts(redis)
        self._announced: dict[tuple[str, str], float] = {}

    def check(self, *, allow_unsafe: bool = False) -> RedisFacts:
        """What Redis is. Raises RedisUnsafe unless it keeps what it is given, or *allow_unsafe*."""
        with redis_errors():
            info: dict[str, Any] = self.redis.info()
        facts = facts_of(info)
        ensure_safe(facts, allow_unsafe=allow_unsafe)
        return facts

    def backlog(self) -> int:
        """How many events the recorder has not booked yet."""
        with redis_errors():
            return int(self.redis.xlen(events.STREAM))

    def is_ready(self) -> bool:
        """Whether this Redis' life has begun: counters stand, requests may come in."""
        with redis_errors():
            return bool(self.redis.exists("linkrow:epoch"))

    def _wait(
        self,
        channel: str,
        look: Callable[[], Found | None],
        *,
        is_over: Callable[[Found], bool],
        seconds: float,
    ) -> Found | None:
        """What *look* finds once that *is_over*, or as it stands after *seconds*; None: nothing.

        It looks again whenever *channel* says something.
        """
        pubsub: Any = self.redis.pubsub  # redis-py does not type it
        with redis_errors(), pubsub(ignore_subscribe_messages=True) as heard:
            heard.subscribe(channel)
            until = time.monotonic() + seconds
            while True:
                found = look()
                left = until - time.monotonic()
                if found is None or is_over(found) or left <= 0:
                    return found
                heard.get_message(timeout=left)

    def _claims(self, caller: Caller, *, route: str, idempotency_key: str) -> dict[str, Any]:
        """What the gate of a request that must not be done twice is told."""
        key_hash = (
            sha256(idempotency_key.strip('"').encode()).hexdigest() if idempotency_key else ""
        )
        return {
            "account_id": caller.account_id,
            "key_id": caller.key_id,
            "device_id": caller.device_id or "",
            "timestamp": caller.timestamp,
            "nonce": caller.nonce,
            "body_sha256": caller.body_sha256,
            "idempotency": key_hash,
            "fingerprint": sha256(f"{route}\n{caller.body_sha256}".encode()).hexdigest(),
            "idempotency_ttl": self.settings.idempotency_seconds,
            "backlog_limit": self.settings.backlog_limit,
        }

    def _terms(self, caller: Caller) -> dict[str, Any]:
        return self._ending_terms() | {
            "account_id": caller.account_id,
            # A key of a caller's that may act as an agent is its own device.
            "device_id": caller.device_id or caller.key_id,
            "lease_seconds": self.settings.lease_seconds,
            "max_lease_seconds": self.settings.max_lease_seconds,
            "obligation_seconds": self.settings.obligation_seconds,
        }

    def _ending_terms(self) -> dict[str, Any]:
        return {"iso": utcformat(self._clock())} | ending_terms(
            max_deliveries=self.settings.max_deliveries
        )
