"""Jobs, refreshes and sources as the scripts keep them, made into records and leases."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from relay.queue.rq_form import decode_data, decode_order
from relay.records import JobRecord, instant, parse_outcome
from relay.source_records import (
    RefreshRecord,
    SourceRecord,
    by_conclusion,
    by_writeback,
    run_progress,
)
from wire.models import Accepted, ErrorDetail, Lease, RefreshProgress
from wire.vocab import (
    Conclusion,
    JobKind,
    JobStatus,
    RefreshScope,
    RefreshState,
    ReportState,
    SourceKind,
    Writeback,
)

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
    if kind == JobKind.REFRESH.value.encode():
        return _refresh_lease(name, lease_id.decode(), delivery, row)
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


def _refresh_lease(job_id: str, lease_id: str, delivery: int, row: list[Any]) -> Lease:
    return Lease(
        job_id=job_id,
        lease_id=lease_id,
        kind=JobKind.REFRESH,
        source_id=row[2].decode(),
        row_id=None,
        tracking_url="",
        delivery=delivery,
        attempt=int(row[1]),
        refresh=decode_order(row[0]),
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
    if data is None or status is None or values["lr_kind"] == b"refresh":
        return None  # a refresh is no job that callers see
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


def progress_of(refresh_id: str, said: Mapping[bytes, bytes]) -> RefreshProgress | None:
    """A refresh or a run out of its hash; None if there is none, or only a late count."""
    counts: dict[str, int] = {}
    rows: dict[str, str] = {}
    for name, value in said.items():
        text = name.decode()
        if ":" in text or text in ("submitted", "finished"):
            counts[text] = int(value)
        else:
            rows[text] = value.decode()
    if "submitted" not in counts:
        return None
    if "state" not in rows:
        return run_progress(refresh_id, counts)
    code, ended_at = rows.get("error_code"), rows.get("ended_at")
    return RefreshProgress(
        refresh_id=refresh_id,
        source_id=rows["source"],
        scope=RefreshScope(rows["scope"]),
        state=RefreshState(rows["state"]),
        rows=int(rows["rows"]) if "rows" in rows else None,
        submitted=counts["submitted"],
        finished=counts.get("finished", 0),
        by_conclusion=by_conclusion(counts),
        by_writeback=by_writeback(counts),
        not_submitted=json.loads(rows.get("not_submitted", "{}")),
        error=ErrorDetail(code=code, detail=rows.get("error_detail", "")) if code else None,
        created_at=instant(float(rows["created_at"])),
        ended_at=instant(float(ended_at)) if ended_at else None,
    )


def with_said(
    source_id: str, account_id: str, record: SourceRecord | None, said: Mapping[bytes, bytes]
) -> SourceRecord | None:
    """A source as *record* of the books knows it, and as Redis has it said since then."""
    text = {name.decode(): value.decode() for name, value in said.items()}
    if record is None:
        if "created_at" not in text:
            return None
        created_at = float(text["created_at"])
        record = SourceRecord(source_id=source_id, account_id=account_id, created_at=created_at)
    if not text:
        return record
    return replace(
        record,
        kind=SourceKind(text["kind"]) if text.get("kind") else record.kind,
        name=text.get("name", record.name),
        max_age_seconds=int(text.get("max_age_seconds") or record.max_age_seconds),
        paused=text["paused"] == "1" if "paused" in text else record.paused,
        device_id=text.get("device_id") or record.device_id,
        last_seen_at=float(text["last_seen_at"]) if "last_seen_at" in text else record.last_seen_at,
        deleted_at=float(text["deleted_at"]) if "deleted_at" in text else None,
    )


def about_fields(record: SourceRecord) -> dict[str, str]:
    """What Redis holds of a source; the opposite of with_said."""
    seen, deleted = record.last_seen_at, record.deleted_at
    fields = {
        "created_at": f"{record.created_at:.6f}",
        "kind": record.kind or "",
        "name": record.name,
        "max_age_seconds": str(record.max_age_seconds),
        "paused": str(int(record.paused)),
        "device_id": record.device_id or "",
        "last_seen_at": f"{seen:.6f}" if seen is not None else "",
        "deleted_at": f"{deleted:.6f}" if deleted is not None else "",
    }
    return {name: value for name, value in fields.items() if value}


def refresh_fields(record: RefreshRecord) -> list[str]:
    """What the hash of a refresh holds besides its terms, as names and values."""
    fields = {
        "rows": "" if record.rows is None else str(record.rows),
        "not_submitted": json.dumps(dict(record.not_submitted)),
        "error_code": record.error.code if record.error else "",
        "error_detail": record.error.detail if record.error else "",
    }
    return [part for name, value in fields.items() if value for part in (name, value)]


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
