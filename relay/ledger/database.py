"""A connection to SQLite or PostgreSQL: patient, its transactions short, its exceptions ours."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from relay.errors import BadConfig, LedgerError, LedgerRefused, LedgerUnavailable

_PATIENCE_SECONDS: Final = 5
_SQLITE_PATIENCE_SECONDS: Final = 10


class Database:
    """One database. Every method raises LedgerUnavailable when it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect lazily to *url*, with short transactions and a patient SQLite.

        Raises BadConfig for a URL that cannot be read or whose driver is not installed.
        """
        try:
            if url.startswith("sqlite"):
                engine = sa.create_engine(url, connect_args={"timeout": _SQLITE_PATIENCE_SECONDS})
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

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (DataError, IntegrityError) as error:
            raise LedgerRefused(f"{type(error).__name__}: {str(error.orig)[:200]}") from error
        except (OverflowError, UnicodeError) as error:
            # SQLite's driver says so of a number or a text that no column can hold.
            raise LedgerRefused(f"{type(error).__name__}: {str(error)[:200]}") from error
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
    cursor.execute(f"PRAGMA busy_timeout={_SQLITE_PATIENCE_SECONDS * 1000}")
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    """Once per file, and lasting. SQLite waits for nobody there: of two at once one is refused."""
    until = time.monotonic() + _SQLITE_PATIENCE_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def insert_into(dialect: Dialect, table: sa.Table) -> Any:
    """An INSERT that can say what to do on a conflict, which is each dialect's own."""
    kind: Any = postgresql if dialect.name == "postgresql" else sqlite
    return kind.insert(table)
