"""Refreshes: asked for, read by agents, watched, and taken back."""

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final

from rq.utils import utcformat

from relay.queue.admission import raise_refusal
from relay.queue.endings import CANCELED_REASON
from relay.queue.errors import (
    AlreadyFinal,
    QueueError,
    RefreshRunning,
    SourcePaused,
    UnknownSource,
)
from relay.queue.job_ids import refresh_job_id, same_order
from relay.queue.rq_form import (
    REFRESH,
    encode_data,
    failure,
    return_value,
    shared_fields,
    template,
)
from relay.queue.scripted import ScriptedQueue
from relay.queue.scripts import redis_errors
from relay.queue.stored import progress_of
from relay.queue.terms import Asked, Caller
from wire import ids
from wire.models import RefreshOrder, RefreshProgress
from wire.source_models import (
    DEFAULT_MAX_AGE_SECONDS,
    RefreshReport,
    RefreshReported,
    RefreshRequest,
)
from wire.vocab import REFRESH_IS_OVER, Disposition, ReadReportState, ReadState, RefreshScope

_ROWS_AT_ONCE: Final = 300
_STEPS_AT_ONCE: Final = 40


class Refreshing(ScriptedQueue):
    """One refresh of a source at a time."""

    def ask(
        self, caller: Caller, source_id: str, ask: RefreshRequest, *, idempotency_key: str
    ) -> Asked:
        """Let an agent read a source, or join the refresh that does it already.

        Raises NonceReplayed, SignedBeforeEpoch, Rebuilding, RecorderBehind, IdempotencyKeyReused,
        UnknownSource, SourcePaused or RefreshRunning.
        """
        order = RefreshOrder(
            refresh_id=ids.new_refresh_id(self._clock().astimezone(UTC)),
            scope=ask.scope,
            max_age_seconds=self._max_age(source_id, ask),
            row_ids=list(dict.fromkeys(ask.row_ids)),
        )
        route = f"POST /v1/sources/{source_id}/refresh"
        head = self._claims(caller, route=route, idempotency_key=idempotency_key) | {
            "source": source_id,
            "refresh": order.refresh_id,
            "job": refresh_job_id(caller.account_id, source_id, order.refresh_id),
            "scope": order.scope,
            "same": same_order(order),
            "expires_in": ask.expires_in,
        }
        shared = shared_fields(template(self.redis), utcformat(self._clock()))
        text = order.model_dump_json(exclude_defaults=True)
        word, *more = self._scripts.run(
            "refresh", [json.dumps(head), json.dumps(shared), encode_data(text, REFRESH), text]
        )
        match word:
            case b"ok":
                return Asked(refresh_id=more[0].decode(), disposition=Disposition(more[1].decode()))
            case b"unknown_source":
                raise UnknownSource(source_id)
            case b"source_paused":
                raise SourcePaused(source_id)
            case b"refresh_running":
                raise RefreshRunning(source_id, more[0].decode())
        raise_refusal(word)
        raise QueueError(f"the script answered {word!r}")

    def _max_age(self, source_id: str, ask: RefreshRequest) -> int | None:
        if ask.scope is not RefreshScope.STALE or ask.max_age_seconds is not None:
            return ask.max_age_seconds
        with redis_errors():
            said: Any = self.redis.hget(f"linkrow:about:{source_id}", "max_age_seconds")
        return int(said) if said else DEFAULT_MAX_AGE_SECONDS

    def report_reads(
        self, caller: Caller, reports: Sequence[RefreshReport]
    ) -> list[RefreshReported]:
        """How far a device is with reading; each word counts under the lease that it names."""
        arguments: list[str] = [json.dumps(self._terms(caller))]
        for report in reports:
            code = report.error.code if report.error else ""
            detail = report.error.detail if report.error else ""
            is_failed = report.state is ReadState.FAILED
            arguments += [
                report.job_id,
                report.lease_id,
                report.state,
                "" if report.rows is None else str(report.rows),
                json.dumps({name: count for name, count in report.not_submitted.items() if count}),
                code,
                detail,
                failure(f"{code}: {detail}") if is_failed else return_value({"rows": report.rows}),
            ]
        states = self._scripts.run("reads", arguments)
        return [
            RefreshReported(job_id=report.job_id, state=ReadReportState(state.decode()))
            for report, state in zip(reports, states, strict=True)
        ]

    def progress(self, account_id: str, refresh_id: str) -> RefreshProgress | None:
        """How far a refresh or a run is; None if Redis does not (or no longer) know it."""
        with redis_errors():
            said: Any = self.redis.hgetall(f"linkrow:refresh:{account_id}:{refresh_id}")
        return progress_of(refresh_id, said)

    def wait_over(self, account_id: str, refresh_id: str, seconds: float) -> RefreshProgress | None:
        """The refresh once it is over, or as it stands after *seconds*."""
        return self._wait(
            f"linkrow:over:{account_id}:{refresh_id}",
            lambda: self.progress(account_id, refresh_id),
            is_over=lambda found: found.state in REFRESH_IS_OVER,
            seconds=seconds,
        )

    def cancel_refresh(self, account_id: str, source_id: str, refresh_id: str) -> bool:
        """End a refresh and the jobs that nobody else asked for; of many, the clock ends the rest.

        False if Redis does not know it. Raises AlreadyFinal.
        """
        iso = utcformat(self._clock())
        arguments = [account_id, source_id, refresh_id, iso, CANCELED_REASON]
        answer = self._scripts.run("cancel_refresh", arguments)
        if answer == b"missing":
            return False
        if answer == b"final":
            raise AlreadyFinal(refresh_id, "refresh")
        self._cancel_rows(f"{account_id}:{source_id}:{refresh_id}", _STEPS_AT_ONCE)
        return True

    def cancel_rows(self) -> None:
        """Go on with what canceled refreshes have left."""
        with redis_errors():
            left: Any = self.redis.hkeys("linkrow:cancelings")
        steps = _STEPS_AT_ONCE  # for all of them: a sweep waits for it
        for member in left:
            steps -= self._cancel_rows(member.decode(), steps)

    def _cancel_rows(self, member: str, steps: int) -> int:
        """Some rows a step; how many steps that were."""
        iso = utcformat(self._clock())
        for step in range(steps):
            if not self._scripts.run("cancel_rows", [member, _ROWS_AT_ONCE, iso, CANCELED_REASON]):
                return step + 1
        return steps
