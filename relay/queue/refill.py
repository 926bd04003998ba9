"""Fill a Redis that lost everything from the books, then open it."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import redis as redis_py
from rq.utils import utcformat

from relay.queue.chunks import chunked, chunks
from relay.queue.job_ids import sameness
from relay.queue.names import queue_of_job
from relay.queue.rq_form import encode_data, shared_fields, template
from relay.queue.scripts import Scripts, redis_errors
from relay.records import JobRecord, RefreshCount, outcome_json

_REFRESH_SECONDS: Final = 7 * 86400


class Refill:
    """Puts back what a lost Redis held. Every step may be repeated."""

    def __init__(
        self, redis: "redis_py.Redis", scripts: Scripts, *, clock: Callable[[], datetime]
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._clock = clock

    def refill(
        self,
        *,
        sources: Iterable[tuple[str, str]],
        quotas: Iterable[tuple[str, int]],
        unfinished: Iterable[JobRecord],
        owed: Iterable[JobRecord],
        refreshes: Iterable[RefreshCount] = (),
    ) -> int:
        """Fill an empty Redis and open it. How many jobs wait again.

        *sources* are (source id, account), *quotas* (account, rows admitted today, UTC). Jobs that
        had not ended are queued anew under their own ids; *owed* are ended ones whose rows are
        still to be written; *refreshes* say how far each refresh was. Call it while holding a lock;
        nothing is admitted until it returns, and a call that was cut short may be repeated.
        """
        iso = utcformat(self._clock())
        shared = json.dumps(shared_fields(template(self._redis), iso))
        with redis_errors():
            for chunk in chunks(list(sources)):
                with self._redis.pipeline(transaction=False) as pipe:
                    for source_id, account_id in chunk:
                        pipe.set(f"linkrow:source:{source_id}", account_id)
                    pipe.execute()
            seconds, _ = self._redis.time()
            for account_id, used in quotas:
                self._redis.set(
                    f"linkrow:quota:{account_id}:{seconds // 86400}", used, ex=2 * 86400
                )
        self._restore_progress(refreshes)
        restored = 0
        for records in chunked(unfinished):
            arguments: list[str | bytes] = [shared]
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
                ]
            restored += int(self._scripts.run("restore", arguments))
        for records in chunked(owed):
            self._restore_owed(records)
        with redis_errors():
            seconds, _ = self._redis.time()
            self._redis.set("linkrow:epoch", seconds, nx=True)
        return restored

    def _restore_progress(self, refreshes: Iterable[RefreshCount]) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for each in refreshes:
            fields = counts[f"linkrow:refresh:{each.account_id}:{each.refresh_id}"]
            fields["submitted"] += each.jobs
            if each.conclusion is not None:
                fields["finished"] += each.jobs
                fields[f"conclusion:{each.conclusion}"] += each.jobs
                fields[f"writeback:{each.writeback}"] += each.jobs
        with redis_errors(), self._redis.pipeline(transaction=False) as pipe:
            for key, fields in counts.items():
                for field, count in fields.items():
                    pipe.hset(key, field, str(count))
                pipe.expire(key, _REFRESH_SECONDS)
            pipe.execute()

    def _restore_owed(self, records: Sequence[JobRecord]) -> None:
        with redis_errors(), self._redis.pipeline(transaction=True) as pipe:
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
                        "refreshes": request.refresh_id or "",
                    },
                )
                since = record.checked_at or record.created_at
                pipe.zadd(f"linkrow:obligations:{request.source_id}", {record.job_id: since})
                pipe.zadd("linkrow:unserved", {record.job_id: since})
            pipe.execute()
