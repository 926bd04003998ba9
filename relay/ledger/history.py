"""An account's jobs as it may read them: one, or page by page."""

import sqlalchemy as sa

from relay.ledger.cursors import read_cursor, write_cursor
from relay.ledger.database import Database
from relay.ledger.job_rows import record_of
from relay.ledger.schema import jobs
from relay.records import JobRecord
from wire import ids
from wire.vocab import Conclusion, JobStatus


class History(Database):
    """Where callers read."""

    def job(self, account_id: str, job_id: str) -> JobRecord | None:
        """One job of the account."""
        query = sa.select(jobs).where(jobs.c.job_id == job_id, jobs.c.account_id == account_id)
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
        return record_of(row) if row else None

    def jobs(
        self,
        account_id: str,
        *,
        source_id: str | None = None,
        row_id: str | None = None,
        status: JobStatus | None = None,
        conclusion: Conclusion | None = None,
        refresh_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[JobRecord], str | None]:
        """One page of the account's jobs, newest first, and the cursor of the next one.

        Raises Malformed for a cursor that is none of ours.
        """
        query = sa.select(jobs).where(jobs.c.account_id == account_id)
        for column, value in (
            (jobs.c.source_id, source_id),
            (jobs.c.row_id, row_id),
            (jobs.c.status, status),
            (jobs.c.conclusion, conclusion),
            (jobs.c.refresh_id, refresh_id),
        ):
            if value is not None:
                query = query.where(column == value)
        if cursor is not None:
            at, job_id = read_cursor(cursor, ids.JOB_ID)
            query = query.where(sa.tuple_(jobs.c.created_at, jobs.c.job_id) < (at, job_id))
        query = query.order_by(jobs.c.created_at.desc(), jobs.c.job_id.desc()).limit(limit + 1)
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
        page = [record_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        last = page[-1] if more and page else None
        return page, write_cursor(last.created_at, last.job_id) if last else None
