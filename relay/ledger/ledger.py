"""What the relay asks the books, on SQLite or PostgreSQL."""

import base64
import binascii
import json
import math
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from relay.errors import BadConfig, LedgerError, LedgerNotMigrated, LedgerUnavailable
from relay.events import Admitted, Event, FinalEvent, SourceEvent, UnreadableEvent, WritebackEvent
from relay.ledger.schema import (
    OWED,
    UNFINISHED,
    accounts,
    audit,
    devices,
    jobs,
    key_secrets,
    keys,
    plans,
    sources,
    unreadable_events,
)
from relay.records import JobRecord, RefreshCount, parse_outcome
from relay.secret_box import SecretBox
from wire import ids
from wire.errors import Malformed
from wire.models import JobRequest
from wire.vocab import Conclusion, JobKind, JobStatus, KeyKind, Scope, Writeback

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LIVE: Final = (JobStatus.QUEUED, JobStatus.RUNNING)
_PAGE: Final = 1000
_PATIENCE_SECONDS: Final = 5
MAX_LIVE_SECRETS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an account may do; None is no limit."""

    name: str
    rows_per_day: int | None
    max_depth: int | None
    api_links: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key with its live secrets, newest first."""

    key_id: str
    account_id: str
    kind: KeyKind
    device_id: str | None
    scopes: frozenset[Scope]
    plan: Plan
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made; the secret is shown once and never again."""

    key_id: str
    account_id: str
    device_id: str | None
    secret: str = field(repr=False)


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


class Ledger:
    """The books. Every method raises LedgerUnavailable when the database does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> "Ledger":
        """Connect lazily to *url*, with short transactions and a patient SQLite.

        Raises BadConfig for a URL that cannot be read or whose driver is not installed.
        """
        try:
            if url.startswith("sqlite"):
                engine = sa.create_engine(url, connect_args={"timeout": 10})
                sa.event.listen(engine, "connect", _set_up_sqlite)
            else:
                engine = sa.create_engine(
                    url,
                    pool_pre_ping=True,
                    pool_size=5,
                    max_overflow=10,
                    pool_timeout=_PATIENCE_SECONDS,
                    connect_args=_postgres_patience(url),
                )
        except ModuleNotFoundError as error:
            raise BadConfig(
                [f"{error.name} is not installed; pip install 'linkrow[postgres]' for PostgreSQL"]
            ) from error
        except (SQLAlchemyError, ValueError) as error:
            # Not its words: they may quote the password.
            raise BadConfig(["LINKROW_DATABASE_URL cannot be read"]) from error
        return cls(engine)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def ping(self) -> None:
        """Return when the database answers."""
        with self._begin() as connection:
            connection.execute(sa.select(sa.literal(1)))

    # Versions.

    def migrate(self) -> None:
        """Bring the tables up to this version; two that do it at once wait for each other."""
        with self._begin() as connection:
            if connection.dialect.name == "postgresql":
                # A migration may wait for its turn; a request may not.
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7512684)"))
            else:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config = _alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check_version(self) -> None:
        """Raise LedgerNotMigrated unless the tables are of this version."""
        with self._begin() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        wanted = ScriptDirectory.from_config(_alembic()).get_current_head()
        if found != wanted:
            raise LedgerNotMigrated(
                f"the ledger is at version {found or 'none'}, this Linkrow needs {wanted}; "
                "run linkrow-relay init"
            )

    # Accounts and keys.

    def put_plan(self, plan: Plan) -> None:
        """Make *plan*, unless there is one of that name."""
        with self._begin() as connection:
            row = {
                "name": plan.name,
                "rows_per_day": plan.rows_per_day,
                "max_depth": plan.max_depth,
                "history_days": None,
                "api_links": plan.api_links,
            }
            connection.execute(_insert(connection, plans).on_conflict_do_nothing(), row)

    def set_plan_limits(
        self, name: str, *, rows_per_day: int | None, max_depth: int | None
    ) -> None:
        """Change what *name* allows; in force everywhere within a second."""
        with self._begin() as connection:
            connection.execute(
                plans.update()
                .where(plans.c.name == name)
                .values(rows_per_day=rows_per_day, max_depth=max_depth)
            )

    def first_account(self) -> str | None:
        """The account that ``init`` made, or None before it."""
        query = sa.select(accounts.c.account_id).order_by(accounts.c.created_at).limit(1)
        with self._begin() as connection:
            return connection.execute(query).scalar()

    def add_account(self, name: str, *, plan: str, now: datetime) -> str:
        """Make an account. Its id."""
        account_id = "acct_" + ids.token(16)
        with self._begin() as connection:
            connection.execute(
                accounts.insert(),
                {
                    "account_id": account_id,
                    "name": name,
                    "plan": plan,
                    "created_at": now.timestamp(),
                },
            )
            _note(connection, account_id, "init", "account.create", account_id, now)
        return account_id

    def add_key(
        self,
        account_id: str,
        *,
        kind: KeyKind,
        scopes: frozenset[Scope],
        name: str,
        box: SecretBox,
        now: datetime,
    ) -> NewKey:
        """Make a key, and a device with it if *kind* says so."""
        key = NewKey(
            key_id="lrk_" + ids.token(20),
            account_id=account_id,
            device_id="dev_" + ids.token(16) if kind is KeyKind.DEVICE else None,
            secret="lrs_" + secrets.token_urlsafe(32),
        )
        at = now.timestamp()
        with self._begin() as connection:
            if key.device_id:
                connection.execute(
                    devices.insert(),
                    {
                        "device_id": key.device_id,
                        "account_id": account_id,
                        "name": name,
                        "created_at": at,
                    },
                )
            connection.execute(
                keys.insert(),
                {
                    "key_id": key.key_id,
                    "account_id": account_id,
                    "kind": kind,
                    "device_id": key.device_id,
                    "scopes": " ".join(sorted(scopes)),
                    "name": name,
                    "created_at": at,
                },
            )
            connection.execute(
                key_secrets.insert(),
                {
                    "key_id": key.key_id,
                    "sealed": box.seal(key.secret, key_id=key.key_id),
                    "master_key_version": box.version,
                    "created_at": at,
                },
            )
            _note(connection, account_id, "init", "key.create", key.key_id, now)
        return key

    def has_key(self, account_id: str, kind: KeyKind) -> bool:
        """Whether the account has a key of *kind* that was not revoked."""
        query = (
            sa.select(keys.c.key_id)
            .where(
                keys.c.account_id == account_id, keys.c.kind == kind, keys.c.revoked_at.is_(None)
            )
            .limit(1)
        )
        with self._begin() as connection:
            return connection.execute(query).first() is not None

    def knows_key(self, key_id: str) -> bool:
        """Whether there is, or was, a key of that id."""
        with self._begin() as connection:
            query = sa.select(keys.c.key_id).where(keys.c.key_id == key_id)
            return connection.execute(query).first() is not None

    def has_secrets(self) -> bool:
        """Whether a master key has sealed anything here."""
        with self._begin() as connection:
            return connection.execute(sa.select(key_secrets.c.id).limit(1)).first() is not None

    def revoke_key(self, key_id: str, *, now: datetime) -> None:
        """End a key; in force everywhere within a second."""
        with self._begin() as connection:
            connection.execute(
                keys.update().where(keys.c.key_id == key_id).values(revoked_at=now.timestamp())
            )
            _note(connection, None, "operator", "key.revoke", key_id, now)

    def key(self, key_id: str, *, box: SecretBox, now: datetime) -> KeyRecord | None:
        """A key that may be used now, or None. Raises BadMasterKey if its secret does not open."""
        query = (
            sa.select(keys, plans)
            .join(accounts, accounts.c.account_id == keys.c.account_id)
            .join(plans, plans.c.name == accounts.c.plan)
            .where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None))
        )
        live = (
            sa.select(key_secrets.c.sealed)
            .where(
                key_secrets.c.key_id == key_id,
                sa.or_(
                    key_secrets.c.expires_at.is_(None), key_secrets.c.expires_at > now.timestamp()
                ),
            )
            .order_by(key_secrets.c.created_at.desc())
            .limit(MAX_LIVE_SECRETS)
        )
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            sealed = connection.execute(live).scalars().all()
        return KeyRecord(
            key_id=key_id,
            account_id=row[keys.c.account_id],
            kind=KeyKind(row[keys.c.kind]),
            device_id=row[keys.c.device_id],
            scopes=frozenset(Scope(scope) for scope in row[keys.c.scopes].split()),
            plan=Plan(
                name=row[plans.c.name],
                rows_per_day=row[plans.c.rows_per_day],
                max_depth=row[plans.c.max_depth],
                api_links=row[plans.c.api_links],
            ),
            secrets=tuple(box.open(each, key_id=key_id) for each in sealed),
        )

    # The recorder.

    def record(self, entries: Sequence[Entry]) -> Recorded:
        """Put *entries* down in one transaction. What stands stays: replays change nothing."""
        events = [entry.event for entry in entries]
        admitted = [row for event in events if isinstance(event, Admitted) for row in _rows(event)]
        finals = [_ending(event) for event in events if isinstance(event, FinalEvent)]
        written = [_written(event) for event in events if isinstance(event, WritebackEvent)]
        seen = [_source(event) for event in events if isinstance(event, SourceEvent)]
        unreadable = [_unreadable(entry) for entry in entries if _is_unreadable(entry)]
        with self._begin() as connection:
            if seen:
                connection.execute(_insert(connection, sources).on_conflict_do_nothing(), seen)
            if admitted:
                connection.execute(_insert(connection, jobs).on_conflict_do_nothing(), admitted)
            if finals:
                connection.execute(_FIRST_FINAL_WINS, finals)
            if written:
                connection.execute(_FIRST_WORD_STAYS, written)
            if unreadable:
                connection.execute(
                    _insert(connection, unreadable_events).on_conflict_do_nothing(), unreadable
                )
        return Recorded(
            admitted=len(admitted),
            ended=tuple(event.job_id for event in events if isinstance(event, FinalEvent)),
            unreadable=len(unreadable),
        )

    # Readers.

    def job(self, account_id: str, job_id: str) -> JobRecord | None:
        """One job of the account."""
        query = sa.select(jobs).where(jobs.c.job_id == job_id, jobs.c.account_id == account_id)
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
        return _record(row) if row else None

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
            at, job_id = _read_cursor(cursor)
            query = query.where(sa.tuple_(jobs.c.created_at, jobs.c.job_id) < (at, job_id))
        query = query.order_by(jobs.c.created_at.desc(), jobs.c.job_id.desc()).limit(limit + 1)
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
        page = [_record(row) for row in rows[:limit]]
        more = len(rows) > limit
        return page, _write_cursor(page[-1]) if more and page else None

    # After a lost Redis.

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

    def refresh_counts(self, *, since: float) -> list[RefreshCount]:
        """How far each refresh is that got a job after *since* (unix seconds)."""
        columns = (jobs.c.account_id, jobs.c.refresh_id, jobs.c.conclusion, jobs.c.writeback)
        query = (
            sa.select(*columns, sa.func.count())
            .where(jobs.c.refresh_id.is_not(None), jobs.c.created_at > since)
            .group_by(*columns)
        )
        with self._begin() as connection:
            rows = connection.execute(query).all()
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
            for row in rows:
                yield _record(row)
            if len(rows) < _PAGE:
                return
            last = (rows[-1][jobs.c.created_at], rows[-1][jobs.c.job_id])

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (DataError, IntegrityError) as error:
            raise LedgerError(f"{type(error).__name__}: {str(error.orig)[:200]}") from error
        except (OverflowError, UnicodeError) as error:
            # SQLite's driver says so of a number or a text that no column can hold.
            raise LedgerError(f"{type(error).__name__}: {str(error)[:200]}") from error
        except DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[:1]
            raise LedgerUnavailable(
                f"the ledger does not answer: {reason[0][:200] if reason else type(error).__name__}"
            ) from error
        except SQLAlchemyError as error:
            raise LedgerError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _postgres_patience(url: str) -> dict[str, object]:
    """How long a PostgreSQL may make us wait, where *url* does not say so itself.

    One that is gone refuses at once; one that accepts and never greets, or whose table somebody
    holds locked, would otherwise keep a request for as long as it likes.
    """
    usual: dict[str, object] = {
        "connect_timeout": _PATIENCE_SECONDS,
        "options": f"-c lock_timeout={_PATIENCE_SECONDS}s",
    }
    said = sa.make_url(url).query
    return {name: value for name, value in usual.items() if name not in said}


def _set_up_sqlite(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _insert(connection: Connection, table: sa.Table) -> Any:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _note(
    connection: Connection,
    account_id: str | None,
    actor: str,
    action: str,
    subject: str,
    now: datetime,
) -> None:
    connection.execute(
        audit.insert(),
        {
            "at": now.timestamp(),
            "account_id": account_id,
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": "",
        },
    )


def _rows(event: Admitted) -> Iterator[dict[str, object]]:
    for job in event.jobs:
        request = job.request
        yield {
            "job_id": job.job_id,
            "account_id": event.account_id,
            "kind": JobKind.LINK,
            "source_id": request.source_id,
            "row_id": request.row_id,
            "refresh_id": request.refresh_id,
            "request": request.model_dump_json(exclude_defaults=True),
            "key_id": event.key_id,
            "signed_at": event.timestamp,
            "nonce": event.nonce,
            "body_sha256": event.body_sha256,
            "admitted_by": event.device_id,
            "created_at": event.at,
            "status": JobStatus.QUEUED,
            "previous_final_url": _storable(request.previous_final_url),
            "skip_reason": "",
            "attempts": 0,
            "writeback": Writeback.NONE,
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
        sa.or_(*(jobs.c.status == status for status in _LIVE)),
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
    .where(jobs.c.job_id == sa.bindparam("of"), jobs.c.writeback == Writeback.PENDING)
    .values(writeback=sa.bindparam("new_writeback"), writeback_detail=sa.bindparam("new_detail"))
)


def _ending(event: FinalEvent) -> dict[str, object]:
    outcome = event.outcome
    return {
        "of": event.job_id,
        "new_status": event.status,
        "new_conclusion": event.conclusion,
        "new_outcome": outcome.model_dump_json(exclude_defaults=True) if outcome else None,
        "new_final_url": _storable(outcome.final_url) if outcome else None,
        "new_destination_changed": outcome.destination_changed if outcome else None,
        "new_skip_reason": _storable(event.skip_reason),
        "new_attempts": event.attempts,
        "new_device_id": event.device_id,
        "new_checked_at": event.at,
        "new_writeback": event.writeback,
    }


def _written(event: WritebackEvent) -> dict[str, object]:
    return {
        "of": event.job_id,
        "new_writeback": event.writeback,
        "new_detail": _storable(event.detail),
    }


def _source(event: SourceEvent) -> dict[str, object]:
    return {
        "source_id": event.source_id,
        "account_id": event.account_id,
        "device_id": event.device_id,
        "created_at": event.at,
    }


def _is_unreadable(entry: Entry) -> bool:
    return isinstance(entry.event, UnreadableEvent)


def _unreadable(entry: Entry) -> dict[str, object]:
    assert isinstance(entry.event, UnreadableEvent)
    return {
        "entry_id": entry.entry_id,
        "at": datetime.now(UTC).timestamp(),
        "why": _storable(entry.event.why),
        "fields": _storable(entry.raw[:20_000]),
    }


def _record(row: Any) -> JobRecord:
    return JobRecord(
        job_id=row[jobs.c.job_id],
        account_id=row[jobs.c.account_id],
        request=JobRequest.model_validate_json(row[jobs.c.request]),
        kind=JobKind(row[jobs.c.kind]),
        status=JobStatus(row[jobs.c.status]),
        conclusion=Conclusion(row[jobs.c.conclusion]) if row[jobs.c.conclusion] else None,
        outcome=parse_outcome(row[jobs.c.outcome] or ""),
        skip_reason=row[jobs.c.skip_reason],
        attempts=row[jobs.c.attempts],
        device_id=row[jobs.c.device_id],
        writeback=Writeback(row[jobs.c.writeback]),
        writeback_detail=row[jobs.c.writeback_detail],
        created_at=row[jobs.c.created_at],
        checked_at=row[jobs.c.checked_at],
    )


def _write_cursor(record: JobRecord) -> str:
    text = json.dumps([record.created_at, record.job_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, job_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        if not math.isfinite(at) or not re.fullmatch(ids.JOB_ID, job_id):
            raise ValueError  # noqa: TRY301 - one sentence for all that is none of ours
        return float(at), job_id
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError) as error:
        raise Malformed("cursor", "none of ours; begin without one") from error
