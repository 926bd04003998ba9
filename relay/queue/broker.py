"""The queue as the relay uses it: each transition is one script, and nothing else writes a job."""

import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, TypeVar

import redis as redis_py
from rq.utils import utcformat

from relay import events
from relay.queue import names, retries
from relay.queue.chunks import chunks
from relay.queue.endings import (
    CANCELED_REASON,
    RQ_CANCELED_REASON,
    SUPERSEDED_REASON,
    UNSERVED_REASON,
    ending_terms,
)
from relay.queue.errors import (
    AlreadyFinal,
    IdempotencyKeyReused,
    NonceReplayed,
    QueueError,
    QueueFull,
    QuotaExceeded,
    Rebuilding,
    RecorderBehind,
    SignedBeforeEpoch,
    UnknownSource,
)
from relay.queue.job_ids import job_id, sameness
from relay.queue.redis_facts import RedisFacts, ensure_safe, facts_of
from relay.queue.refill import LIFE, Refill
from relay.queue.rq_form import encode_data, shared_fields, shown_result, template
from relay.queue.scripts import Scripts, redis_errors
from relay.queue.stored import FIELDS, OWED_FIELDS, accepted_of, lease_of, owed_record, record_of
from relay.queue.terms import Admission, Caller, Limits, QueueSettings, SweepCounts
from relay.records import JobRecord, RefreshCount, outcome_json
from wire.models import (
    Accepted,
    JobAnswer,
    JobRequest,
    Lease,
    LeaseRequest,
    RefreshProgress,
    ReleaseRequest,
    RenewAnswer,
    Renewed,
    RenewRequest,
    Report,
    SubmittedJob,
    WritebackNoted,
    WritebackReport,
)
from wire.vocab import (
    FINAL_STATUSES,
    Conclusion,
    Disposition,
    JobStatus,
    LeaseState,
    Writeback,
)

FUNCTION: Final = "relay.remote.resolve"
MAX_FOLLOWERS: Final = 20
_SLICE_SECONDS: Final = 5.0
_CHUNK: Final = 500
_REFRESH_SECONDS: Final = 7 * 86400

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Broker:
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

    # The gate.

    def check(self, *, allow_unsafe: bool = False) -> RedisFacts:
        """What Redis is. Raises RedisUnsafe unless it keeps what it is given, or *allow_unsafe*."""
        with redis_errors():
            info: dict[str, Any] = self.redis.info()
        facts = facts_of(info)
        ensure_safe(facts, allow_unsafe=allow_unsafe)
        return facts

    def spend_nonce(self, caller: Caller) -> None:
        """Let a request in, once. Raises NonceReplayed, SignedBeforeEpoch or Rebuilding."""
        answer = self._scripts.run("nonce", [caller.key_id, caller.nonce, caller.timestamp])
        _raise_refusal(answer)

    def admit(
        self,
        caller: Caller,
        jobs: Sequence[JobRequest],
        *,
        route: str,
        idempotency_key: str,
        limits: Limits,
    ) -> Admission:
        """Turn one request into jobs, all or none.

        Raises NonceReplayed, SignedBeforeEpoch, Rebuilding, RecorderBehind, IdempotencyKeyReused,
        UnknownSource, QueueFull or QuotaExceeded.
        """
        iso = utcformat(self._clock())
        shared = shared_fields(template(self.redis), iso)
        key_hash = (
            sha256(idempotency_key.strip('"').encode()).hexdigest() if idempotency_key else ""
        )
        head = {
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
            "max_depth": -1 if limits.max_depth is None else limits.max_depth,
            "rows_per_day": -1 if limits.rows_per_day is None else limits.rows_per_day,
            "max_followers": MAX_FOLLOWERS,
            "superseded_reason": SUPERSEDED_REASON,
            "iso": iso,
            "count": len(jobs),
            "jobs": [
                {
                    "source": job.source_id or "",
                    "row": job.row_id or "",
                    "refresh": job.refresh_id or "",
                }
                for job in jobs
            ],
        }
        arguments: list[str | bytes] = [json.dumps(head), json.dumps(shared)]
        for index, job in enumerate(jobs):
            request = job.model_dump_json(exclude_defaults=True)
            arguments += [
                job_id(
                    job,
                    index=index,
                    account_id=caller.account_id,
                    key_id=caller.key_id,
                    idempotency_key=idempotency_key,
                    born=caller.timestamp,
                ),
                names.queue_of_job(job, caller.account_id),
                sameness(job),
                request,
                encode_data(request),
                json.dumps({"context": job.context}) if job.context is not None else "{}",
                str(job.expires_in),
            ]
        answer = self._scripts.run("admit", arguments)
        word = answer[0]
        if word in (b"ok", b"known"):
            rows = json.loads(answer[1])
            return Admission(
                jobs=tuple(
                    SubmittedJob(
                        job_id=name,
                        row_id=job.row_id,
                        status=JobStatus(status),
                        disposition=Disposition(disposition),
                    )
                    for job, (name, disposition, status) in zip(jobs, rows, strict=True)
                ),
                replayed=word == b"known",
            )
        if word == b"unknown_source":
            raise UnknownSource(answer[1].decode())
        if word == b"quota":
            raise QuotaExceeded(int(answer[1]))
        _raise_refusal(word)
        raise QueueError(f"the script answered {word!r}")

    # Agents.

    def lease(self, caller: Caller, ask: LeaseRequest) -> list[Lease]:
        """Work for a device, without waiting. Raises UnknownSource for another account's source."""
        return self._lease(caller, ask)[0]

    def lease_waiting(
        self,
        caller: Caller,
        ask: LeaseRequest,
        *,
        clock: Callable[[], float] = time.monotonic,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> list[Lease]:
        """Work for a device, as soon as there is some within ``wait_seconds``.

        *is_wanted* is asked before every further look: an agent that was killed while it waited
        (its connection is closed) must not be handed work that nobody will do.
        """
        until = clock() + ask.wait_seconds
        places = _places(caller, ask)
        while True:
            leases, due = self._lease(caller, ask)
            left = until - clock()
            if leases or left <= 0:
                return leases
            # Until a token comes or something falls due; never long, because a token may have
            # gone to an agent that could not use it.
            pause = min(left, _SLICE_SECONDS, due + 0.005 if due is not None else left)
            with redis_errors():
                token: Any = self.redis.blpop(
                    [f"linkrow:wake:{place}" for place in places], max(pause, 0.01)
                )
                if not is_wanted():
                    if token:
                        self.redis.rpush(*token)  # it was meant for somebody who is still there
                    return []

    def _lease(self, caller: Caller, ask: LeaseRequest) -> tuple[list[Lease], float | None]:
        # Begin at another place each time: a source with a million rows must not starve the others.
        places = self._turned(_places(caller, ask))
        terms = self._terms(caller) | {
            "sources": self._turned(ask.sources),
            "queues": list(names.queues_for(places, ask.capabilities)),
            "max": ask.max,
        }
        randoms = [secrets.token_urlsafe(9) for _ in range(ask.max)]
        answer = self._scripts.run("lease", [json.dumps(terms), *randoms])
        if answer[0] == b"unknown_source":
            raise UnknownSource(answer[1].decode())
        due = float(answer[2]) if answer[2] else None
        return [lease_of(*row) for row in answer[1]], due

    def _turned(self, places: Sequence[str]) -> list[str]:
        start = int(self._chance() * len(places))
        return [*places[start:], *places[:start]]

    def renew(self, caller: Caller, ask: RenewRequest) -> RenewAnswer:
        """Keep leases alive, and the time for rows that are still to be written."""
        arguments: list[str] = [json.dumps(self._terms(caller)), str(len(ask.leases))]
        for held in ask.leases:
            arguments += [held.job_id, held.lease_id]
        states = self._scripts.run("renew", [*arguments, *ask.writebacks])
        return RenewAnswer(
            leases=[
                Renewed(
                    job_id=held.job_id, lease_id=held.lease_id, state=LeaseState(state.decode())
                )
                for held, state in zip(ask.leases, states, strict=True)
            ]
        )

    def report(self, caller: Caller, reports: Sequence[Report]) -> list[Accepted]:
        """Take results: exactly one per job is accepted. One script for the whole batch."""
        arguments: list[str] = [json.dumps(self._terms(caller))]
        for report in reports:
            outcome = report.outcome
            again = retries.delays(outcome, steps=self.settings.retry_delays, chance=self._chance)
            arguments += [
                report.job_id,
                report.lease_id,
                outcome.status,
                outcome.conclusion,
                outcome_json(outcome),
                shown_result(outcome),
                ",".join(f"{delay:.3f}" for delay in again),
            ]
        return [
            accepted_of(report.job_id, row)
            for report, row in zip(reports, self._scripts.run("report", arguments), strict=True)
        ]

    def note_writebacks(
        self, caller: Caller, reports: Sequence[WritebackReport]
    ) -> list[WritebackNoted]:
        """What became of rows; the first word on each stays."""
        arguments = [caller.account_id, caller.device_id or ""]
        for report in reports:
            arguments += [report.job_id, report.writeback, report.detail]
        states = self._scripts.run("writebacks", arguments)
        return [
            WritebackNoted(
                job_id=report.job_id,
                writeback=Writeback(state.decode()) if state else Writeback(report.writeback),
            )
            for report, state in zip(reports, states, strict=True)
        ]

    def release(self, caller: Caller, ask: ReleaseRequest) -> int:
        """Take work back; it goes to the front of its queue. How many jobs that were."""
        places = [*ask.sources, *([caller.account_id] if ask.sourceless else [])]
        terms = self._terms(caller) | {"places": places if ask.all else []}
        arguments = [json.dumps(terms)]
        for held in ask.leases:
            arguments += [held.job_id, held.lease_id]
        return int(self._scripts.run("release", arguments))

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

    # Callers.

    def cancel(self, account_id: str, job_id: str) -> JobAnswer | None:
        """End a job that has not ended; None if Redis does not know it. Raises AlreadyFinal."""
        iso = utcformat(self._clock())
        answer = self._scripts.run("cancel", [account_id, job_id, iso, CANCELED_REASON])
        if answer == b"missing":
            return None
        if answer == b"final":
            raise AlreadyFinal(job_id)
        return self.job(account_id, job_id)

    def job(self, account_id: str, job_id: str) -> JobAnswer | None:
        """One job of the account, or None if Redis does not (or no longer) know it."""
        return self.jobs(account_id, [job_id]).get(job_id)

    def jobs(self, account_id: str, job_ids: Sequence[str]) -> dict[str, JobAnswer]:
        """Those of *job_ids* that Redis knows and the account owns."""
        found: dict[str, JobAnswer] = {}
        for chunk in chunks(job_ids):
            with redis_errors(), self.redis.pipeline(transaction=False) as pipe:
                for name in chunk:
                    pipe.hmget(f"rq:job:{name}", FIELDS)
                rows = pipe.execute()
                owed = [name for name, row in zip(chunk, rows, strict=True) if row[0] is None]
                for name in owed:
                    pipe.hmget(f"linkrow:obligation:{name}", OWED_FIELDS)
                copies = dict(zip(owed, pipe.execute(), strict=True)) if owed else {}
            for name, row in zip(chunk, rows, strict=True):
                record = record_of(name, row) or owed_record(name, copies.get(name))
                if record and record.account_id == account_id:
                    found[name] = record.answer()
        return found

    def wait_final(self, account_id: str, job_id: str, seconds: float) -> JobAnswer | None:
        """The job once it has ended, or as it stands after *seconds*."""
        pubsub: Any = self.redis.pubsub  # redis-py does not type it
        with redis_errors(), pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(f"linkrow:final:{job_id}")
            until = time.monotonic() + seconds
            while True:
                answer = self.job(account_id, job_id)
                left = until - time.monotonic()
                if answer is None or answer.status in FINAL_STATUSES or left <= 0:
                    return answer
                channel.get_message(timeout=left)

    def progress(self, account_id: str, refresh_id: str) -> RefreshProgress | None:
        """How far a refresh is, or None if Redis has not heard of it."""
        with redis_errors():
            counts: Any = self.redis.hgetall(f"linkrow:refresh:{account_id}:{refresh_id}")
        if not counts:
            return None
        numbers = {name.decode(): int(value) for name, value in counts.items()}
        submitted, finished = numbers.get("submitted", 0), numbers.get("finished", 0)
        return RefreshProgress(
            refresh_id=refresh_id,
            state="done" if finished >= submitted else "running",
            rows=None,
            submitted=submitted,
            finished=finished,
            by_conclusion={
                Conclusion(name.partition(":")[2]): count
                for name, count in numbers.items()
                if name.startswith("conclusion:") and count
            },
            by_writeback={
                Writeback(name.partition(":")[2]): count
                for name, count in numbers.items()
                if name.startswith("writeback:") and count
            },
        )

    # Housekeeping.

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
        return total

    def _queue_keys(self) -> list[bytes]:
        keys: Any = self.redis.smembers("rq:queues")
        return sorted(keys)

    def forget(self, job_ids: Sequence[str]) -> None:
        """The ledger has these endings: their keys may go in a minute."""
        for chunk in chunks(job_ids):
            self._scripts.run("forget", [self.settings.forget_seconds, *chunk])

    def backlog(self) -> int:
        """How many events the recorder has not booked yet."""
        with redis_errors():
            return int(self.redis.xlen(events.STREAM))

    def is_ready(self) -> bool:
        """Whether this Redis' life has begun: counters stand, requests may come in."""
        with redis_errors():
            return bool(self.redis.exists("linkrow:epoch"))

    # After a lost Redis.

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
            day=day,
        )

    def _refill(self, life: str) -> Refill:
        return Refill(self.redis, self._scripts, clock=self._clock, life=life)


_REFUSALS: Final[Mapping[bytes, Callable[[], QueueError]]] = {
    b"rebuilding": Rebuilding,
    b"backlog": RecorderBehind,
    b"stale": SignedBeforeEpoch,
    b"replayed": NonceReplayed,
    b"reused": IdempotencyKeyReused,
    b"queue_full": QueueFull,
}


def _raise_refusal(word: bytes) -> None:
    refusal = _REFUSALS.get(word)
    if refusal is not None:
        raise refusal()


def _places(caller: Caller, ask: LeaseRequest) -> list[str]:
    return [*dict.fromkeys(ask.sources), *([caller.account_id] if ask.sourceless else [])]
