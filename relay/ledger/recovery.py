"""What a Redis that lost everything is filled from."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from relay.ledger.database import Database
from relay.ledger.job_rows import record_of
from relay.ledger.schema import OWED, UNFINISHED, jobs, joins, refreshes, sources
from relay.records import JobRecord, RefreshCount
from wire.vocab import Conclusion, Writeback

logger = logging.getLogger(__name__)

_PAGE: Final = 1000
_AHEAD_SECONDS: Final = 600  # no clock may go further ahead (wire.signing.TOLERANCE) and be let in


class Recovery(Database):
    """Where a rebuild reads."""

    def all_sources(self) -> list[tuple[str, str]]:
        """(source id, account) of every source."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(sources.c.source_id, sources.c.account_id)).all()
        return [(row[0], row[1]) for row in rows]

    def admitted_on(self, day: int) -> list[tuple[str, int]]:
        """(account, jobs admitted) on a day, counted from 1970-01-01 UTC."""
        query = (
            sa.select(jobs.c.account_id, sa.func.count())
            .where(jobs.c.created_at >= day * 86400, jobs.c.created_at < (day + 1) * 86400)
            .group_by(jobs.c.account_id)
        )
        with self._begin() as connection:
            return [(row[0], row[1]) for row in connection.execute(query).all()]

    def spent_nonces(self, *, since: int) -> list[tuple[str, str, int]]:
        """(key id, nonce, signed at) of what was admitted though it was signed after *since*.

        Its sender's clock goes ahead, so it is not older than the life of Redis that begins now.
        """
        query = sa.union(  # each of them once
            *(
                sa.select(table.c.key_id, table.c.nonce, table.c.signed_at).where(
                    table.c.signed_at.between(since, since + _AHEAD_SECONDS)
                )
                for table in (jobs, refreshes)
            )
        )
        with self._begin() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query).all()]

    def refresh_counts(self, *, since: float) -> list[RefreshCount]:
        """How far each refresh is that got a job after *since* (unix seconds)."""
        state = (jobs.c.conclusion, jobs.c.writeback)
        own = (
            sa.select(jobs.c.account_id, jobs.c.refresh_id, *state, sa.func.count())
            .where(jobs.c.refresh_id.is_not(None), jobs.c.created_at > since)
            .group_by(jobs.c.account_id, jobs.c.refresh_id, *state)
        )
        joined = (
            sa.select(jobs.c.account_id, joins.c.refresh_id, *state, sa.func.count())
            .join(joins, joins.c.job_id == jobs.c.job_id)
            .where(jobs.c.created_at > since)
            .group_by(jobs.c.account_id, joins.c.refresh_id, *state)
        )
        with self._begin() as connection:
            rows = connection.execute(sa.union_all(own, joined)).all()
        return [
            RefreshCount(
                account_id=account_id,
                refresh_id=refresh_id,
                conclusion=Conclusion(conclusion) if conclusion else None,
                writeback=Writeback(writeback),
                jobs=count,
            )
            for account_id, refresh_id, conclusion, writeback, count in rows
        ]

    def unfinished(self) -> Iterator[JobRecord]:
        """Every job that has not ended, oldest first."""
        yield from self._walk(UNFINISHED)

    def owed(self) -> Iterator[JobRecord]:
        """Every ended job whose row is still to be written, oldest first."""
        yield from self._walk(OWED)

    def _walk(self, condition: sa.TextClause) -> Iterator[JobRecord]:
        last: tuple[float, str] = (-1.0, "")
        while True:
            query = (
                sa.select(jobs)
                .where(condition, sa.tuple_(jobs.c.created_at, jobs.c.job_id) > last)
                .order_by(jobs.c.created_at, jobs.c.job_id)
                .limit(_PAGE)
            )
            with self._begin() as connection:
                rows = connection.execute(query).mappings().all()
                joined = _joined(connection, [row[jobs.c.job_id] for row in rows])
            for row in rows:
                record = _readable(row)
                if record is not None:
                    yield replace(record, joined_by=tuple(joined[record.job_id]))
            if len(rows) < _PAGE:
                return
            last = (rows[-1][jobs.c.created_at], rows[-1][jobs.c.job_id])


def _joined(connection: Connection, job_ids: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    query = sa.select(joins).where(joins.c.job_id.in_(job_ids)).order_by(joins.c.refresh_id)
    for job_id, refresh_id in connection.execute(query):
        found[job_id].append(refresh_id)
    return found


def _readable(row: Any) -> JobRecord | None:
    """The job in *row*; None, and a word in the log: one row must not keep all others."""
    try:
        return record_of(row)
    except ValueError:  # pydantic's too
        logger.exception("job %s cannot be read from the ledger", row[jobs.c.job_id])
        return None
