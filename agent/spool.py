"""Results on this machine's disk until the relay has them and their rows are written.

A result is here before anything else is done with it. It moves one way: ``resolved`` (not yet
reported) → ``accepted`` (the relay took it as the job's ending; its row is to be written) →
``settled`` (its row is written, or cannot be; the relay does not know yet) → gone.

SQLite in WAL mode with synchronous NORMAL: what is committed outlives kill -9 of this process. A
power cut may cost the last commits, never the file; and what is lost then costs a second walk and
no result, because the relay still holds the lease or the obligation and hands it out again.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from agent.errors import SpoolBusy, SpoolFull, SpoolUnusable
from connector.locks import try_lock
from wire.models import JobAnswer, Report, WritebackReport

APPLICATION_ID: Final = 0x4C6B5370  # "LkSp"
SCHEMA_VERSION: Final = 1

_SCHEMA = """
CREATE TABLE results (
    job_id TEXT NOT NULL,
    lease_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('resolved', 'accepted', 'settled')),
    report TEXT,
    job TEXT,
    writeback TEXT,
    PRIMARY KEY (job_id, lease_id)
) WITHOUT ROWID
"""

_TIMEOUT_SECONDS = 5.0
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A final result whose row is to be written. *lease_id* says which delivery brought it."""

    lease_id: str
    job: JobAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a row; the relay is to be told."""

    lease_id: str
    report: WritebackReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything a spool holds, as an agent finds it when it starts."""

    resolved: tuple[Report, ...]
    accepted: tuple[Accepted, ...]
    settled: tuple[Settled, ...]


class Spool:
    """One file, used by one process; by any of its threads, one at a time.

    Opening raises SpoolBusy when another process has it and SpoolUnusable when the file is not a
    spool or is damaged. Every change raises SpoolFull when the disk takes no more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._held = ExitStack()
        try:
            self._hold()
            self._connection = self._open()
        except OSError as error:
            self._held.close()
            raise SpoolUnusable(path, error.strerror or str(error)) from error
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Nothing is lost: every change was committed when it was made."""
        with self._lock:
            self._connection.close()
        self._held.close()

    def add(self, reports: Sequence[Report]) -> None:
        """Keep fresh results, all or none. Raises SpoolFull."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT INTO results (job_id, lease_id, state, report) "
                "VALUES (?, ?, 'resolved', ?) "
                "ON CONFLICT DO UPDATE SET report = excluded.report "
                "WHERE state = 'resolved'",
                [
                    (
                        report.job_id,
                        report.lease_id,
                        report.model_dump_json(exclude_defaults=True),
                    )
                    for report in reports
                ],
            )

    def accept(self, accepted: Iterable[Accepted]) -> None:
        """These results are their jobs' endings; their rows are to be written."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT INTO results (job_id, lease_id, state, job) VALUES (?, ?, 'accepted', ?) "
                "ON CONFLICT DO UPDATE SET state = 'accepted', job = excluded.job, report = NULL "
                "WHERE state = 'resolved'",
                [(each.job.job_id, each.lease_id, each.job.model_dump_json()) for each in accepted],
            )

    def settle(self, settled: Iterable[Settled]) -> None:
        """The rows of these are written, or never will be; the relay is still to be told."""
        with self._changing() as connection:
            connection.executemany(
                "UPDATE results SET state = 'settled', job = NULL, writeback = ? "
                "WHERE job_id = ? AND lease_id = ?",
                [
                    (each.report.model_dump_json(), each.report.job_id, each.lease_id)
                    for each in settled
                ],
            )

    def forget(self, keys: Iterable[tuple[str, str]]) -> None:
        """Drop these (job id, lease id): the relay knows all, or wants nothing more of them."""
        with self._changing() as connection:
            connection.executemany("DELETE FROM results WHERE job_id = ? AND lease_id = ?", keys)

    def probe(self) -> None:
        """Write one page that changes nothing. Raises SpoolFull while the disk takes no more."""
        with self._changing() as connection:
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def contents(self) -> Contents:
        """All that is here. Raises SpoolUnusable when it cannot be read."""
        resolved: list[Report] = []
        accepted: list[Accepted] = []
        settled: list[Settled] = []
        try:
            for lease_id, state, report, job, writeback in self._rows():
                if state == "resolved":
                    resolved.append(Report.model_validate_json(report))
                elif state == "accepted":
                    found = JobAnswer.model_validate_json(job)
                    accepted.append(Accepted(lease_id=lease_id, job=found))
                else:
                    said = WritebackReport.model_validate_json(writeback)
                    settled.append(Settled(lease_id=lease_id, report=said))
        except (ValidationError, TypeError) as error:
            raise SpoolUnusable(self.path, "it holds what this version cannot read") from error
        return Contents(resolved=tuple(resolved), accepted=tuple(accepted), settled=tuple(settled))

    def __len__(self) -> int:
        with self._lock:
            (count,) = self._connection.execute("SELECT count(*) FROM results").fetchone()
        return int(count)

    def _rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        with self._lock:
            try:
                rows = self._connection.execute(
                    "SELECT lease_id, state, report, job, writeback FROM results"
                ).fetchall()
            except sqlite3.DatabaseError as error:
                raise SpoolUnusable(self.path, str(error)) from error
        yield from rows

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                self._roll_back()
                if _is_full(error):
                    raise SpoolFull(self.path, str(error)) from error
                raise SpoolUnusable(self.path, str(error)) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _hold(self) -> None:
        lock = self.path.with_name(self.path.name + ".lock")
        if not self._held.enter_context(try_lock(lock)):
            raise SpoolBusy(self.path)

    def _open(self) -> sqlite3.Connection:
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        if is_new:
            # Made by us with our rights first: results are nobody else's business.
            self.path.touch(mode=0o600)
        connection = sqlite3.connect(
            self.path, timeout=_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            if not is_new:
                self._check(connection)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            if is_new or not _has_table(connection):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                connection.execute(_SCHEMA)
                connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            connection.close()
            if _is_full(error):
                raise SpoolFull(self.path, str(error)) from error
            raise SpoolUnusable(self.path, str(error)) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            return  # killed between making the file and its table
        if application != APPLICATION_ID:
            raise SpoolUnusable(self.path, "it belongs to another program")
        if version != SCHEMA_VERSION:
            raise SpoolUnusable(
                self.path, f"it is of version {version}, this agent knows {SCHEMA_VERSION}"
            )
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise SpoolUnusable(self.path, f"it is damaged: {verdict}")


def _has_table(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'results'").fetchone()
    return found is not None


def _is_full(error: sqlite3.DatabaseError) -> bool:
    """Whether the disk, not the file, is the matter: then waiting helps, and nothing is lost."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _FULL
