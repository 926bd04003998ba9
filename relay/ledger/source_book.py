"""Sources and refreshes as the books know them: one, page by page, or all that a rebuild needs."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from relay.ledger.cursors import read_cursor, write_cursor
from relay.ledger.database import Database
from relay.ledger.schema import jobs, joins, refreshes, sources
from relay.source_records import RefreshRecord, SourceRecord, run_progress
from wire import ids
from wire.models import ErrorDetail, RefreshOrder, RefreshProgress
from wire.vocab import RefreshState, SourceKind

_PAGE: Final = 1000


class SourceBook(Database):
    """Where callers read of sources and refreshes."""

    def source(self, account_id: str, source_id: str) -> SourceRecord | None:
        """One source of the account, a deleted one too."""
        query = sa.select(sources).where(
            sources.c.source_id == source_id, sources.c.account_id == account_id
        )
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
        return _source(row) if row else None

    def sources(
        self, account_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> tuple[list[SourceRecord], str | None]:
        """One page of the account's sources, newest first, and the cursor of the next one.

        Deleted ones are left out. Raises Malformed for a cursor that is none of ours.
        """
        query = sa.select(sources).where(
            sources.c.account_id == account_id, sources.c.deleted_at.is_(None)
        )
        place = (sources.c.created_at, sources.c.source_id)
        with self._begin() as connection:
            rows, more = _page(connection, query, place, limit, cursor, ids.SOURCE_ID)
        page = [_source(row) for row in rows]
        return page, write_cursor(page[-1].created_at, page[-1].source_id) if more else None

    def progress(self, account_id: str, refresh_id: str) -> RefreshProgress | None:
        """How far a refresh is, or was; of a run, how its jobs stand."""
        query = sa.select(refreshes).where(
            refreshes.c.refresh_id == refresh_id, refreshes.c.account_id == account_id
        )
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
            if row is not None:
                return _refreshes(connection, account_id, [row])[0].progress()
            counts = _count(connection, account_id, [refresh_id])
        return run_progress(refresh_id, counts[refresh_id]) if counts[refresh_id] else None

    def refreshes(
        self, account_id: str, source_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> tuple[list[RefreshProgress], str | None]:
        """One page of a source's refreshes, newest first, and the cursor of the next one."""
        query = sa.select(refreshes).where(
            refreshes.c.account_id == account_id, refreshes.c.source_id == source_id
        )
        place = (refreshes.c.created_at, refreshes.c.refresh_id)
        with self._begin() as connection:
            rows, more = _page(connection, query, place, limit, cursor, ids.REFRESH_ID)
            page = _refreshes(connection, account_id, rows)
        last = page[-1] if more else None
        found = [record.progress() for record in page]
        return found, write_cursor(last.created_at, last.refresh_id) if last else None

    def newest_refreshes(
        self, account_id: str, source_ids: Sequence[str]
    ) -> dict[str, RefreshProgress]:
        """The newest refresh of each of *source_ids* that has one."""
        ours = (refreshes.c.account_id == account_id, refreshes.c.source_id.in_(source_ids))
        newest = (
            sa.select(refreshes.c.source_id, sa.func.max(refreshes.c.created_at))
            .where(*ours)
            .group_by(refreshes.c.source_id)
        )
        query = sa.select(refreshes).where(
            *ours, sa.tuple_(refreshes.c.source_id, refreshes.c.created_at).in_(newest)
        )
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
            found = _refreshes(connection, account_id, rows)
        return {record.source_id: record.progress() for record in found}

    def source_records(self) -> list[SourceRecord]:
        """Every source there is, deleted ones too."""
        with self._begin() as connection:
            return [_source(row) for row in connection.execute(sa.select(sources)).mappings()]

    def asked(self, *, since: float) -> Iterator[RefreshRecord]:
        """Every refresh that is not over or was asked for after *since*; their jobs not counted."""
        last: tuple[float, str] = (-1.0, "")
        place = (refreshes.c.created_at, refreshes.c.refresh_id)
        while True:
            query = (
                sa.select(refreshes)
                .where(sa.or_(refreshes.c.ended_at.is_(None), refreshes.c.created_at > since))
                .where(sa.tuple_(*place) > last)
                .order_by(*place)
                .limit(_PAGE)
            )
            with self._begin() as connection:
                rows = connection.execute(query).mappings().all()
            yield from (_refresh(row, {}) for row in rows)
            if len(rows) < _PAGE:
                return
            last = (rows[-1][refreshes.c.created_at], rows[-1][refreshes.c.refresh_id])


def _page(
    connection: Connection,
    query: Any,
    place: tuple[Any, Any],
    limit: int,
    cursor: str | None,
    pattern: str,
) -> tuple[Sequence[Any], bool]:
    if cursor is not None:
        query = query.where(sa.tuple_(*place) < read_cursor(cursor, pattern))
    query = query.order_by(*(column.desc() for column in place)).limit(limit + 1)
    rows = connection.execute(query).mappings().all()
    return rows[:limit], len(rows) > limit


def _source(row: Any) -> SourceRecord:
    kind = row[sources.c.kind]
    return SourceRecord(
        source_id=row[sources.c.source_id],
        account_id=row[sources.c.account_id],
        created_at=row[sources.c.created_at],
        kind=SourceKind(kind) if kind else None,
        name=row[sources.c.name],
        max_age_seconds=row[sources.c.max_age_seconds],
        paused=row[sources.c.paused],
        device_id=row[sources.c.device_id],
        last_seen_at=row[sources.c.last_seen_at],
        deleted_at=row[sources.c.deleted_at],
    )


def _refreshes(connection: Connection, account_id: str, rows: Sequence[Any]) -> list[RefreshRecord]:
    """The refreshes in *rows*. What one that is done has counted, stands."""
    moving = [row[refreshes.c.refresh_id] for row in rows if row[refreshes.c.counts] == "{}"]
    counts = _count(connection, account_id, moving) if moving else {}
    return [
        _refresh(
            row, counts.get(row[refreshes.c.refresh_id]) or json.loads(row[refreshes.c.counts])
        )
        for row in rows
    ]


def _refresh(row: Any, counts: Mapping[str, int]) -> RefreshRecord:
    code = row[refreshes.c.error_code]
    detail = row[refreshes.c.error_detail]
    return RefreshRecord(
        refresh_id=row[refreshes.c.refresh_id],
        account_id=row[refreshes.c.account_id],
        source_id=row[refreshes.c.source_id],
        job_id=row[refreshes.c.job_id],
        order=RefreshOrder.model_validate_json(row[refreshes.c.order]),
        state=RefreshState(row[refreshes.c.state]),
        created_at=row[refreshes.c.created_at],
        expires_at=row[refreshes.c.expires_at],
        rows=row[refreshes.c.rows],
        not_submitted=json.loads(row[refreshes.c.not_submitted]),
        error=ErrorDetail(code=code, detail=detail) if code else None,
        ended_at=row[refreshes.c.ended_at],
        counts=counts,
    )


def _count(
    connection: Connection, account_id: str, refresh_ids: Sequence[str]
) -> dict[str, Counter[str]]:
    """How the jobs of each refresh stand, those that it shares with another one too."""
    state = (jobs.c.conclusion, jobs.c.writeback)
    own = (
        sa.select(jobs.c.refresh_id, *state, sa.func.count())
        .where(jobs.c.account_id == account_id, jobs.c.refresh_id.in_(refresh_ids))
        .group_by(jobs.c.refresh_id, *state)
    )
    joined = (
        sa.select(joins.c.refresh_id, *state, sa.func.count())
        .join(joins, joins.c.job_id == jobs.c.job_id)
        .where(jobs.c.account_id == account_id, joins.c.refresh_id.in_(refresh_ids))
        .group_by(joins.c.refresh_id, *state)
    )
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    rows = connection.execute(sa.union_all(own, joined)).all()
    for refresh_id, conclusion, writeback, count in rows:
        counts[refresh_id]["submitted"] += count
        if conclusion is not None:
            counts[refresh_id]["finished"] += count
            counts[refresh_id][f"conclusion:{conclusion}"] += count
            counts[refresh_id][f"writeback:{writeback}"] += count
    return counts
