"""A job as it is stored, in Redis and in the ledger, and the answer that is made of it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from wire.models import JobAnswer, JobRequest, Outcome
from wire.vocab import Conclusion, JobKind, JobStatus, Writeback, check_status


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """Everything there is to know about one job. Times are unix seconds on Redis' clock."""

    job_id: str
    account_id: str
    request: JobRequest
    status: JobStatus
    created_at: float
    kind: JobKind = JobKind.LINK
    conclusion: Conclusion | None = None
    outcome: Outcome | None = None
    skip_reason: str = ""
    attempts: int = 0
    device_id: str | None = None
    writeback: Writeback = Writeback.NONE
    writeback_detail: str = ""
    checked_at: float | None = None
    joined_by: tuple[str, ...] = ()
    """Refreshes besides its own that count it too; known only where a lost Redis is filled."""

    def answer(self) -> JobAnswer:
        """The job as a caller sees it."""
        request, outcome = self.request, self.outcome
        return JobAnswer(
            job_id=self.job_id,
            kind=self.kind,
            source_id=request.source_id,
            row_id=request.row_id,
            tracking_url=request.tracking_url,
            expected_domain=request.expected_domain,
            offer_name=request.offer_name,
            context=request.context,
            tier=request.tier,
            profile=request.profile,
            refresh_id=request.refresh_id,
            status=self.status,
            check_status=check_status(self.status, self.conclusion),
            conclusion=self.conclusion,
            final_url=outcome.final_url if outcome else None,
            http_status=outcome.http_status if outcome else None,
            hops=outcome.hops if outcome else [],
            error=outcome.error if outcome else None,
            skip_reason=self.skip_reason,
            previous_final_url=request.previous_final_url,
            destination_changed=outcome.destination_changed if outcome else False,
            flags=outcome.flags if outcome else [],
            attempts=self.attempts,
            device_id=self.device_id,
            writeback=self.writeback,
            writeback_detail=self.writeback_detail,
            created_at=instant(self.created_at),
            checked_at=instant(self.checked_at) if self.checked_at is not None else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshCount:
    """How many *jobs* of a refresh stand alike in the books; no *conclusion* = not ended."""

    account_id: str
    refresh_id: str
    conclusion: Conclusion | None
    writeback: Writeback
    jobs: int


def instant(seconds: float) -> datetime:
    """Unix seconds as a UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def outcome_json(outcome: Outcome) -> str:
    """An outcome as it is stored."""
    return outcome.model_dump_json(exclude_defaults=True)


def parse_outcome(text: str | bytes) -> Outcome | None:
    """A stored outcome, or None where a job ended without one (canceled, expired)."""
    return Outcome.model_validate_json(text) if text else None
