"""What a finished job puts into its row: pure, for every writer of rows."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from connector.source import Cell, Change
from wire import times
from wire.models import JobAnswer
from wire.ready_for_ads import DEFAULT_MAX_AGE, is_ready
from wire.vocab import CheckStatus, Conclusion, JobStatus

_CHECKED = frozenset({JobStatus.DONE, JobStatus.FAILED, JobStatus.INVALID})
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_LONGEST = 1000

_SENTENCES: Final[dict[Conclusion, str]] = {
    Conclusion.DOMAIN_MISMATCH: "the link lands on another domain than expected",
    Conclusion.DESTINATION_CHANGED: "the link lands on another host than at the last check",
    Conclusion.BLOCKED: "the site does not let us look",
    Conclusion.LINK_REMOVED: "the page says that it was removed",
    Conclusion.AGENT_LOST: "no agent finished this link, though several tried; run again",
    Conclusion.CANCELED: "canceled before it was checked",
    Conclusion.SUPERSEDED: "a newer check of this row took over",
    Conclusion.JOB_EXPIRED: "no agent took it in time; start an agent and run again",
}


def change_for(job: JobAnswer, *, now: datetime, max_age: timedelta = DEFAULT_MAX_AGE) -> Change:
    """The change that brings the final *job* into its row, as of *now*.

    ``final_url`` and ``last_checked`` are of the last check: a job that ended without anybody
    having looked at the link (expired, canceled, its agents lost) leaves both as they are.
    Raises ValueError for a job that has not ended or has no row.
    """
    if job.conclusion is None or job.row_id is None:
        raise ValueError(f"job {job.job_id} has no ending or no row")
    is_skip = job.check_status is CheckStatus.SKIPPED
    sentence = _sentence(job, job.conclusion)
    cells: dict[str, Cell] = {
        "check_status": job.check_status,
        "conclusion": job.conclusion,
        "error": "" if is_skip else sentence,
        "skip_reason": sentence if is_skip else "",
        "ready_for_ads": is_ready(
            conclusion=job.conclusion,
            checked_at=job.checked_at,
            now=now,
            max_age=max_age,
            # A paused row gets no job, and a writer only writes into a row whose id and link it
            # has just verified.
        ),
        "job_id": job.job_id,
    }
    if was_checked(job):
        cells["final_url"] = job.final_url or ""
        cells["http_status"] = "" if job.http_status is None else str(job.http_status)
        cells["hop_count"] = str(max(len(job.hops) - 1, 0))
        cells["previous_final_url"] = job.previous_final_url or ""
        if job.checked_at is not None:
            cells["last_checked"] = times.to_text(job.checked_at)
    return Change(
        row_id=job.row_id,
        tracking_url=job.tracking_url,
        cells=cells,
        checked_at=job.checked_at,
    )


def as_of(change: Change, *, now: datetime, max_age: timedelta = DEFAULT_MAX_AGE) -> Change:
    """*change* as it reads at a later *now*: what was ready for ads may be too old by then."""
    if not change.cells.get("ready_for_ads") or is_ready(
        conclusion=Conclusion(str(change.cells["conclusion"])),
        checked_at=change.checked_at,
        now=now,
        max_age=max_age,
    ):
        return change
    return replace(change, cells={**change.cells, "ready_for_ads": False})


def was_checked(job: JobAnswer) -> bool:
    """Whether somebody looked at the link, whatever was found."""
    return job.status in _CHECKED and job.conclusion is not Conclusion.AGENT_LOST


def _sentence(job: JobAnswer, conclusion: Conclusion) -> str:
    """Why the row is not valid, for a marketer, on one line; blank for a valid one."""
    if conclusion is Conclusion.VALID:
        return ""
    if job.error is not None and job.error.detail:
        told = job.error.detail
    elif job.skip_reason:
        told = job.skip_reason
    elif conclusion in (Conclusion.HTTP_4XX, Conclusion.HTTP_5XX):
        told = f"the page answers with status {job.http_status}"
    else:
        told = _SENTENCES.get(conclusion, conclusion.replace("_", " "))
    return _UNPRINTABLE.sub(" ", told).strip()[:_LONGEST]
