import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.errors import SpoolBusy, SpoolFull, SpoolUnusable
from agent.spool import Accepted, Settled, Spool
from wire.models import JobAnswer, Outcome, Report, WritebackReport
from wire.vocab import CheckStatus, Conclusion, JobStatus, Writeback

JOB = "6a1f3f0e-0000-5000-8000-00000000000{}"
LEASE = "1-aaaaaaaa"


def report(number: int = 1, lease_id: str = LEASE, url: str = "https://a.example/ü") -> Report:
    outcome = Outcome(
        status=JobStatus.DONE, conclusion=Conclusion.VALID, final_url=url, http_status=200
    )
    return Report(job_id=JOB.format(number), lease_id=lease_id, outcome=outcome)


def accepted(number: int = 1, lease_id: str = LEASE) -> Accepted:
    job = JobAnswer(
        job_id=JOB.format(number),
        source_id="src_a",
        row_id="r_1",
        tracking_url="https://t.example/",
        status=JobStatus.DONE,
        check_status=CheckStatus.VALID,
        conclusion=Conclusion.VALID,
        created_at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    return Accepted(lease_id=lease_id, job=job)


def settled(number: int = 1, lease_id: str = LEASE) -> Settled:
    said = WritebackReport(
        job_id=JOB.format(number), writeback=Writeback.MISSING, detail="the row is gone"
    )
    return Settled(lease_id=lease_id, report=said)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "src_a.sqlite3"


def test_a_result_walks_from_resolved_to_forgotten(path):
    with Spool(path) as spool:
        spool.add([report(1), report(2)])
        assert {each.job_id for each in spool.contents().resolved} == {
            report(1).job_id,
            report(2).job_id,
        }

        spool.accept([accepted(1)])
        assert spool.contents().accepted == (accepted(1),)
        assert spool.contents().resolved == (report(2),)

        spool.settle([settled(1)])
        assert spool.contents().settled == (settled(1),)
        assert spool.contents().accepted == ()

        spool.forget([(JOB.format(1), LEASE), (JOB.format(2), LEASE)])
        assert len(spool) == 0


def test_what_was_committed_is_there_after_kill_9(path):
    script = f"""
import os, signal
from pathlib import Path
from agent.spool import Spool
from wire.models import Report
spool = Spool(Path({str(path)!r}))
spool.add([Report.model_validate_json({report().model_dump_json()!r})])
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[2]
    )

    assert ended.returncode == -signal.SIGKILL
    with Spool(path) as spool:
        assert spool.contents().resolved == (report(),)


def test_a_handed_over_result_needs_no_walk_of_ours(path):
    with Spool(path) as spool:
        spool.accept([accepted(lease_id="2-bbbbbbbb")])

        assert spool.contents().accepted == (accepted(lease_id="2-bbbbbbbb"),)


def test_a_late_report_does_not_undo_what_came_after(path):
    with Spool(path) as spool:
        spool.add([report()])
        spool.accept([accepted()])

        spool.add([report()])
        assert spool.contents().accepted == (accepted(),)

        spool.settle([settled()])
        spool.accept([accepted()])
        assert spool.contents().settled == (settled(),)


def test_the_same_job_of_two_leases_is_two_entries(path):
    with Spool(path) as spool:
        spool.add([report(), report(lease_id="2-bbbbbbbb")])
        spool.forget([(JOB.format(1), LEASE)])

        assert spool.contents().resolved == (report(lease_id="2-bbbbbbbb"),)


def test_a_spool_belongs_to_one_process_at_a_time(path):
    with Spool(path), pytest.raises(SpoolBusy) as error:
        Spool(path)

    assert str(path) in str(error.value)
    Spool(path).close()


def test_a_full_disk_changes_nothing_and_is_said_so(path):
    with Spool(path) as spool:
        spool.add([report(1)])
        (pages,) = spool._connection.execute("PRAGMA page_count").fetchone()
        spool._connection.execute(f"PRAGMA max_page_count={pages}")
        long = [report(2), report(3, url="https://a.example/" + "x" * 15000)]

        with pytest.raises(SpoolFull) as error:
            spool.add(long)

        assert not error.value.permanent
        assert spool.contents().resolved == (report(1),)
        spool._connection.execute("PRAGMA max_page_count=100000")
        spool.add(long)
        assert len(spool) == 3


def write_bytes(path: Path) -> None:
    path.write_bytes(b"row_id,tracking_url\r\n" * 500)


def write_foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cookies (name TEXT)")
    connection.close()


def write_newer(path: Path) -> None:
    Spool(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def write_damaged(path: Path) -> None:
    with Spool(path) as spool:
        spool.add([report(number) for number in range(10)])
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)


def write_unreadable_entry(path: Path) -> None:
    Spool(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO results VALUES ('a', 'b', 'resolved', '{}', NULL, NULL)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "write", [write_bytes, write_foreign, write_newer, write_damaged, write_unreadable_entry]
)
def test_a_file_that_is_no_spool_is_refused_and_left_as_it_is(path, write):
    path.parent.mkdir()
    write(path)
    before = path.read_bytes()

    with pytest.raises(SpoolUnusable) as error, Spool(path) as spool:
        spool.contents()

    assert "move it away" in str(error.value)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_spool(path):
    path.parent.mkdir()
    path.touch()

    with Spool(path) as spool:
        assert len(spool) == 0


def test_a_spool_killed_while_it_was_made_is_made_again(path):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()

    with Spool(path) as spool:
        spool.add([report()])

    with Spool(path) as spool:
        assert len(spool) == 1


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX'")
def test_nobody_else_may_read_results(path):
    with Spool(path) as spool:
        spool.add([report()])

        assert path.stat().st_mode & 0o077 == 0
