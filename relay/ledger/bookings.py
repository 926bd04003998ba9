"""What happened, put down in one transaction: what stands stays, and a replay changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from relay.events import (
    Admitted,
    Event,
    FinalEvent,
    JoinedEvent,
    SourceEvent,
    UnreadableEvent,
    WritebackEvent,
)
from relay.ledger.database import Database
from relay.ledger.lives import NO_LIFE, hold_life
from relay.ledger.many_rows import Row, insert_missing, update_each
from relay.ledger.schema import jobs, joins, sources, unreadable_events
from wire.vocab import JobKind, JobStatus, Writeback

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
        unreadable = [_unreadable(entry) for entry in entries if _is_unreadable(entry)]
        with self._begin() as connection:
            hold_life(connection, life)
            insert_missing(connection, sources, seen)
            insert_missing(connection, jobs, admitted)
            insert_missing(connection, joins, joined)
            update_each(connection, _FIRST_FINAL_WINS, finals)
            update_each(connection, _FIRST_WORD_STAYS, written)
            insert_missing(connection, unreadable_events, unreadable)
        return Recorded(
            admitted=len(admitted),
            ended=tuple(event.job_id for event in events if isinstance(event, FinalEvent)),
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


def _source(event: SourceEvent) -> Row:
    return {
        "source_id": event.source_id,
        "account_id": event.account_id,
        "device_id": event.device_id,
        "created_at": event.at,
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
