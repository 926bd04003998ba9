"""The dictionary: every word that travels, is stored or is logged, and how the words relate.

Four axes that are never mixed: ``job.kind``, ``job.status``, ``conclusion`` and
``row.check_status``. The tables below are the whole relation between them; a missing word is the
first line of a change (CONTRIBUTING, "add a conclusion").
"""

from enum import StrEnum
from typing import Final


class JobKind(StrEnum):
    """What a job asks for. ``link`` is the only kind a caller makes."""

    LINK = "link"
    REFRESH = "refresh"
    WRITEBACK = "writeback"


class JobStatus(StrEnum):
    """Where a job is. All but the first two are final and frozen."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INVALID = "invalid"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Conclusion(StrEnum):
    """What was found out about a link, or why nothing was."""

    VALID = "valid"
    DOMAIN_MISMATCH = "domain_mismatch"
    DESTINATION_CHANGED = "destination_changed"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    BLOCKED = "blocked"
    LINK_REMOVED = "link_removed"

    DNS_ERROR = "dns_error"
    CONNECT_ERROR = "connect_error"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"
    REDIRECT_LOOP = "redirect_loop"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BAD_REDIRECT = "bad_redirect"
    BAD_RESPONSE = "bad_response"
    BODY_TOO_LARGE = "body_too_large"
    PROXY_ERROR = "proxy_error"
    BROWSER_ERROR = "browser_error"
    AGENT_LOST = "agent_lost"

    INVALID_URL = "invalid_url"
    UNSUPPORTED_LINK = "unsupported_link"
    UNSAFE_TARGET = "unsafe_target"

    PAUSED_BY_OPERATOR = "paused_by_operator"
    ROW_MISSING = "row_missing"
    ROW_IDENTITY_CONFLICT = "row_identity_conflict"
    DUPLICATE_ROW_ID = "duplicate_row_id"
    FRESH_ENOUGH = "fresh_enough"
    CHANNEL_INACTIVE = "channel_inactive"

    CANCELED = "canceled"
    SUPERSEDED = "superseded"

    JOB_EXPIRED = "job_expired"


class CheckStatus(StrEnum):
    """What a row says of its last check. ``queued``/``running`` are never written to a sheet."""

    QUEUED = "queued"
    RUNNING = "running"
    VALID = "valid"
    FAILED = "failed"
    SKIPPED = "skipped"


class Writeback(StrEnum):
    """Whether a final result has reached its row. The only thing that moves after the end."""

    NONE = "none"
    PENDING = "pending"
    WRITTEN = "written"
    CONFLICT = "conflict"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    FAILED = "failed"


class Disposition(StrEnum):
    """What became of one requested job at intake."""

    CREATED = "created"
    COALESCED = "coalesced"
    SUPERSEDING = "superseding"
    REPLAYED = "replayed"
    CACHED = "cached"


class HopKind(StrEnum):
    """Which mechanism led to the next URL."""

    HTTP = "http"
    REFRESH = "refresh"
    META = "meta"
    SCRIPT = "script"


class Tier(StrEnum):
    """How a link is walked: plain HTTP, or a real browser."""

    STANDARD = "standard"
    PREMIUM = "premium"


class Event(StrEnum):
    """What a webhook announces."""

    RESOLVE_DONE = "resolve.done"
    RESOLVE_FAILED = "resolve.failed"


class Scope(StrEnum):
    """What a key may do."""

    JOBS_WRITE = "jobs:write"
    JOBS_READ = "jobs:read"
    SOURCES_WRITE = "sources:write"
    ROWS_READ = "rows:read"
    RESOLVE = "resolve"
    AGENT = "agent"


class KeyKind(StrEnum):
    """Who holds a key: a caller of the API, or a desktop agent."""

    API = "api"
    DEVICE = "device"


class LeaseState(StrEnum):
    """What a renewal says of one lease."""

    RENEWED = "renewed"
    LOST = "lost"
    CANCELED = "canceled"


class ReportState(StrEnum):
    """What the relay did with one reported result.

    ``accepted``: it is the job's ending. ``retry``: the link will be tried again later.
    ``duplicate``: this very report was accepted before (success). ``stale``: the lease was no
    longer held; the report is discarded and must not be written to the row.
    """

    ACCEPTED = "accepted"
    RETRY = "retry"
    DUPLICATE = "duplicate"
    STALE = "stale"


class RefreshScope(StrEnum):
    """Which rows of a source a refresh checks."""

    ALL = "all"
    STALE = "stale"
    FAILED = "failed"
    ROWS = "rows"


class RefreshState(StrEnum):
    """How far a refresh is. The last three are final.

    ``running``: every row was read and submitted; it is ``done`` when all of its jobs have ended
    and no row of theirs is still to be written.
    """

    WAITING_FOR_AGENT = "waiting_for_agent"
    READING = "reading"
    RUNNING = "running"
    DONE = "done"
    CANCELED = "canceled"
    FAILED = "failed"


class ReadState(StrEnum):
    """What an agent says of a source that it reads for a refresh."""

    READING = "reading"
    READ = "read"
    FAILED = "failed"


class ReadReportState(StrEnum):
    """What the relay did with that word. After the last two, the agent stops reading."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    STALE = "stale"
    CANCELED = "canceled"


class SourceKind(StrEnum):
    """What a source is."""

    SHEET = "sheet"
    FILE = "file"


REFRESH_IS_OVER: Final = frozenset({RefreshState.DONE, RefreshState.CANCELED, RefreshState.FAILED})

FINAL_STATUSES: Final = frozenset(JobStatus) - {JobStatus.QUEUED, JobStatus.RUNNING}

CONCLUSIONS: Final[dict[JobStatus, tuple[Conclusion, ...]]] = {
    JobStatus.DONE: (
        Conclusion.VALID,
        Conclusion.DOMAIN_MISMATCH,
        Conclusion.DESTINATION_CHANGED,
        Conclusion.HTTP_4XX,
        Conclusion.HTTP_5XX,
        Conclusion.BLOCKED,
        Conclusion.LINK_REMOVED,
    ),
    JobStatus.FAILED: (
        Conclusion.DNS_ERROR,
        Conclusion.CONNECT_ERROR,
        Conclusion.TLS_ERROR,
        Conclusion.TIMEOUT,
        Conclusion.REDIRECT_LOOP,
        Conclusion.TOO_MANY_REDIRECTS,
        Conclusion.BAD_REDIRECT,
        Conclusion.BAD_RESPONSE,
        Conclusion.BODY_TOO_LARGE,
        Conclusion.PROXY_ERROR,
        Conclusion.BROWSER_ERROR,
        Conclusion.AGENT_LOST,
    ),
    JobStatus.INVALID: (
        Conclusion.INVALID_URL,
        Conclusion.UNSUPPORTED_LINK,
        Conclusion.UNSAFE_TARGET,
    ),
    JobStatus.SKIPPED: (
        Conclusion.PAUSED_BY_OPERATOR,
        Conclusion.ROW_MISSING,
        Conclusion.ROW_IDENTITY_CONFLICT,
        Conclusion.DUPLICATE_ROW_ID,
        Conclusion.FRESH_ENOUGH,
        Conclusion.CHANNEL_INACTIVE,
    ),
    JobStatus.CANCELED: (Conclusion.CANCELED, Conclusion.SUPERSEDED),
    JobStatus.EXPIRED: (Conclusion.JOB_EXPIRED,),
}
"""Every final status with its conclusions. Each conclusion stands exactly once."""

STATUS_OF: Final[dict[Conclusion, JobStatus]] = {
    conclusion: status for status, conclusions in CONCLUSIONS.items() for conclusion in conclusions
}

_CHECK_STATUS: Final[dict[JobStatus, CheckStatus]] = {
    JobStatus.QUEUED: CheckStatus.QUEUED,
    JobStatus.RUNNING: CheckStatus.RUNNING,
    JobStatus.DONE: CheckStatus.FAILED,  # but for VALID, below
    JobStatus.FAILED: CheckStatus.FAILED,
    JobStatus.INVALID: CheckStatus.FAILED,
    JobStatus.SKIPPED: CheckStatus.SKIPPED,
    JobStatus.CANCELED: CheckStatus.SKIPPED,
    JobStatus.EXPIRED: CheckStatus.SKIPPED,
}

_EVENT: Final[dict[JobStatus, Event | None]] = {
    JobStatus.QUEUED: None,
    JobStatus.RUNNING: None,
    JobStatus.DONE: Event.RESOLVE_DONE,
    JobStatus.FAILED: Event.RESOLVE_FAILED,
    JobStatus.INVALID: Event.RESOLVE_FAILED,
    JobStatus.SKIPPED: None,
    JobStatus.CANCELED: None,
    JobStatus.EXPIRED: Event.RESOLVE_FAILED,
}


def check_status(status: JobStatus, conclusion: Conclusion | None) -> CheckStatus:
    """What the row says when its job has *status* and *conclusion*."""
    if conclusion is Conclusion.VALID:
        return CheckStatus.VALID
    return _CHECK_STATUS[status]


def event_of(status: JobStatus) -> Event | None:
    """The webhook event a job ending with *status* sends, or None for a silent ending."""
    return _EVENT[status]


ROW_COLUMNS: Final = (
    "row_id",
    "offer_name",
    "tracking_url",
    "expected_domain",
    "source_mode",
    "check_status",
    "final_url",
    "conclusion",
    "error",
    "skip_reason",
    "last_checked",
    "ready_for_ads",
)
"""A sheet's columns in their default order."""

TOOL_COLUMNS: Final = ("check_ref", "http_status", "hop_count", "previous_final_url", "job_id")
"""Columns of ours that a sheet may have; they are filled where they exist, never created."""

RESULT_COLUMNS: Final = (
    "check_status",
    "final_url",
    "conclusion",
    "error",
    "skip_reason",
    "last_checked",
    "ready_for_ads",
)
"""Columns that hold our answer; created where they are missing."""
