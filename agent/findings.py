"""What was asked, what was found, what the relay made of it: together, what a row is to say."""

from dataclasses import dataclass
from datetime import datetime

from agent.holdings import key_of
from wire.models import Accepted as Answer
from wire.models import JobAnswer, Lease, Report
from wire.vocab import ReportState, Writeback, check_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One walked link. *lease* is None only for what an older version left in the spool."""

    lease: Lease | None
    report: Report

    @property
    def key(self) -> str:
        """The delivery it answers."""
        return key_of(self.report.job_id, self.report.lease_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the relay alone knows of a job that has ended; its clock is the one that counts."""

    created_at: datetime
    checked_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A final result whose row is to be written. *lease_id* says which delivery brought it.

    *ending* is there when the result is our own finding; another agent's comes as a whole *job*.
    """

    lease_id: str
    job: JobAnswer
    ending: Ending | None = None


def to_write(finding: Finding, answer: Answer | None) -> Accepted | None:
    """What is to be written now that the relay gave this *answer*; None when it is nothing.

    None as well when an older version kept no lease: the relay will hand the result out again as
    one to write.
    """
    if answer is None or answer.state not in (ReportState.ACCEPTED, ReportState.DUPLICATE):
        return None
    if answer.writeback is not Writeback.PENDING:
        return None
    if finding.lease is None or answer.created_at is None:
        return None
    ending = Ending(
        created_at=answer.created_at, checked_at=answer.checked_at, attempts=answer.attempts
    )
    return Accepted(
        lease_id=finding.report.lease_id,
        job=composed(finding.lease, finding.report, ending),
        ending=ending,
    )


def composed(lease: Lease, report: Report, ending: Ending) -> JobAnswer:
    """The ended job, as far as its row wants to know it."""
    outcome = report.outcome
    return JobAnswer(
        job_id=report.job_id,
        source_id=lease.source_id,
        row_id=lease.row_id,
        tracking_url=lease.tracking_url,
        expected_domain=lease.expected_domain,
        tier=lease.tier,
        profile=lease.profile,
        status=outcome.status,
        check_status=check_status(outcome.status, outcome.conclusion),
        conclusion=outcome.conclusion,
        final_url=outcome.final_url,
        http_status=outcome.http_status,
        hops=outcome.hops,
        error=outcome.error,
        previous_final_url=lease.previous_final_url,
        destination_changed=outcome.destination_changed,
        flags=outcome.flags,
        attempts=ending.attempts,
        writeback=Writeback.PENDING,
        created_at=ending.created_at,
        checked_at=ending.checked_at,
    )
