"""The shapes of sources and refreshes as they travel as JSON; ``wire.models`` has the rest."""

from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from wire.models import (
    MAX_REPORTS,
    ErrorDetail,
    JobId,
    LeaseId,
    Model,
    RefreshProgress,
    RowId,
    SourceId,
    Text,
)
from wire.times import Instant
from wire.vocab import (
    Conclusion,
    Disposition,
    ReadReportState,
    ReadState,
    RefreshScope,
    SourceKind,
)

DEFAULT_MAX_AGE_SECONDS: Final = 24 * 3600
MAX_REFRESH_ROWS: Final = 1000
MAX_REFRESH_EXPIRES_IN: Final = 7 * 24 * 3600

SourceName = Annotated[Text, StringConstraints(max_length=200)]
MaxAge = Annotated[int, Field(ge=0, le=365 * 24 * 3600)]
HowMany = Annotated[int, Field(ge=0, le=2**53)]


class SourceRequest(Model):
    """The body of ``POST /v1/sources``. Without *source_id*, the relay makes one."""

    source_id: SourceId | None = None
    kind: SourceKind | None = None
    name: SourceName | None = None
    max_age_seconds: MaxAge | None = None


class SourcePatch(Model):
    """The body of ``PATCH /v1/sources/{id}``: what is to change."""

    name: SourceName | None = None
    max_age_seconds: MaxAge | None = None
    paused: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.name is None and self.max_age_seconds is None and self.paused is None:
            raise ValueError("name what is to change: name, max_age_seconds or paused")
        return self


class SourceAnswer(Model):
    """A source as callers see it. *refresh* is its newest one.

    *last_seen_at* is when an agent last said that it serves the source, to the minute; *device_id*
    is the device that brought it first.
    """

    source_id: str
    kind: SourceKind | None
    name: str
    max_age_seconds: int
    paused: bool
    device_id: str | None
    created_at: Instant
    last_seen_at: Instant | None
    refresh: RefreshProgress | None


class SourceList(Model):
    """One page of sources, newest first."""

    items: list[SourceAnswer]
    next_cursor: str | None


class RefreshRequest(Model):
    """The body of ``POST /v1/sources/{id}/refresh``.

    Scope ``rows`` names *row_ids*; ``stale`` may name *max_age_seconds*, or the source's is taken.
    """

    scope: RefreshScope = RefreshScope.ALL
    max_age_seconds: MaxAge | None = None
    row_ids: list[RowId] = Field(default_factory=list, max_length=MAX_REFRESH_ROWS)
    expires_in: Annotated[int, Field(ge=1, le=MAX_REFRESH_EXPIRES_IN)] = 24 * 3600

    @model_validator(mode="after")
    def _terms_of_its_scope(self) -> Self:
        if self.scope is RefreshScope.ROWS and not self.row_ids:
            raise ValueError("scope rows needs row_ids")
        if self.scope is not RefreshScope.ROWS and self.row_ids:
            raise ValueError("row_ids are for scope rows only")
        if self.scope is not RefreshScope.STALE and self.max_age_seconds is not None:
            raise ValueError("max_age_seconds is for scope stale only")
        return self


class RefreshAnswer(Model):
    """The answer to ``POST /v1/sources/{id}/refresh``.

    ``coalesced``: the one that runs already does what was asked. ``replayed``: this very request
    was answered before, and this is that refresh as it stands now.
    """

    refresh: RefreshProgress
    disposition: Disposition


class RefreshList(Model):
    """One page of a source's refreshes, newest first."""

    items: list[RefreshProgress]
    next_cursor: str | None


class RefreshReport(Model):
    """How far an agent is with reading a source; *rows* and *not_submitted* are totals so far.

    *error* with state ``reading`` is what keeps it from reading just now.
    """

    job_id: JobId
    lease_id: LeaseId
    state: ReadState
    rows: HowMany | None = None
    not_submitted: dict[Conclusion, HowMany] = Field(default_factory=dict)
    error: ErrorDetail | None = None

    @model_validator(mode="after")
    def _failed_says_why(self) -> Self:
        if self.state is ReadState.FAILED and self.error is None:
            raise ValueError("state failed needs an error")
        if self.state is ReadState.READ and self.error is not None:
            raise ValueError("what was read has no error")
        return self


class RefreshesRequest(Model):
    """The body of ``POST /v1/agent/refreshes``."""

    refreshes: Annotated[list[RefreshReport], Field(min_length=1, max_length=MAX_REPORTS)]


class RefreshReported(Model):
    """What the relay did with one report."""

    job_id: str
    state: ReadReportState


class RefreshesAnswer(Model):
    """In the order of the request."""

    refreshes: list[RefreshReported]
