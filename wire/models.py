"""The shapes of what travels as JSON. A model that exists is valid; nothing after it checks again.

snake_case goes out, camelCase is understood coming in, unknown fields are refused.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from wire import ids
from wire.times import Instant
from wire.vocab import (
    STATUS_OF,
    CheckStatus,
    Conclusion,
    Disposition,
    HopKind,
    JobKind,
    JobStatus,
    LeaseState,
    RefreshScope,
    RefreshState,
    ReportState,
    Tier,
    Writeback,
)

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_JOBS: Final = 1000
MAX_URL: Final = 8192
MAX_CONTEXT_BYTES: Final = 2048
MAX_WAIT_SECONDS: Final = 25
MAX_HOPS: Final = 20
MAX_REPORTS: Final = 200
REPORTED_STATUSES: Final = (JobStatus.DONE, JobStatus.FAILED, JobStatus.INVALID)
DEFAULT_EXPIRES_IN: Final = 24 * 3600


class Model(BaseModel):
    """What all shapes share."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=False,
        loc_by_alias=False,
        strict=False,
    )


# Text that ends up in cells, logs and Redis: no control characters, no lone surrogates.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
RowId = Annotated[Text, StringConstraints(min_length=1, max_length=255)]
SourceId = Annotated[str, StringConstraints(pattern=f"^{ids.SOURCE_ID}$")]
RefreshId = Annotated[str, StringConstraints(pattern=f"^{ids.REFRESH_ID}$")]
JobId = Annotated[str, StringConstraints(pattern=f"^{ids.JOB_ID}$")]
LeaseId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}-[A-Za-z0-9_-]{8,40}$")]
ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class JobRequest(Model):
    """One link to look up. Whether ``tracking_url`` is a link at all is judged by the gate."""

    tracking_url: Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL)]
    source_id: SourceId | None = None
    row_id: RowId | None = None
    expected_domain: Annotated[Text, StringConstraints(max_length=2048)] = ""
    offer_name: Annotated[Text, StringConstraints(max_length=1024)] = ""
    context: Any = None
    tier: Tier = Tier.STANDARD
    profile: ProfileName | None = None
    webhook_url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    max_age_seconds: Annotated[int, Field(ge=0, le=365 * 24 * 3600)] = 0
    previous_final_url: Annotated[str, StringConstraints(max_length=MAX_URL)] | None = None
    expires_in: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = DEFAULT_EXPIRES_IN
    refresh_id: RefreshId | None = None

    @model_validator(mode="after")
    def _row_needs_source(self) -> Self:
        if self.row_id is not None and self.source_id is None:
            raise ValueError("row_id needs a source_id")
        return self


class SubmitRequest(Model):
    """The body of ``POST /v1/jobs`` with several jobs."""

    jobs: Annotated[list[JobRequest], Field(min_length=1, max_length=MAX_JOBS)]


class SubmittedJob(Model):
    """What became of one requested job, in the order of the request."""

    job_id: str
    row_id: str | None
    status: JobStatus
    disposition: Disposition


class SubmitAnswer(Model):
    """The answer to ``POST /v1/jobs``."""

    jobs: list[SubmittedJob]
    request_id: str


class Hop(Model):
    """One answer on the way. *ms* is how long it took, *ip* where the socket really went."""

    url: Annotated[str, StringConstraints(max_length=2 * MAX_URL)]
    status: Annotated[int, Field(ge=100, le=999)] | None
    kind: HopKind
    ms: Annotated[int, Field(ge=0)]
    ip: Annotated[str, StringConstraints(max_length=64)] | None = None


class ErrorDetail(Model):
    """Why a link did not land: a word for machines, a sentence for a marketer."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
    detail: Annotated[str, StringConstraints(max_length=1000)]


class Outcome(Model):
    """What an agent found out about one link. It has no clock in it: the relay says when."""

    status: JobStatus
    conclusion: Conclusion
    final_url: Annotated[str, StringConstraints(max_length=2 * MAX_URL)] | None = None
    http_status: Annotated[int, Field(ge=100, le=999)] | None = None
    hops: Annotated[list[Hop], Field(max_length=MAX_HOPS + 1)] = []
    error: ErrorDetail | None = None
    destination_changed: bool = False
    flags: Annotated[
        list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=32)
    ] = []
    retry_after_seconds: Annotated[int, Field(ge=0, le=24 * 3600)] | None = None

    @model_validator(mode="after")
    def _one_story(self) -> Self:
        if STATUS_OF[self.conclusion] is not self.status:
            raise ValueError(f"{self.conclusion} is not an ending of {self.status}")
        if self.status is JobStatus.DONE and (self.final_url is None or self.http_status is None):
            raise ValueError("a page that answered has a final_url and an http_status")
        return self


class JobAnswer(Model):
    """A job as callers see it: what was asked, where it stands, what was found."""

    job_id: str
    kind: JobKind = JobKind.LINK
    source_id: str | None
    row_id: str | None
    tracking_url: str
    expected_domain: str = ""
    offer_name: str = ""
    context: Any = None
    tier: Tier = Tier.STANDARD
    profile: str | None = None
    refresh_id: str | None = None
    status: JobStatus
    check_status: CheckStatus
    conclusion: Conclusion | None = None
    final_url: str | None = None
    http_status: int | None = None
    hops: list[Hop] = []
    error: ErrorDetail | None = None
    skip_reason: str = ""
    previous_final_url: str | None = None
    destination_changed: bool = False
    flags: list[str] = []
    attempts: int = 0
    device_id: str | None = None
    writeback: Writeback = Writeback.NONE
    writeback_detail: str = ""
    cached: bool = False
    created_at: Instant
    checked_at: Instant | None = None


class JobList(Model):
    """One page of jobs, newest first."""

    items: list[JobAnswer]
    next_cursor: str | None


class RefreshProgress(Model):
    """How far a refresh is. ``pending`` of *by_writeback* counts rows still to be written.

    *rows* is how many rows its scope covers, *not_submitted* why some of them became no job. Of a
    run over a file, which no relay was asked for, only the counts are known.
    """

    refresh_id: str
    source_id: str | None = None
    scope: RefreshScope | None = None
    state: RefreshState
    rows: int | None = None
    submitted: int
    finished: int
    by_conclusion: dict[Conclusion, int]
    by_writeback: dict[Writeback, int]
    not_submitted: dict[Conclusion, int] = {}
    error: ErrorDetail | None = None
    created_at: Instant | None = None
    ended_at: Instant | None = None


class Capabilities(Model):
    """What an agent can do."""

    tiers: Annotated[list[Tier], Field(min_length=1)] = [Tier.STANDARD]
    profiles: Annotated[list[ProfileName], Field(max_length=100)] = []
    refresh: bool = False
    """Whether it can read the sources that it names, and submit their rows."""


class LeaseRequest(Model):
    """An agent asks for work from *sources* and, if *sourceless*, for jobs that have no source.

    Of *refresh_only* it takes nothing but refreshes: it serves them and cannot work on them just
    now, which is what it will answer.
    """

    max: Annotated[int, Field(ge=1, le=MAX_REPORTS)] = 50
    wait_seconds: Annotated[int, Field(ge=0, le=MAX_WAIT_SECONDS)] = 0
    sources: Annotated[list[SourceId], Field(max_length=200)] = []
    refresh_only: Annotated[list[SourceId], Field(max_length=200)] = []
    sourceless: bool = False
    capabilities: Capabilities = Capabilities()

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.sources and not self.sourceless and not self.refresh_only:
            raise ValueError("name sources, or ask for sourceless jobs")
        return self


class RefreshOrder(Model):
    """What an agent is to read and submit. *max_age_seconds* comes with scope ``stale`` only."""

    refresh_id: str
    scope: RefreshScope
    max_age_seconds: int | None = None
    row_ids: list[str] = []


class Lease(Model):
    """One job, handed to one agent for a while.

    *result* comes with kind ``writeback`` only. *refresh* with kind ``refresh`` only, which has no
    link: its tracking_url is empty.
    """

    job_id: str
    lease_id: str
    kind: JobKind
    source_id: str | None
    row_id: str | None
    tracking_url: str
    expected_domain: str = ""
    tier: Tier = Tier.STANDARD
    profile: str | None = None
    previous_final_url: str | None = None
    delivery: int
    attempt: int
    result: JobAnswer | None = None
    refresh: RefreshOrder | None = None


class LeaseAnswer(Model):
    """What was handed out. An empty answer after a wait means: ask again."""

    leases: list[Lease]
    lease_seconds: int
    renew_seconds: int


class Held(Model):
    """One lease as its holder names it."""

    job_id: JobId
    lease_id: LeaseId


class RenewRequest(Model):
    """Leases that are still worked on, and jobs whose rows are still to be written."""

    leases: Annotated[list[Held], Field(max_length=10_000)] = []
    writebacks: Annotated[list[JobId], Field(max_length=10_000)] = []


class Renewed(Model):
    """The state of one lease. A ``canceled`` or ``lost`` one is to be dropped."""

    job_id: str
    lease_id: str
    state: LeaseState


class RenewAnswer(Model):
    """In the order of the request."""

    leases: list[Renewed]


class Report(Model):
    """One result."""

    job_id: JobId
    lease_id: LeaseId
    outcome: Outcome

    @model_validator(mode="after")
    def _what_an_agent_can_find_out(self) -> Self:
        if (
            self.outcome.status not in REPORTED_STATUSES
            or self.outcome.conclusion is Conclusion.AGENT_LOST
        ):
            raise ValueError(f"{self.outcome.conclusion} is not for an agent to say")
        return self


class ResultsRequest(Model):
    """The body of ``POST /v1/agent/results``."""

    results: Annotated[list[Report], Field(min_length=1, max_length=MAX_REPORTS)]


class Accepted(Model):
    """What the relay did with one result.

    For accepted and duplicate, how the job stands: its agent knows the rest. A duplicate without
    *checked_at* is of a job whose row is nobody's business any more.
    """

    job_id: str
    state: ReportState
    attempts: int = 0
    created_at: Instant | None = None
    checked_at: Instant | None = None
    writeback: Writeback = Writeback.NONE


class ResultsAnswer(Model):
    """In the order of the request."""

    results: list[Accepted]


class WritebackReport(Model):
    """What became of one row: ``written``, or exactly why not."""

    job_id: JobId
    writeback: Literal[
        Writeback.WRITTEN,
        Writeback.CONFLICT,
        Writeback.MISSING,
        Writeback.DUPLICATE,
        Writeback.FAILED,
    ]
    detail: Annotated[Text, StringConstraints(max_length=1000)] = ""


class WritebacksRequest(Model):
    """The body of ``POST /v1/agent/writebacks``."""

    writebacks: Annotated[list[WritebackReport], Field(min_length=1, max_length=2000)]


class WritebackNoted(Model):
    """The job's writeback as it now stands; the first word on a row is kept."""

    job_id: str
    writeback: Writeback


class WritebacksAnswer(Model):
    """In the order of the request."""

    writebacks: list[WritebackNoted]


class ReleaseRequest(Model):
    """Give work back: the named *leases*; with *all*, what this device holds of *sources*."""

    leases: Annotated[list[Held], Field(max_length=10_000)] = []
    all: bool = False
    sources: Annotated[list[SourceId], Field(max_length=200)] = []
    sourceless: bool = False


class ReleaseAnswer(Model):
    """How many leases went back to their queues."""

    released: int
