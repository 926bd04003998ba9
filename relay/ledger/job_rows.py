"""A row of the jobs table, made into a record."""

from typing import Any

from relay.ledger.schema import jobs
from relay.records import JobRecord, parse_outcome
from wire.models import JobRequest
from wire.vocab import Conclusion, JobKind, JobStatus, Writeback


def record_of(row: Any) -> JobRecord:
    """The job in *row*, a mapping with every column."""
    return JobRecord(
        job_id=row[jobs.c.job_id],
        account_id=row[jobs.c.account_id],
        request=JobRequest.model_validate_json(row[jobs.c.request]),
        kind=JobKind(row[jobs.c.kind]),
        status=JobStatus(row[jobs.c.status]),
        conclusion=Conclusion(row[jobs.c.conclusion]) if row[jobs.c.conclusion] else None,
        outcome=parse_outcome(row[jobs.c.outcome] or ""),
        skip_reason=row[jobs.c.skip_reason],
        attempts=row[jobs.c.attempts],
        device_id=row[jobs.c.device_id],
        writeback=Writeback(row[jobs.c.writeback]),
        writeback_detail=row[jobs.c.writeback_detail],
        created_at=row[jobs.c.created_at],
        checked_at=row[jobs.c.checked_at],
    )
