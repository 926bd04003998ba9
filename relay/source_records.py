"""A source and a refresh as they are stored, in Redis and in the ledger, and how they are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.records import instant
from wire.models import ErrorDetail, RefreshOrder, RefreshProgress
from wire.source_models import DEFAULT_MAX_AGE_SECONDS, SourceAnswer
from wire.vocab import Conclusion, RefreshState, SourceKind, Writeback


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """What is known of one source. Times are unix seconds on Redis' clock."""

    source_id: str
    account_id: str
    created_at: float
    kind: SourceKind | None = None
    name: str = ""
    max_age_seconds: int = DEFAULT_MAX_AGE_SECONDS
    paused: bool = False
    device_id: str | None = None
    last_seen_at: float | None = None
    deleted_at: float | None = None

    def answer(self, refresh: RefreshProgress | None) -> SourceAnswer:
        """The source as a caller sees it, with its newest *refresh*."""
        seen = self.last_seen_at
        return SourceAnswer(
            source_id=self.source_id,
            kind=self.kind,
            name=self.name,
            max_age_seconds=self.max_age_seconds,
            paused=self.paused,
            device_id=self.device_id,
            created_at=instant(self.created_at),
            last_seen_at=instant(seen) if seen is not None else None,
            refresh=refresh,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRecord:
    """Everything there is to know about one refresh that the relay was asked for.

    *counts* are named as in Redis: submitted, finished, conclusion:<c>, writeback:<w>.
    """

    refresh_id: str
    account_id: str
    source_id: str
    job_id: str
    order: RefreshOrder
    state: RefreshState
    created_at: float
    expires_at: float
    rows: int | None = None
    not_submitted: Mapping[Conclusion, int] = field(default_factory=dict)
    error: ErrorDetail | None = None
    ended_at: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def progress(self) -> RefreshProgress:
        """The refresh as a caller sees it."""
        return RefreshProgress(
            refresh_id=self.refresh_id,
            source_id=self.source_id,
            scope=self.order.scope,
            state=self.state,
            rows=self.rows,
            submitted=self.counts.get("submitted", 0),
            finished=self.counts.get("finished", 0),
            by_conclusion=by_conclusion(self.counts),
            by_writeback=by_writeback(self.counts),
            not_submitted=dict(self.not_submitted),
            error=self.error,
            created_at=instant(self.created_at),
            ended_at=instant(self.ended_at) if self.ended_at is not None else None,
        )


def run_progress(refresh_id: str, counts: Mapping[str, int]) -> RefreshProgress:
    """How far a run is that no relay was asked for: only its jobs are known."""
    submitted, finished = counts.get("submitted", 0), counts.get("finished", 0)
    return RefreshProgress(
        refresh_id=refresh_id,
        state=RefreshState.DONE if finished >= submitted else RefreshState.RUNNING,
        submitted=submitted,
        finished=finished,
        by_conclusion=by_conclusion(counts),
        by_writeback=by_writeback(counts),
    )


def by_conclusion(counts: Mapping[str, int]) -> dict[Conclusion, int]:
    """How many jobs ended how."""
    return {Conclusion(name): count for name, count in _under("conclusion:", counts)}


def by_writeback(counts: Mapping[str, int]) -> dict[Writeback, int]:
    """How the rows of ended jobs stand."""
    return {Writeback(name): count for name, count in _under("writeback:", counts)}


def _under(prefix: str, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [
        (name.removeprefix(prefix), count)
        for name, count in counts.items()
        if name.startswith(prefix) and count
    ]
