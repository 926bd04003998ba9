"""The gate of the queue: what comes in, each request once."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rq.utils import utcformat

from relay.queue import names
from relay.queue.endings import SUPERSEDED_REASON
from relay.queue.errors import (
    IdempotencyKeyReused,
    NonceReplayed,
    QueueError,
    QueueFull,
    QuotaExceeded,
    Rebuilding,
    RecorderBehind,
    RefreshIsOver,
    SignedBeforeEpoch,
    UnknownSource,
)
from relay.queue.job_ids import job_id, sameness
from relay.queue.rq_form import encode_data, shared_fields, template
from relay.queue.scripted import ScriptedQueue
from relay.queue.terms import Admission, Caller, Limits
from wire.models import JobRequest, SubmittedJob
from wire.vocab import Disposition, JobStatus, RefreshState

_MAX_FOLLOWERS: Final = 20


class Admitting(ScriptedQueue):
    """Requests come in."""

    def spend_nonce(self, caller: Caller) -> None:
        """Let a request in, once. Raises NonceReplayed, SignedBeforeEpoch or Rebuilding."""
        answer = self._scripts.run("nonce", [caller.key_id, caller.nonce, caller.timestamp])
        raise_refusal(answer)

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
        UnknownSource, RefreshIsOver, QueueFull or QuotaExceeded.
        """
        iso = utcformat(self._clock())
        shared = shared_fields(template(self.redis), iso)
        head = self._claims(caller, route=route, idempotency_key=idempotency_key) | {
            "max_depth": -1 if limits.max_depth is None else limits.max_depth,
            "rows_per_day": -1 if limits.rows_per_day is None else limits.rows_per_day,
            "max_followers": _MAX_FOLLOWERS,
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
        if word == b"refresh_over":
            raise RefreshIsOver(answer[1].decode(), RefreshState(answer[2].decode()))
        raise_refusal(word)
        raise QueueError(f"the script answered {word!r}")


_REFUSALS: Final[Mapping[bytes, Callable[[], QueueError]]] = {
    b"rebuilding": Rebuilding,
    b"backlog": RecorderBehind,
    b"stale": SignedBeforeEpoch,
    b"replayed": NonceReplayed,
    b"reused": IdempotencyKeyReused,
    b"queue_full": QueueFull,
}


def raise_refusal(word: bytes) -> None:
    """Raise what *word*, with which a script refused a request, means; if it means anything."""
    refusal = _REFUSALS.get(word)
    if refusal is not None:
        raise refusal()
