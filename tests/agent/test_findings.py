"""What a report's answer means for the row."""

from datetime import UTC, datetime

import pytest

from agent.findings import Finding, to_write
from connector.results import change_for
from relay.records import JobRecord
from wire.models import Accepted, ErrorDetail, Hop, JobRequest, Lease, Outcome, Report
from wire.vocab import Conclusion, HopKind, JobKind, JobStatus, ReportState, Tier, Writeback

JOB = "6a1f3f0e-0000-5000-8000-000000000001"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ASKED = {
    "source_id": "src_a",
    "row_id": "r_1",
    "tracking_url": "https://t.example/1",
    "expected_domain": "shop.example",
    "tier": Tier.PREMIUM,
    "profile": "phone",
    "previous_final_url": "https://before.example/",
}
LEASE = Lease(job_id=JOB, lease_id="1-aaaaaaaa", kind=JobKind.LINK, delivery=1, attempt=1, **ASKED)
HOPS = [
    Hop(url=f"https://h{number}.example/", status=302, kind=HopKind.HTTP, ms=1, ip="192.0.2.1")
    for number in range(3)
]
LANDED = Outcome(
    status=JobStatus.DONE,
    conclusion=Conclusion.DOMAIN_MISMATCH,
    final_url="https://other.example/",
    http_status=200,
    hops=HOPS,
    error=ErrorDetail(code="domain_mismatch", detail="another domain"),
    destination_changed=True,
    flags=["idn"],
)
FAILED = Outcome(
    status=JobStatus.FAILED,
    conclusion=Conclusion.TIMEOUT,
    hops=HOPS[:1],
    error=ErrorDetail(code="timeout", detail="no answer in time"),
)
INVALID = Outcome(
    status=JobStatus.INVALID,
    conclusion=Conclusion.INVALID_URL,
    error=ErrorDetail(code="not_a_url", detail="no link"),
)


def found(outcome: Outcome = LANDED, lease: Lease | None = LEASE) -> Finding:
    report = Report(job_id=JOB, lease_id="1-aaaaaaaa", outcome=outcome)
    return Finding(lease=lease, report=report)


def record(outcome: Outcome = LANDED, writeback: Writeback = Writeback.PENDING) -> JobRecord:
    """The same job as the relay knows it."""
    return JobRecord(
        job_id=JOB,
        account_id="acc_1",
        request=JobRequest(offer_name="Autumn", context={"a": 1}, **ASKED),
        status=outcome.status,
        conclusion=outcome.conclusion,
        outcome=outcome,
        created_at=NOW.timestamp() - 60,
        checked_at=NOW.timestamp(),
        attempts=3,
        device_id="dev_1",
        writeback=writeback,
    )


def answered(job: JobRecord, state: ReportState = ReportState.ACCEPTED) -> Accepted:
    told = job.answer()
    return Accepted(
        job_id=JOB,
        state=state,
        created_at=told.created_at,
        checked_at=told.checked_at,
        writeback=told.writeback,
        attempts=told.attempts,
    )


@pytest.mark.parametrize("outcome", [LANDED, FAILED, INVALID], ids=["done", "failed", "invalid"])
def test_the_row_reads_as_the_relay_itself_would_tell_it(outcome) -> None:
    told = record(outcome)

    owed = to_write(found(outcome), answered(told))

    assert owed is not None
    assert change_for(owed.job, now=NOW) == change_for(told.answer(), now=NOW)
    left_out = {"offer_name": "", "context": None, "device_id": None}
    assert owed.job == told.answer().model_copy(update=left_out)


@pytest.mark.parametrize(
    ("state", "is_written"),
    [
        (ReportState.ACCEPTED, True),
        (ReportState.DUPLICATE, True),
        (ReportState.RETRY, False),
        (ReportState.STALE, False),
    ],
)
def test_only_the_jobs_ending_is_written(state, is_written) -> None:
    assert (to_write(found(), answered(record(), state)) is not None) is is_written


@pytest.mark.parametrize("writeback", [Writeback.NONE, Writeback.WRITTEN, Writeback.CONFLICT])
def test_a_row_that_has_its_word_is_not_written_again(writeback) -> None:
    assert to_write(found(), answered(record(writeback=writeback))) is None


def test_a_report_the_relay_will_never_take_is_not_written() -> None:
    assert to_write(found(), None) is None


def test_a_duplicate_of_a_job_the_relay_forgot_is_not_written() -> None:
    assert to_write(found(), Accepted(job_id=JOB, state=ReportState.DUPLICATE)) is None


def test_what_an_older_version_kept_without_its_lease_is_left_to_the_relay() -> None:
    assert to_write(found(lease=None), answered(record())) is None
