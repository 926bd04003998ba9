"""The queue as the relay uses it: each transition is one script, and nothing else writes a job."""

import base64
import json
import logging
import random
import secrets
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Final, TypeVar

import redis as redis_py
from rq import Queue
from rq.utils import utcformat

from relay import events
from relay.queue import names, retries
from relay.queue.errors import (
    AlreadyFinal,
    IdempotencyKeyReused,
    NonceReplayed,
    QueueError,
    QueueFull,
    QuotaExceeded,
    Rebuilding,
    RecorderBehind,
    RedisUnavailable,
    RedisUnsafe,
    SignedBeforeEpoch,
    UnknownSource,
)
from relay.queue.job_ids import job_id
from relay.records import JobRecord, RefreshCount, parse_outcome
from wire.models import (
    Accepted,
    ErrorDetail,
    JobAnswer,
    JobRequest,
    Lease,
    LeaseRequest,
    Outcome,
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
    JobKind,
    JobStatus,
    LeaseState,
    ReportState,
    Writeback,
)

FUNCTION: Final = "relay.remote.resolve"
MAX_FOLLOWERS: Final = 20
_SLICE_SECONDS: Final = 5.0
_CHUNK: Final = 500
_REFRESH_SECONDS: Final = 7 * 86400

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How patient the queue is. Everything but *retry_delays* and limits is in seconds."""

    lease_seconds: int = 60
    renew_seconds: int = 20
    max_lease_seconds: int = 900
    max_deliveries: int = 10
    obligation_seconds: int = 120
    unserved_seconds: int = 7 * 86400
    idempotency_seconds: int = 86400
    forget_seconds: int = 60
    backlog_limit: int = 200_000
    retry_delays: tuple[float, ...] = (2.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A request whose signature held. *body_sha256* is lower-case hex, *timestamp* unix seconds."""

    account_id: str
    key_id: str
    timestamp: int
    nonce: str
    body_sha256: str = ""
    device_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan allows an account; None is no limit."""

    max_depth: int | None = None
    rows_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What became of each job of a request, in its order. *replayed*: it is the first answer."""

    jobs: tuple[SubmittedJob, ...]
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCounts:
    """What one sweep found."""

    leases: int = 0
    expired: int = 0
    unserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """What Redis says of itself."""

    version: str
    is_durable: bool
    policy: str


def _outcome_json(outcome: Outcome) -> str:
    return outcome.model_dump_json(exclude_defaults=True)


_LOST = Outcome(
    status=JobStatus.FAILED,
    conclusion=Conclusion.AGENT_LOST,
    error=ErrorDetail(
        code="agent_lost",
        detail="agent after agent took this link and none came back with a result",
    ),
)
_EXPIRED_REASON: Final = "no agent took the link in time; is one running that serves this source?"
_UNABLE_REASON: Final = "no agent that can do %s took the link in time"
_SUPERSEDED_REASON: Final = "a newer check of this row replaced it"
_CANCELED_REASON: Final = "canceled by a caller"
_DELETED_REASON: Final = "deleted from the queue by hand"
_RQ_CANCELED_REASON: Final = "canceled through RQ by hand"
_UNSERVED_REASON: Final = "no agent that serves the source came back to write the row"


@cache
def _script_text(name: str) -> str:
    folder = resources.files("relay.queue") / "lua"
    library = (folder / "library.lua").read_text("utf-8")
    return library + (folder / f"{name}.lua").read_text("utf-8")


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
        self._scripts = {
            name: redis.register_script(_script_text(name))
            for name in (
                "admit", "cancel", "forget", "lease", "nonce", "release", "renew", "report",
                "restore", "sweep", "writebacks",
            )
        }  # fmt: skip

    # The gate.

    def check(self, *, allow_unsafe: bool = False) -> RedisFacts:
        """What Redis is. Raises RedisUnsafe unless it keeps what it is given, or *allow_unsafe*."""
        with _ours():
            info: dict[str, Any] = self.redis.info()
        version = str(info.get("redis_version", "0"))
        facts = RedisFacts(
            version=version,
            is_durable=bool(int(info.get("aof_enabled", 0))),
            policy=str(info.get("maxmemory_policy", "noeviction")),
        )
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < (6, 2):
            raise RedisUnsafe(f"Redis {version} is too old", "install Redis 6.2 or newer")
        if allow_unsafe:
            return facts
        if facts.policy != "noeviction":
            raise RedisUnsafe(
                f"Redis throws jobs away when it is full (maxmemory-policy {facts.policy})",
                "set maxmemory-policy noeviction, or LINKROW_ALLOW_UNSAFE_REDIS=1 to risk it",
            )
        if not facts.is_durable:
            raise RedisUnsafe(
                "Redis forgets acknowledged jobs when it stops (appendonly no)",
                "set appendonly yes, or LINKROW_ALLOW_UNSAFE_REDIS=1 to risk it",
            )
        return facts

    def spend_nonce(self, caller: Caller) -> None:
        """Let a request in, once. Raises NonceReplayed, SignedBeforeEpoch or Rebuilding."""
        answer = self._run("nonce", [caller.key_id, caller.nonce, caller.timestamp])
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
            "superseded_reason": _SUPERSEDED_REASON,
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
        arguments: list[str | bytes] = [json.dumps(head), json.dumps(self._shared_fields(iso))]
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
                queue_of(job, caller.account_id),
                sameness(job),
                request,
                encode_data(request),
                json.dumps({"context": job.context}) if job.context is not None else "{}",
                str(job.expires_in),
            ]
        answer = self._run("admit", arguments)
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

    def _shared_fields(self, iso: str) -> list[str]:
        """RQ's fields that all jobs of a request share, as RQ itself writes them."""
        template = _template(self.redis)
        fields: list[str] = []
        for name, value in template.items():
            fields += [name, value]
        return [*fields, "created_at", iso, "enqueued_at", iso]

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
            with _ours():
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
        answer = self._run("lease", [json.dumps(terms), *randoms])
        if answer[0] == b"unknown_source":
            raise UnknownSource(answer[1].decode())
        due = float(answer[2]) if answer[2] else None
        return [_lease_of(*row) for row in answer[1]], due

    def _turned(self, places: Sequence[str]) -> list[str]:
        start = int(self._chance() * len(places))
        return [*places[start:], *places[:start]]

    def renew(self, caller: Caller, ask: RenewRequest) -> RenewAnswer:
        """Keep leases alive, and the time for rows that are still to be written."""
        arguments: list[str] = [json.dumps(self._terms(caller)), str(len(ask.leases))]
        for held in ask.leases:
            arguments += [held.job_id, held.lease_id]
        states = self._run("renew", [*arguments, *ask.writebacks])
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
        arguments: list[str] = [json.dumps(self._terms(caller) | {"fields": _FIELDS})]
        for report in reports:
            outcome = report.outcome
            again = retries.delays(outcome, steps=self.settings.retry_delays, chance=self._chance)
            arguments += [
                report.job_id,
                report.lease_id,
                outcome.status,
                outcome.conclusion,
                _outcome_json(outcome),
                _rq_result(outcome),
                ",".join(f"{delay:.3f}" for delay in again),
            ]
        return [
            self._accepted(caller.account_id, report, ReportState(state.decode()), row)
            for report, (state, row) in zip(reports, self._run("report", arguments), strict=True)
        ]

    def _accepted(
        self, account_id: str, report: Report, state: ReportState, row: Sequence[bytes | None]
    ) -> Accepted:
        job: JobAnswer | None = None
        if state is ReportState.ACCEPTED:
            record = _record(report.job_id, row, outcome=report.outcome)
            job = record.answer() if record else None
        elif state is ReportState.DUPLICATE:
            # Its hash may be gone by now, and the marker does not say whose the job is.
            job = self.job(account_id, report.job_id)
        return Accepted(job_id=report.job_id, state=state, job=job)

    def note_writebacks(
        self, caller: Caller, reports: Sequence[WritebackReport]
    ) -> list[WritebackNoted]:
        """What became of rows; the first word on each stays."""
        arguments = [caller.account_id, caller.device_id or ""]
        for report in reports:
            arguments += [report.job_id, report.writeback, report.detail]
        states = self._run("writebacks", arguments)
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
        return int(self._run("release", arguments))

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
        return {
            "iso": utcformat(self._clock()),
            "max_deliveries": self.settings.max_deliveries,
            "lost_outcome": _outcome_json(_LOST),
            "lost_result": _rq_result(_LOST),
            "expired_reason": _EXPIRED_REASON,
            "deleted_reason": _DELETED_REASON,
            "unable_reason": _UNABLE_REASON,
            "expired_result": _return_value({"conclusion": Conclusion.JOB_EXPIRED}),
        }

    # Callers.

    def cancel(self, account_id: str, job_id: str) -> JobAnswer | None:
        """End a job that has not ended; None if Redis does not know it. Raises AlreadyFinal."""
        iso = utcformat(self._clock())
        answer = self._run("cancel", [account_id, job_id, iso, _CANCELED_REASON])
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
        for chunk in _chunks(job_ids):
            with _ours(), self.redis.pipeline(transaction=False) as pipe:
                for name in chunk:
                    pipe.hmget(f"rq:job:{name}", _FIELDS)
                rows = pipe.execute()
                owed = [name for name, row in zip(chunk, rows, strict=True) if row[0] is None]
                for name in owed:
                    pipe.hmget(f"linkrow:obligation:{name}", _OWED_FIELDS)
                copies = dict(zip(owed, pipe.execute(), strict=True)) if owed else {}
            for name, row in zip(chunk, rows, strict=True):
                record = _record(name, row) or _owed_record(name, copies.get(name))
                if record and record.account_id == account_id:
                    found[name] = record.answer()
        return found

    def wait_final(self, account_id: str, job_id: str, seconds: float) -> JobAnswer | None:
        """The job once it has ended, or as it stands after *seconds*."""
        pubsub: Any = self.redis.pubsub  # redis-py does not type it
        with _ours(), pubsub(ignore_subscribe_messages=True) as channel:
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
        with _ours():
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
        with _ours():
            queues = [key.decode().removeprefix("rq:queue:") for key in self._queue_keys()]
        ours = [queue for queue in queues if queue.startswith(names.PREFIX)]
        total = SweepCounts()
        for chunk in _chunks(ours) if ours else [[]]:
            terms = self._ending_terms() | {
                "queues": chunk,
                "limit": limit,
                "unserved_seconds": self.settings.unserved_seconds,
                "unserved_reason": _UNSERVED_REASON,
                "rq_canceled_reason": _RQ_CANCELED_REASON,
            }
            leases, expired, unserved = self._run("sweep", [json.dumps(terms)])
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
        for chunk in _chunks(job_ids):
            self._run("forget", [self.settings.forget_seconds, *chunk])

    def backlog(self) -> int:
        """How many events the recorder has not booked yet."""
        with _ours():
            return int(self.redis.xlen(events.STREAM))

    def is_ready(self) -> bool:
        """Whether this Redis' life has begun: counters stand, requests may come in."""
        with _ours():
            return bool(self.redis.exists("linkrow:epoch"))

    # After a lost Redis.

    def rebuild(
        self,
        *,
        sources: Iterable[tuple[str, str]],
        quotas: Iterable[tuple[str, int]],
        unfinished: Iterable[JobRecord],
        owed: Iterable[JobRecord],
        refreshes: Iterable[RefreshCount] = (),
    ) -> int:
        """Fill an empty Redis from the books, then open it. How many jobs wait again.

        *sources* are (source id, account), *quotas* (account, rows admitted today, UTC). Jobs that
        had not ended are queued anew under their own ids; *owed* are ended ones whose rows are
        still to be written; *refreshes* say how far each refresh was. Call it while holding a lock;
        nothing is admitted until it returns, and a call that was cut short may be repeated.
        """
        iso = utcformat(self._clock())
        shared = json.dumps(self._shared_fields(iso))
        with _ours():
            for chunk in _chunks(list(sources)):
                with self.redis.pipeline(transaction=False) as pipe:
                    for source_id, account_id in chunk:
                        pipe.set(f"linkrow:source:{source_id}", account_id)
                    pipe.execute()
            seconds, _ = self.redis.time()
            for account_id, used in quotas:
                self.redis.set(f"linkrow:quota:{account_id}:{seconds // 86400}", used, ex=2 * 86400)
        self._restore_progress(refreshes)
        restored = 0
        for records in _chunked(unfinished):
            arguments: list[str | bytes] = [shared]
            for record in records:
                request = record.request
                arguments += [
                    record.job_id,
                    queue_of(request, record.account_id),
                    sameness(request),
                    encode_data(request.model_dump_json(exclude_defaults=True)),
                    record.account_id,
                    request.source_id or "",
                    request.row_id or "",
                    request.refresh_id or "",
                    f"{record.created_at:.6f}",
                    f"{record.created_at + request.expires_in:.6f}",
                ]
            restored += int(self._run("restore", arguments))
        for records in _chunked(owed):
            self._restore_owed(records)
        with _ours():
            seconds, _ = self.redis.time()
            self.redis.set("linkrow:epoch", seconds, nx=True)
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
        with _ours(), self.redis.pipeline(transaction=False) as pipe:
            for key, fields in counts.items():
                for field, count in fields.items():
                    pipe.hset(key, field, str(count))
                pipe.expire(key, _REFRESH_SECONDS)
            pipe.execute()

    def _restore_owed(self, records: Sequence[JobRecord]) -> None:
        with _ours(), self.redis.pipeline(transaction=True) as pipe:
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
                        "outcome": _outcome_json(record.outcome) if record.outcome else "",
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

    def _run(self, name: str, arguments: Sequence[Any]) -> Any:
        with _ours():
            return self._scripts[name](args=list(arguments))


_FIELDS: Final = (
    "data", "lr_account_id", "lr_kind", "lr_status", "lr_conclusion", "lr_outcome",
    "lr_skip_reason", "lr_attempts", "lr_created_at", "lr_checked_at", "lr_device_id",
    "lr_writeback", "lr_writeback_detail",
)  # fmt: skip
_OWED_FIELDS: Final = (
    "data", "account_id", "kind", "status", "conclusion", "outcome", "skip_reason", "attempts",
    "created_at", "checked_at", "result_device",
)  # fmt: skip


@contextmanager
def _ours() -> Iterator[None]:
    """Redis' exceptions stop here. A full Redis has done nothing of what was asked."""
    try:
        yield
    except redis_py.exceptions.RedisError as error:
        raise RedisUnavailable(f"{type(error).__name__}: {str(error)[:200]}") from error


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


_OWN_TO_EACH: Final = frozenset(
    {"data", "origin", "status", "description", "created_at", "enqueued_at"}
)


def _template(redis: "redis_py.Redis") -> dict[str, str]:
    """What RQ writes for every new job of ours alike."""
    job = Queue(f"{names.PREFIX}template", connection=redis, serializer="json").create_job(
        FUNCTION, args=(None,), job_id="template", description="link", timeout=3600, result_ttl=-1
    )
    fields: dict[str, str] = {}
    for name, value in job.to_dict().items():
        if name in _OWN_TO_EACH or value is None:
            continue
        fields[name] = value if isinstance(value, str) else str(value)
    return fields


def encode_data(request: str) -> bytes:
    """RQ's ``data`` of a job: the JSON serializer's call of our function, compressed."""
    return zlib.compress(f'["{FUNCTION}", null, [{request}], {{}}]'.encode(), 1)


def decode_data(data: bytes) -> JobRequest:
    """The request in RQ's ``data``."""
    return JobRequest.model_validate(json.loads(zlib.decompress(data))[2][0])


def queue_of(job: JobRequest, account_id: str) -> str:
    """The RQ queue *job* waits in."""
    return names.queue_of(job.source_id or account_id, tier=job.tier, profile=job.profile)


def sameness(job: JobRequest) -> str:
    """What two requests for one row must share for the second to join the first."""
    parts = json.dumps([job.tracking_url, job.expected_domain, job.tier, job.profile])
    return sha256(parts.encode()).hexdigest()[:16]


def _places(caller: Caller, ask: LeaseRequest) -> list[str]:
    return [*dict.fromkeys(ask.sources), *([caller.account_id] if ask.sourceless else [])]


def _return_value(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def _rq_result(outcome: Outcome) -> str:
    """What RQ shows of a result: short, the whole of it is ours to keep."""
    if outcome.status is JobStatus.FAILED:
        text = f"{outcome.conclusion}: {outcome.error.detail if outcome.error else ''}"
        return base64.b64encode(zlib.compress(text.encode(), 1)).decode()
    return _return_value({"conclusion": outcome.conclusion, "final_url": outcome.final_url})


def _lease_of(kind: bytes, job_id: bytes, lease_id: bytes, delivery: int, row: list[Any]) -> Lease:
    name = job_id.decode()
    record = _owed_record(name, row) if kind == b"writeback" else None
    request = record.request if record else decode_data(row[0])
    return Lease(
        job_id=name,
        lease_id=lease_id.decode(),
        kind=JobKind(kind.decode()),
        source_id=request.source_id,
        row_id=request.row_id,
        tracking_url=request.tracking_url,
        expected_domain=request.expected_domain,
        tier=request.tier,
        profile=request.profile,
        previous_final_url=request.previous_final_url,
        delivery=delivery,
        attempt=record.attempts if record else int(row[1]),
        result=record.answer() if record else None,
    )


def _record(
    job_id: str, row: Sequence[bytes | None], *, outcome: Outcome | None = None
) -> JobRecord | None:
    """A job out of its hash; None if there is none, or it is not ours. *outcome* if it is known."""
    values = dict(zip(_FIELDS, row, strict=True))
    data, status = values["data"], values["lr_status"]
    if data is None or status is None:
        return None
    text = {name: value.decode() for name, value in values.items() if value and name != "data"}
    return JobRecord(
        job_id=job_id,
        account_id=text["lr_account_id"],
        request=decode_data(data),
        kind=JobKind(text.get("lr_kind", "link")),
        status=JobStatus(text["lr_status"]),
        conclusion=Conclusion(text["lr_conclusion"]) if "lr_conclusion" in text else None,
        outcome=outcome or parse_outcome(text.get("lr_outcome", "")),
        skip_reason=text.get("lr_skip_reason", ""),
        attempts=int(text.get("lr_attempts", 0)),
        device_id=text.get("lr_device_id"),
        writeback=Writeback(text.get("lr_writeback", "none")),
        writeback_detail=text.get("lr_writeback_detail", ""),
        created_at=float(text["lr_created_at"]),
        checked_at=float(text["lr_checked_at"]) if "lr_checked_at" in text else None,
    )


def _owed_record(job_id: str, row: Sequence[bytes | None] | None) -> JobRecord | None:
    """A job out of its obligation's copy."""
    if row is None or row[0] is None:
        return None
    text = {
        name: value.decode()
        for name, value in zip(_OWED_FIELDS, row, strict=True)
        if value and name != "data"
    }
    return JobRecord(
        job_id=job_id,
        account_id=text["account_id"],
        request=decode_data(row[0]),
        kind=JobKind(text.get("kind", "link")),
        status=JobStatus(text["status"]),
        conclusion=Conclusion(text["conclusion"]),
        outcome=parse_outcome(text.get("outcome", "")),
        skip_reason=text.get("skip_reason", ""),
        attempts=int(text.get("attempts", 0)),
        device_id=text.get("result_device"),
        writeback=Writeback.PENDING,
        created_at=float(text["created_at"]),
        checked_at=float(text["checked_at"]) if "checked_at" in text else None,
    )


def _chunks(items: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _chunked(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
