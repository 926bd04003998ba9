"""What happened, put down in one transaction: what stands stays, and a replay changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from relay.events import (
    AboutEvent,
    Admitted,
    AskedEvent,
    Event,
    FinalEvent,
    JoinedEvent,
    RefreshEvent,
    SeenEvent,
    SourceEvent,
    UnreadableEvent,
    WritebackEvent,
)
from relay.ledger.database import Database
from relay.ledger.lives import NO_LIFE, hold_life
from relay.ledger.many_rows import Row, insert_missing, update_each
from relay.ledger.schema import jobs, joins, refreshes, sources, unreadable_events
from wire.vocab import REFRESH_IS_OVER, JobKind, JobStatus, RefreshState, Writeback

_LIVE: Final = (JobStatus.QUEUED, JobStatus.RUNNING)
# Plain text: a driver thinks longer about a word that is an enum's.
_LINK: Final = str(JobKind.LINK)
_QUEUED: Final = str(JobStatus.QUEUED)
_NO_WRITEBACK: Final = str(Writeback.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What one transaction changed. *ended*: jobs whose ending now stands in the books."""

    admitted: int
    ended: tuple[str, ...]
    unreadable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the outcome stream: an event, or why it is none."""

    entry_id: str
    event: Event | UnreadableEvent
    raw: str = ""


class Bookings(Database):
    """Where the recorder writes."""

    def record(self, entries: Sequence[Entry], *, life: str = NO_LIFE) -> Recorded:
        """Put *entries* down in one transaction. What stands stays: replays change nothing.

        *life* is the life of Redis they were read in. Raises OfAnotherLife if that is over, and
        LedgerRefused for what no column takes; nothing is booked then.
        """
        events = [entry.event for entry in entries]
        admitted = [row for event in events if isinstance(event, Admitted) for row in _rows(event)]
        finals = [_ending(event) for event in events if isinstance(event, FinalEvent)]
        joined: list[Row] = [
            {"job_id": job_id, "refresh_id": refresh_id}
            for event in events
            if isinstance(event, JoinedEvent)
            for job_id, refresh_id in event.joins
        ]
        written = [_written(event) for event in events if isinstance(event, WritebackEvent)]
        seen = [_source(event) for event in events if isinstance(event, SourceEvent)]
        about = [event for event in events if isinstance(event, AboutEvent)]
        asked = [_asked(event) for event in events if isinstance(event, AskedEvent)]
        refreshed = [_refreshed(event) for event in events if isinstance(event, RefreshEvent)]
        announced: list[Row] = [
            {"of": source_id, "of_account": event.account_id, "new_seen_at": event.at}
            for event in events
            if isinstance(event, SeenEvent)
            for source_id in event.sources
        ]
        unreadable = [_unreadable(entry) for entry in entries if _is_unreadable(entry)]
        with self._begin() as connection:
            hold_life(connection, life)
            insert_missing(connection, sources, [*seen, *map(_source, about)])
            update_each(connection, _LAST_WORD_STAYS, [_said(event) for event in about])
            update_each(connection, _SEEN, announced)
            insert_missing(connection, refreshes, asked)
            update_each(connection, _FIRST_END_WINS, refreshed)
            insert_missing(connection, jobs, admitted)
            insert_missing(connection, joins, joined)
            update_each(connection, _FIRST_FINAL_WINS, finals)
            update_each(connection, _FIRST_WORD_STAYS, written)
            insert_missing(connection, unreadable_events, unreadable)
        return Recorded(
            admitted=len(admitted),
            ended=tuple(
                event.job_id for event in events if isinstance(event, FinalEvent | RefreshEvent)
            ),
            unreadable=len(unreadable),
        )


def _rows(event: Admitted) -> Iterator[Row]:
    for job in event.jobs:
        yield {
            "job_id": job.job_id,
            "account_id": event.account_id,
            "kind": _LINK,
            "source_id": job.source_id,
            "row_id": job.row_id,
            "refresh_id": job.refresh_id,
            "request": job.request,
            "key_id": event.key_id,
            "signed_at": event.timestamp,
            "nonce": event.nonce,
            "body_sha256": event.body_sha256,
            "admitted_by": event.device_id,
            "created_at": event.at,
            "status": _QUEUED,
            "previous_final_url": _storable(job.previous_final_url),
            "skip_reason": "",
            "attempts": 0,
            "writeback": _NO_WRITEBACK,
            "writeback_detail": "",
        }


def _storable(text: str | None) -> str | None:
    """PostgreSQL's text holds no NUL; what an agent reports may."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if text else text


_FIRST_FINAL_WINS: Final = (
    jobs.update()
    # Not IN (…): its parameters cannot be used for many rows at once.
    .where(
        jobs.c.job_id == sa.bindparam("of"),
        sa.or_(*(jobs.c.status == sa.literal_column(f"'{status}'") for status in _LIVE)),
    )
    .values(
        {
            name: sa.bindparam("new_" + name)
            for name in (
                "status", "conclusion", "outcome", "final_url", "destination_changed",
                "skip_reason", "attempts", "device_id", "checked_at", "writeback",
            )
        }
    )
)  # fmt: skip

_FIRST_WORD_STAYS: Final = (
    jobs.update()
    .where(
        jobs.c.job_id == sa.bindparam("of"),
        jobs.c.writeback == sa.literal_column(f"'{Writeback.PENDING}'"),
    )
    .values(writeback=sa.bindparam("new_writeback"), writeback_detail=sa.bindparam("new_detail"))
)


def _ending(event: FinalEvent) -> Row:
    return {
        "of": event.job_id,
        "new_status": str(event.status),
        "new_conclusion": str(event.conclusion),
        "new_outcome": event.outcome or None,
        "new_final_url": _storable(event.final_url),
        "new_destination_changed": event.destination_changed,
        "new_skip_reason": _storable(event.skip_reason),
        "new_attempts": event.attempts,
        "new_device_id": event.device_id,
        "new_checked_at": event.at,
        "new_writeback": str(event.writeback),
    }


def _written(event: WritebackEvent) -> Row:
    return {
        "of": event.job_id,
        "new_writeback": str(event.writeback),
        "new_detail": _storable(event.detail),
    }


def _source(event: SourceEvent | AboutEvent) -> Row:
    return {
        "source_id": event.source_id,
        "account_id": event.account_id,
        "device_id": event.device_id,
        "created_at": event.at,
    }


_LAST_WORD_STAYS: Final = (
    sources.update()
    .where(
        sources.c.source_id == sa.bindparam("of"),
        sources.c.account_id == sa.bindparam("of_account"),
        sa.func.coalesce(sources.c.changed_at, sa.literal_column("-1")) < sa.bindparam("said_at"),
    )
    .values(
        {
            name: sa.bindparam("new_" + name)
            for name in ("kind", "name", "max_age_seconds", "paused", "deleted_at", "changed_at")
        }
    )
)

# A source that was deleted and is announced again is there again.
_SEEN: Final = (
    sources.update()
    .where(
        sources.c.source_id == sa.bindparam("of"),
        sources.c.account_id == sa.bindparam("of_account"),
        sa.func.coalesce(sources.c.last_seen_at, sa.literal_column("-1"))
        < sa.bindparam("new_seen_at"),
    )
    .values(
        last_seen_at=sa.bindparam("new_seen_at"),
        deleted_at=sa.case(
            (sources.c.deleted_at < sa.bindparam("new_seen_at"), None), else_=sources.c.deleted_at
        ),
    )
)

_FIRST_END_WINS: Final = (
    refreshes.update()
    .where(
        refreshes.c.refresh_id == sa.bindparam("of"),
        refreshes.c.account_id == sa.bindparam("of_account"),
        refreshes.c.ended_at.is_(None),
    )
    .values(
        {
            name: sa.bindparam("new_" + name)
            for name in (
                "state", "rows", "not_submitted", "counts", "error_code", "error_detail",
                "ended_at",
            )
        }
    )
)  # fmt: skip


def _said(event: AboutEvent) -> Row:
    return {
        "of": event.source_id,
        "of_account": event.account_id,
        "said_at": event.at,
        "new_kind": str(event.kind) if event.kind else None,
        "new_name": _storable(event.name),
        "new_max_age_seconds": event.max_age_seconds,
        "new_paused": event.paused,
        "new_deleted_at": event.deleted_at,
        "new_changed_at": event.at,
    }


def _asked(event: AskedEvent) -> Row:
    return {
        "refresh_id": event.refresh_id,
        "account_id": event.account_id,
        "source_id": event.source_id,
        "job_id": event.job_id,
        "order": event.order,
        "key_id": event.key_id,
        "signed_at": event.timestamp,
        "nonce": event.nonce,
        "body_sha256": event.body_sha256,
        "asked_by": event.device_id,
        "created_at": event.at,
        "expires_at": event.expires_at,
        "state": str(RefreshState.WAITING_FOR_AGENT),
        "not_submitted": "{}",
        "counts": "{}",
        "error_code": "",
        "error_detail": "",
    }


def _refreshed(event: RefreshEvent) -> Row:
    return {
        "of": event.refresh_id,
        "of_account": event.account_id,
        "new_state": str(event.state),
        "new_rows": event.rows,
        "new_not_submitted": event.not_submitted,
        "new_counts": event.counts,
        "new_error_code": event.error_code,
        "new_error_detail": _storable(event.error_detail),
        "new_ended_at": event.at if event.state in REFRESH_IS_OVER else None,
    }


def _is_unreadable(entry: Entry) -> bool:
    return isinstance(entry.event, UnreadableEvent)


def _unreadable(entry: Entry) -> Row:
    assert isinstance(entry.event, UnreadableEvent)
    return {
        "entry_id": entry.entry_id,
        "at": datetime.now(UTC).timestamp(),
        "why": _storable(entry.event.why),
        "fields": _storable(entry.raw[:20_000]),
    }
