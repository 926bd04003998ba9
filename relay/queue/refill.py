"""Fill a Redis that lost everything from the books, then open it: one rebuild at a time.

Every step is done only while the life that its rebuild began is the last one begun and Redis is not
open yet. So a rebuild that was overtaken (it slept, or Redis was lost again under it) changes
nothing any more, least of all counters that have moved on.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import redis as redis_py
from rq.utils import utcformat

from relay.queue.chunks import chunked, chunks
from relay.queue.job_ids import same_order, sameness
from relay.queue.names import queue_of_job
from relay.queue.rq_form import REFRESH, encode_data, shared_fields, template
from relay.queue.scripts import Scripts, redis_errors
from relay.queue.stored import about_fields, refresh_fields
from relay.records import JobRecord, RefreshCount, outcome_json
from relay.source_records import RefreshRecord, SourceRecord

LIFE: Final = "linkrow:life"
_EPOCH: Final = "linkrow:epoch"
_NONCE_SECONDS: Final = 360  # as in library.lua's gate
_REFRESH_SECONDS: Final = 8 * 86400  # as in library.lua


class Overtaken(Exception):
    """Redis was lost again while it was filled, or somebody else fills or has filled it."""

    def __init__(self) -> None:
        super().__init__("Redis was lost again while it was filled, or somebody else filled it")


class Refill:
    """Puts back what a lost Redis held, in its new *life*. Every step may be repeated."""

    def __init__(
        self,
        redis: "redis_py.Redis",
        scripts: Scripts,
        *,
        clock: Callable[[], datetime],
        life: str,
    ) -> None:
        self._redis: Any = redis  # redis-py does not type its pipelines
        self._scripts = scripts
        self._clock = clock
        self._life = life

    def begin(self) -> None:
        """Begin the life; whatever still fills an earlier one stops. Raises Overtaken if open."""
        with self._step(of_any_life=True) as pipe:
            pipe.set(LIFE, self._life)

    def refill(
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
    ) -> int:
        """Fill an empty Redis and open it. How many jobs wait again.

        *sources* are (source id, account), *quotas* (account, rows admitted on *day*, counted from
        1970-01-01 UTC; None is today). Jobs that had not ended are queued anew under their own ids;
        *owed* are ended ones whose rows are still to be written; *refreshes* say how far each
        refresh was; *nonces* are (key id, nonce, when it was signed) of what could be sent again;
        *said* is what is known of sources besides, *asked* are refreshes that are not over, or were
        not long ago.
        Nothing is admitted until it returns, and a call that was cut short may be
        repeated. Raises Overtaken.
        """
        for chunk in chunks(list(sources)):
            with self._step() as pipe:
                for source_id, account_id in chunk:
                    pipe.set(f"linkrow:source:{source_id}", account_id)
        for records_said in chunked(said):
            with self._step() as pipe:
                for source in records_said:
                    pipe.hset(f"linkrow:about:{source.source_id}", mapping=about_fields(source))
        today = self._seconds() // 86400 if day is None else day
        with self._step() as pipe:
            for account_id, used in quotas:
                pipe.set(f"linkrow:quota:{account_id}:{today}", used, ex=2 * 86400)
        for spent in chunked(nonces):
            with self._step() as pipe:
                for key_id, nonce, signed_at in spent:
                    forgotten_at = signed_at + _NONCE_SECONDS
                    pipe.set(f"linkrow:nonce:{key_id}:{nonce}", 1, exat=forgotten_at)
        self._restore_progress(refreshes)
        restored = sum(self._restore_jobs(records) for records in chunked(unfinished))
        for records in chunked(owed):
            self._restore_owed(records)
        for wanted in chunked(asked):
            self._restore_refreshes(wanted)
        seconds = self._seconds()
        with self._step() as pipe:
            pipe.set(_EPOCH, seconds)
        return restored

    @contextmanager
    def _step(self, *, of_any_life: bool = False) -> Iterator[Any]:
        """What is put into this pipeline comes about whole, and only while our life begins."""
        with redis_errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(LIFE, _EPOCH)
            life, epoch = pipe.mget(LIFE, _EPOCH)
            if epoch is not None or not (of_any_life or (life or b"").decode() == self._life):
                raise Overtaken
            pipe.multi()
            yield pipe
            try:
                pipe.execute()
            except redis_py.exceptions.WatchError as error:
                raise Overtaken from error

    def _seconds(self) -> int:
        with redis_errors():
            seconds, _ = self._redis.time()
        return int(seconds)

    def _restore_jobs(self, records: Sequence[JobRecord]) -> int:
        shared = shared_fields(template(self._redis), utcformat(self._clock()))
        arguments: list[str | bytes] = [self._life, json.dumps(shared)]
        for record in records:
            request = record.request
            arguments += [
                record.job_id,
                queue_of_job(request, record.account_id),
                sameness(request),
                encode_data(request.model_dump_json(exclude_defaults=True)),
                record.account_id,
                request.source_id or "",
                request.row_id or "",
                request.refresh_id or "",
                f"{record.created_at:.6f}",
                f"{record.created_at + request.expires_in:.6f}",
                ",".join(record.joined_by),
            ]
        restored = self._scripts.run("restore", arguments)
        if restored is None:
            raise Overtaken
        return int(restored)

    def _restore_refreshes(self, records: Sequence[RefreshRecord]) -> None:
        shared = shared_fields(template(self._redis), utcformat(self._clock()))
        arguments: list[str | bytes] = [self._life, json.dumps(shared)]
        for record in records:
            text = record.order.model_dump_json(exclude_defaults=True)
            arguments += [
                record.refresh_id,
                record.account_id,
                record.source_id,
                record.job_id,
                record.state,
                encode_data(text, REFRESH),
                record.order.scope,
                same_order(record.order),
                f"{record.created_at:.6f}",
                f"{record.expires_at:.6f}",
                f"{record.ended_at or 0:.6f}",
                json.dumps(refresh_fields(record)),
            ]
        if self._scripts.run("restore_refresh", arguments) is None:
            raise Overtaken

    def _restore_progress(self, refreshes: Iterable[RefreshCount]) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for each in refreshes:
            fields = counts[f"linkrow:refresh:{each.account_id}:{each.refresh_id}"]
            fields["submitted"] += each.jobs
            if each.conclusion is not None:
                fields["finished"] += each.jobs
                fields[f"conclusion:{each.conclusion}"] += each.jobs
                fields[f"writeback:{each.writeback}"] += each.jobs
        for chunk in chunks(list(counts.items())):
            with self._step() as pipe:
                for key, fields in chunk:
                    pipe.hset(key, mapping=dict(fields))
                    pipe.expire(key, _REFRESH_SECONDS)

    def _restore_owed(self, records: Sequence[JobRecord]) -> None:
        with self._step() as pipe:
            for record in records:
                request = record.request
                pipe.hset(
                    f"linkrow:obligation:{record.job_id}",
                    mapping={
                        "account_id": record.account_id,
                        "source_id": request.source_id or "",
                        "data": encode_data(request.model_dump_json(exclude_defaults=True)),
                        "kind": record.kind,
                        "status": record.status,
                        "conclusion": record.conclusion or "",
                        "outcome": outcome_json(record.outcome) if record.outcome else "",
                        "skip_reason": record.skip_reason,
                        "attempts": record.attempts,
                        "created_at": f"{record.created_at:.6f}",
                        "checked_at": f"{record.checked_at or 0:.6f}",
                        "result_device": record.device_id or "",
                        "holder": "",
                        "deliveries": 0,
                        "refreshes": ",".join(
                            filter(None, (request.refresh_id, *record.joined_by))
                        ),
                    },
                )
                since = record.checked_at or record.created_at
                pipe.zadd(f"linkrow:obligations:{request.source_id}", {record.job_id: since})
                pipe.zadd("linkrow:unserved", {record.job_id: since})
