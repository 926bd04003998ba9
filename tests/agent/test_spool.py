import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.errors import SpoolBusy, SpoolFull, SpoolUnusable
from agent.findings import Accepted, Ending, Finding, composed
from agent.spool import Settled, Spool
from wire.models import JobAnswer, Lease, Outcome, Report, WritebackReport
from wire.vocab import CheckStatus, Conclusion, JobKind, JobStatus, Writeback

JOB = "6a1f3f0e-0000-5000-8000-00000000000{}"
LEASE = "1-aaaaaaaa"


ENDING = Ending(
    created_at=datetime(2026, 11, 20, tzinfo=UTC),
    checked_at=datetime(2026, 11, 20, 1, 2, 3, 456789, tzinfo=UTC),
    attempts=2,
)


def finding(number: int = 1, lease_id: str = LEASE, url: str = "https://a.example/ü") -> Finding:
    outcome = Outcome(
        status=JobStatus.DONE, conclusion=Conclusion.VALID, final_url=url, http_status=200
    )
    report = Report(job_id=JOB.format(number), lease_id=lease_id, outcome=outcome)
    lease = Lease(
        job_id=report.job_id,
        lease_id=lease_id,
        kind=JobKind.LINK,
        source_id="src_a",
        row_id="r_ü",
        tracking_url="https://t.example/",
        delivery=1,
        attempt=2,
    )
    return Finding(lease=lease, report=report)


def accepted(number: int = 1) -> Accepted:
    """Our own finding, accepted."""
    found = finding(number)
    job = composed(found.lease, found.report, ENDING)
    return Accepted(lease_id=LEASE, job=job, ending=ENDING)


def handed_over(number: int = 1, lease_id: str = LEASE) -> Accepted:
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
        spool.add([finding(1), finding(2)])
        assert spool.contents().resolved == (finding(1), finding(2))

        spool.accept([accepted(1)])
        assert spool.contents().accepted == (accepted(1),)
        assert spool.contents().resolved == (finding(2),)

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
from agent.findings import Finding
from wire.models import Lease, Report
spool = Spool(Path({str(path)!r}))
lease = Lease.model_validate_json({finding().lease.model_dump_json()!r})
report = Report.model_validate_json({finding().report.model_dump_json()!r})
spool.add([Finding(lease=lease, report=report)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[2]
    )

    assert ended.returncode == -signal.SIGKILL
    with Spool(path) as spool:
        assert spool.contents().resolved == (finding(),)


def test_what_it_holds_comes_in_parts_and_each_result_once_whatever_happens_to_it_meanwhile(path):
    numbers = range(1, 10)
    with Spool(path) as spool:
        spool.add([finding(number) for number in numbers])
        spool.add([finding(2, lease_id="2-bbbbbbbb")])
        seen: list[Finding] = []

        for part in spool.parts(size=3):
            assert len(part.resolved) <= 3
            seen += part.resolved
            spool.accept([accepted(int(each.report.job_id[-1:])) for each in part.resolved[:1]])
            spool.forget([(each.report.job_id, each.report.lease_id) for each in part.resolved[1:]])

        assert len(seen) == 10
        assert {each.key for each in seen} == {finding(number).key for number in numbers} | {
            finding(2, lease_id="2-bbbbbbbb").key
        }
        assert list(spool.parts(size=3)) != []


def test_a_handed_over_result_needs_no_walk_of_ours(path):
    with Spool(path) as spool:
        spool.accept([handed_over(lease_id="2-bbbbbbbb")])

        assert spool.contents().accepted == (handed_over(lease_id="2-bbbbbbbb"),)


def test_a_late_report_does_not_undo_what_came_after(path):
    with Spool(path) as spool:
        spool.add([finding()])
        spool.accept([accepted()])

        spool.add([finding()])
        assert spool.contents().accepted == (accepted(),)

        spool.settle([settled()])
        spool.accept([accepted()])
        assert spool.contents().settled == (settled(),)


def test_the_same_job_of_two_leases_is_two_entries(path):
    with Spool(path) as spool:
        spool.add([finding(), finding(lease_id="2-bbbbbbbb")])
        spool.forget([(JOB.format(1), LEASE)])

        assert spool.contents().resolved == (finding(lease_id="2-bbbbbbbb"),)


def test_nothing_to_do_is_no_transaction(path):
    with Spool(path) as spool:
        said: list[str] = []
        spool._connection.set_trace_callback(said.append)

        spool.accept([])
        spool.forget([])

        assert said == []


def test_a_spool_belongs_to_one_process_at_a_time(path):
    with Spool(path), pytest.raises(SpoolBusy) as error:
        Spool(path)

    assert str(path) in str(error.value)
    Spool(path).close()


def test_a_full_disk_changes_nothing_and_is_said_so(path):
    with Spool(path) as spool:
        spool.add([finding(1)])
        (pages,) = spool._connection.execute("PRAGMA page_count").fetchone()
        spool._connection.execute(f"PRAGMA max_page_count={pages}")
        long = [finding(2), finding(3, url="https://a.example/" + "x" * 15000)]

        with pytest.raises(SpoolFull) as error:
            spool.add(long)

        assert not error.value.permanent
        assert spool.contents().resolved == (finding(1),)
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
        spool.add([finding(number) for number in range(10)])
    content = bytearray(path.read_bytes())
    content[4096:8192] = os.urandom(4096)
    path.write_bytes(content)


def write_unreadable_entry(path: Path) -> None:
    Spool(path).close()
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO results (job_id, lease_id, state, report) VALUES ('a', 'b', 'resolved', '{}')"
    )
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


V1 = """
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


def test_what_version_1_left_is_all_there_and_goes_on(path):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id=0x4C6B5370")
    connection.execute("PRAGMA user_version=1")
    connection.execute(V1)
    left = [
        (1, "resolved", finding(1).report.model_dump_json(exclude_defaults=True), None, None),
        (2, "accepted", None, handed_over(2).job.model_dump_json(), None),
        (3, "settled", None, None, settled(3).report.model_dump_json()),
    ]
    for number, *rest in left:
        row = (JOB.format(number), LEASE, *rest)
        connection.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()

    for _ in range(2):  # brought up, and opened as it then is
        with Spool(path) as spool:
            contents = spool.contents()
            assert contents.resolved == (Finding(lease=None, report=finding(1).report),)
            assert contents.accepted == (handed_over(2),)
            assert contents.settled == (settled(3),)

    with Spool(path) as spool:
        spool.accept([handed_over(1)])
        spool.add([finding(4)])
        assert spool.contents().accepted == (handed_over(1), handed_over(2))
        assert spool.contents().resolved == (finding(4),)


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
        spool.add([finding()])

    with Spool(path) as spool:
        assert len(spool) == 1


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX'")
def test_nobody_else_may_read_results(path):
    with Spool(path) as spool:
        spool.add([finding()])

        assert path.stat().st_mode & 0o077 == 0
