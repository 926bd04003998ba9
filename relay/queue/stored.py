"""Jobs as the scripts keep them, made into records and leases."""

from collections.abc import Sequence
from typing import Any, Final

from relay.queue.rq_form import decode_data
from relay.records import JobRecord, instant, parse_outcome
from wire.models import Accepted, Lease
from wire.vocab import Conclusion, JobKind, JobStatus, ReportState, Writeback

FIELDS: Final = (
    "data", "lr_account_id", "lr_kind", "lr_status", "lr_conclusion", "lr_outcome",
    "lr_skip_reason", "lr_attempts", "lr_created_at", "lr_checked_at", "lr_device_id",
    "lr_writeback", "lr_writeback_detail",
)  # fmt: skip
OWED_FIELDS: Final = (
    "data", "account_id", "kind", "status", "conclusion", "outcome", "skip_reason", "attempts",
    "created_at", "checked_at", "result_device",
)  # fmt: skip


def lease_of(kind: bytes, job_id: bytes, lease_id: bytes, delivery: int, row: list[Any]) -> Lease:
    """What LEASE answers for one job."""
    name = job_id.decode()
    record = owed_record(name, row) if kind == b"writeback" else None
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


def accepted_of(job_id: str, row: Sequence[Any]) -> Accepted:
    """What REPORT answers for one result: its state, and for a job that ended how it stands."""
    state = ReportState(row[0].decode())
    if len(row) == 1:
        return Accepted(job_id=job_id, state=state)
    _, attempts, created_at, checked_at, writeback = row
    return Accepted(
        job_id=job_id,
        state=state,
        attempts=int(attempts),
        created_at=instant(float(created_at)),
        checked_at=instant(float(checked_at)),
        writeback=Writeback(writeback.decode()),
    )


def record_of(job_id: str, row: Sequence[bytes | None]) -> JobRecord | None:
    """A job out of its hash; None if there is none, or it is not ours."""
    values = dict(zip(FIELDS, row, strict=True))
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
        outcome=parse_outcome(text.get("lr_outcome", "")),
        skip_reason=text.get("lr_skip_reason", ""),
        attempts=int(text.get("lr_attempts", 0)),
        device_id=text.get("lr_device_id"),
        writeback=Writeback(text.get("lr_writeback", "none")),
        writeback_detail=text.get("lr_writeback_detail", ""),
        created_at=float(text["lr_created_at"]),
        checked_at=float(text["lr_checked_at"]) if "lr_checked_at" in text else None,
    )


def owed_record(job_id: str, row: Sequence[bytes | None] | None) -> JobRecord | None:
    """A job out of its obligation's copy."""
    if row is None or row[0] is None:
        return None
    text = {
        name: value.decode()
        for name, value in zip(OWED_FIELDS, row, strict=True)
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
