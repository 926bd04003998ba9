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

from pydantic import TypeAdapter, ValidationError

from agent.errors import SpoolBusy, SpoolFull, SpoolUnusable
from agent.findings import Accepted, Ending, Finding, composed
from connector.locks import try_lock
from wire.models import JobAnswer, Lease, Report, WritebackReport

APPLICATION_ID: Final = 0x4C6B5370  # "LkSp"
SCHEMA_VERSION: Final = 2

# lease and report: what was asked and found; ending: what the relay alone knows of it. A result
# that another agent found has none of them, but the whole job.
_SCHEMA: Final = """
CREATE TABLE results (
    job_id TEXT NOT NULL,
    lease_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('resolved', 'accepted', 'settled')),
    report TEXT,
    job TEXT,
    writeback TEXT,
    lease TEXT,
    ending TEXT,
    PRIMARY KEY (job_id, lease_id)
) WITHOUT ROWID
"""

# From each version to the next.
_STEPS: Final = {
    1: ("ALTER TABLE results ADD COLUMN lease TEXT", "ALTER TABLE results ADD COLUMN ending TEXT"),
}

_ENDING: Final = TypeAdapter(Ending)
_TIMEOUT_SECONDS = 5.0
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a row; the relay is to be told."""

    lease_id: str
    report: WritebackReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a spool holds, or a part of it, as an agent finds it when it starts."""

    resolved: tuple[Finding, ...]
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

    def add(self, findings: Sequence[Finding]) -> None:
        """Keep fresh results, all or none. Raises SpoolFull."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT INTO results (job_id, lease_id, state, report, lease) "
                "VALUES (?, ?, 'resolved', ?, ?) "
                "ON CONFLICT DO UPDATE SET report = excluded.report, lease = excluded.lease "
                "WHERE state = 'resolved'",
                [
                    (
                        each.report.job_id,
                        each.report.lease_id,
                        each.report.model_dump_json(exclude_defaults=True),
                        each.lease and each.lease.model_dump_json(exclude_defaults=True),
                    )
                    for each in findings
                ],
            )

    def accept(self, accepted: Sequence[Accepted]) -> None:
        """These results are their jobs' endings; their rows are to be written."""
        if not accepted:
            return
        found = [
            (_ENDING.dump_json(each.ending).decode(), each.job.job_id, each.lease_id)
            for each in accepted
            if each.ending is not None
        ]
        handed_over = [
            (each.job.job_id, each.lease_id, each.job.model_dump_json())
            for each in accepted
            if each.ending is None
        ]
        with self._changing() as connection:
            connection.executemany(
                "UPDATE results SET state = 'accepted', ending = ? "
                "WHERE job_id = ? AND lease_id = ? AND state = 'resolved'",
                found,
            )
            connection.executemany(
                "INSERT INTO results (job_id, lease_id, state, job) VALUES (?, ?, 'accepted', ?) "
                "ON CONFLICT DO UPDATE SET state = 'accepted', job = excluded.job, report = NULL "
                "WHERE state = 'resolved'",
                handed_over,
            )

    def settle(self, settled: Iterable[Settled]) -> None:
        """The rows of these are written, or never will be; the relay is still to be told."""
        with self._changing() as connection:
            connection.executemany(
                "UPDATE results SET state = 'settled', writeback = ?, "
                "report = NULL, lease = NULL, ending = NULL, job = NULL "
                "WHERE job_id = ? AND lease_id = ?",
                [
                    (each.report.model_dump_json(), each.report.job_id, each.lease_id)
                    for each in settled
                ],
            )

    def forget(self, keys: Sequence[tuple[str, str]]) -> None:
        """Drop these (job id, lease id): the relay knows all, or wants nothing more of them."""
        if not keys:
            return
        with self._changing() as connection:
            connection.executemany("DELETE FROM results WHERE job_id = ? AND lease_id = ?", keys)

    def probe(self) -> None:
        """Write one page that changes nothing. Raises SpoolFull while the disk takes no more."""
        with self._changing() as connection:
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def contents(self) -> Contents:
        """All that is here. Raises SpoolUnusable when it cannot be read."""
        parts = list(self.parts())
        return Contents(
            resolved=tuple(each for part in parts for each in part.resolved),
            accepted=tuple(each for part in parts for each in part.accepted),
            settled=tuple(each for part in parts for each in part.settled),
        )

    def parts(self, size: int = 1000) -> Iterator[Contents]:
        """All that is here, *size* results at a time: it may be more than memory should hold.

        What changes its state meanwhile comes once; what is added may not come. Raises
        SpoolUnusable when it cannot be read.
        """
        job_id = lease_id = ""
        while rows := self._rows(job_id, lease_id, size):
            yield self._part(rows)
            job_id, lease_id = rows[-1]["job_id"], rows[-1]["lease_id"]

    def _part(self, rows: Sequence[sqlite3.Row]) -> Contents:
        resolved: list[Finding] = []
        accepted: list[Accepted] = []
        settled: list[Settled] = []
        try:
            for row in rows:
                if row["state"] == "resolved":
                    resolved.append(_finding(row))
                elif row["state"] == "accepted":
                    accepted.append(_accepted(row))
                else:
                    said = WritebackReport.model_validate_json(row["writeback"])
                    settled.append(Settled(lease_id=row["lease_id"], report=said))
        except (ValidationError, TypeError) as error:
            raise SpoolUnusable(self.path, "it holds what this version cannot read") from error
        return Contents(resolved=tuple(resolved), accepted=tuple(accepted), settled=tuple(settled))

    def __len__(self) -> int:
        with self._lock:
            (count,) = self._connection.execute("SELECT count(*) FROM results").fetchone()
        return int(count)

    def _rows(self, job_id: str, lease_id: str, size: int) -> list[sqlite3.Row]:
        """The next rows after the one with this key."""
        with self._lock:
            try:
                cursor = self._connection.execute(
                    "SELECT * FROM results WHERE (job_id, lease_id) > (?, ?) "
                    "ORDER BY job_id, lease_id LIMIT ?",
                    (job_id, lease_id, size),
                )
                cursor.row_factory = sqlite3.Row
                return cursor.fetchall()
            except sqlite3.DatabaseError as error:
                raise SpoolUnusable(self.path, str(error)) from error

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
            _bring_up(connection)
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
        if version != SCHEMA_VERSION and version not in _STEPS:
            raise SpoolUnusable(
                self.path, f"it is of version {version}, this agent knows {SCHEMA_VERSION}"
            )
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise SpoolUnusable(self.path, f"it is damaged: {verdict}")


def _bring_up(connection: sqlite3.Connection) -> None:
    """Make the table, or bring an older one to this version; all of it or nothing."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'results'").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if found and version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if not found:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(_SCHEMA)
    else:
        for step in range(version, SCHEMA_VERSION):
            for statement in _STEPS[step]:
                connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _finding(row: sqlite3.Row) -> Finding:
    lease = row["lease"]
    return Finding(
        lease=None if lease is None else Lease.model_validate_json(lease),
        report=Report.model_validate_json(row["report"]),
    )


def _accepted(row: sqlite3.Row) -> Accepted:
    lease_id = row["lease_id"]
    if row["ending"] is None:
        return Accepted(lease_id=lease_id, job=JobAnswer.model_validate_json(row["job"]))
    finding, ending = _finding(row), _ENDING.validate_json(row["ending"])
    if finding.lease is None:
        raise TypeError("an ending without its lease")
    job = composed(finding.lease, finding.report, ending)
    return Accepted(lease_id=lease_id, job=job, ending=ending)


def _is_full(error: sqlite3.DatabaseError) -> bool:
    """Whether the disk, not the file, is the matter: then waiting helps, and nothing is lost."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _FULL
