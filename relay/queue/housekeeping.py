"""What keeps the queue whole: sweeping, forgetting, and a lost Redis filled again."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from relay.queue import names
from relay.queue.chunks import chunks
from relay.queue.endings import RQ_CANCELED_REASON, UNSERVED_REASON
from relay.queue.refill import LIFE, Refill
from relay.queue.refreshing import Refreshing
from relay.queue.scripts import redis_errors
from relay.queue.terms import SweepCounts
from relay.records import JobRecord, RefreshCount
from relay.source_records import RefreshRecord, SourceRecord


class Housekeeping(Refreshing):
    """The clock and the recorder tidy up."""

    def sweep(self, *, limit: int = 500) -> SweepCounts:
        """Take back dead leases, end what expired, give up rows that nobody serves; everywhere."""
        with redis_errors():
            queues = [key.decode().removeprefix("rq:queue:") for key in self._queue_keys()]
        ours = [queue for queue in queues if queue.startswith(names.PREFIX)]
        total = SweepCounts()
        for chunk in chunks(ours) if ours else [[]]:
            terms = self._ending_terms() | {
                "queues": chunk,
                "limit": limit,
                "unserved_seconds": self.settings.unserved_seconds,
                "unserved_reason": UNSERVED_REASON,
                "rq_canceled_reason": RQ_CANCELED_REASON,
            }
            leases, expired, unserved = self._scripts.run("sweep", [json.dumps(terms)])
            total = SweepCounts(
                leases=total.leases + leases,
                expired=total.expired + expired,
                unserved=total.unserved + unserved,
            )
        self.cancel_rows()
        return total

    def _queue_keys(self) -> list[bytes]:
        keys: Any = self.redis.smembers("rq:queues")
        return sorted(keys)

    def forget(self, job_ids: Sequence[str]) -> None:
        """The ledger has these endings: their keys may go in a minute."""
        for chunk in chunks(job_ids):
            self._scripts.run("forget", [self.settings.forget_seconds, *chunk])

    def life(self) -> str | None:
        """Which life of this Redis is open, or None if none is."""
        with redis_errors():
            answer: Any = self.redis.mget(LIFE, "linkrow:epoch")
        life, epoch = answer
        return None if epoch is None else (life or b"").decode()

    def begin_life(self, life: str) -> None:
        """Begin to fill a lost Redis; whoever else does stops. Raises Overtaken if it is open."""
        self._refill(life).begin()

    def rebuild(
        self,
        *,
        sources: Iterable[tuple[str, str]],
        quotas: Iterable[tuple[str, int]],
        unfinished: Iterable[JobRecord],
        owed: Iterable[JobRecord],
        refreshes: Iterable[RefreshCount] = (),
        nonces: Iterable[tuple[str, str, int]] = (),
        said: Iterable[SourceRecord] = (),
        asked: Iterable[RefreshRecord] = (),
        day: int | None = None,
        life: str = "",
    ) -> int:
        """Fill an empty Redis from the books, then open it. How many jobs wait again.

        *life* is the one that begin_life began. See Refill.refill for what the books say.
        """
        return self._refill(life).refill(
            sources=sources,
            quotas=quotas,
            unfinished=unfinished,
            owed=owed,
            refreshes=refreshes,
            nonces=nonces,
            said=said,
            asked=asked,
            day=day,
        )

    def _refill(self, life: str) -> Refill:
        return Refill(self.redis, self._scripts, clock=self._clock, life=life)
