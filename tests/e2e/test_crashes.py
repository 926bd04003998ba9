"""kill -9 in mid-run, with real processes: file and ledger agree, and the queue is empty."""

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from rq import Queue

pytestmark = pytest.mark.processes
LOOPBACK = ("--allow-private", "127.0.0.0/8")
FAST, SLOW = 20, 20


@pytest.fixture
def mixed(site, table):
    """Rows that are answered at once, and rows that wait for the gate."""
    return table.fill(
        [f"{site.url}/fast/{n}" for n in range(FAST)]
        + [f"{site.url}/slow/{n}" for n in range(SLOW)]
    )


def ledger(home: Path) -> dict[str, tuple[str, str, str]]:
    """row id → (status, conclusion, writeback) of its last job, as the books have it."""
    with sqlite3.connect(f"file:{home / 'relay' / 'ledger.sqlite3'}?mode=ro", uri=True) as books:
        rows = books.execute(
            "SELECT row_id, status, conclusion, writeback FROM jobs ORDER BY created_at"
        ).fetchall()
    books.close()
    return {
        row_id: (status, conclusion, writeback)
        for row_id, *rest in rows
        for status, conclusion, writeback in [rest]
    }


def assert_all_is_well(run, output: str, errors: str, home: Path, mixed, eventually) -> None:
    assert run.returncode == 0, output + errors
    wanted = {row["row_id"]: ("done", "valid", "written") for row in mixed.rows}
    # The books are a moment behind; a relay that stops writes them up first.
    eventually(lambda: ledger(home) == wanted, what="file and ledger agree")
    assert mixed.column("conclusion") == ["valid"] * (FAST + SLOW)
    assert [row["final_url"] for row in mixed.rows] == [
        row["tracking_url"].replace("/fast/", "/page/fast/").replace("/slow/", "/page/slow/")
        for row in mixed.rows
    ]


def in_motion(home: Path) -> dict[str, int]:
    """What RQ's own API finds queued, started or scheduled, over all queues."""
    where = json.loads((home / "relay" / "redis.json").read_text("utf-8"))
    with redis.Redis(unix_socket_path=where["socket"]) as client:
        queues = Queue.all(connection=client, serializer="json")
        assert queues
        return {
            "queued": sum(queue.count for queue in queues),
            "started": sum(queue.started_job_registry.count for queue in queues),
            "scheduled": sum(queue.scheduled_job_registry.count for queue in queues),
        }


def rq_info(home: Path) -> str:
    where = json.loads((home / "relay" / "redis.json").read_text("utf-8"))
    return subprocess.run(
        [Path(sys.executable).parent / "rq", "info", "--url", f"unix://{where['socket']}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_agent_is_killed_and_every_row_is_right(
    linkrow, site, home, mixed, running, kill, eventually
) -> None:
    run = linkrow.start("run", mixed.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", SLOW // 2)

    kill(running(home, "agent.cli"))
    eventually(lambda: bool(running(home, "agent.cli")), what="the agent is started again")
    site.gate.set()
    output, errors = run.communicate(timeout=110)

    assert_all_is_well(run, output, errors, home, mixed, eventually)


def test_the_service_is_killed_and_every_row_is_right(
    linkrow, site, home, mixed, running, kill, eventually
) -> None:
    run = linkrow.start("run", mixed.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", SLOW // 2)

    kill(running(home, "relay.entry serve"))
    site.gate.set()
    output, errors = run.communicate(timeout=110)

    assert_all_is_well(run, output, errors, home, mixed, eventually)


def test_the_whole_relay_is_killed_and_every_row_is_right(
    linkrow, site, home, mixed, running, kill, eventually
) -> None:
    run = linkrow.start("run", mixed.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", SLOW // 2)

    kill(running(home, "relay.entry up"))
    site.gate.set()
    output, errors = run.communicate(timeout=110)

    assert_all_is_well(run, output, errors, home, mixed, eventually)


def test_redis_is_killed_and_the_run_goes_on_when_it_is_back(
    linkrow, site, home, mixed, running, kill, eventually
) -> None:
    run = linkrow.start("run", mixed.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", SLOW // 2)

    kill(running(home, "redis-server"))
    site.gate.set()
    output, errors = run.communicate(timeout=110)

    assert_all_is_well(run, output, errors, home, mixed, eventually)


def test_after_a_run_with_a_kill_rq_shows_nothing_in_motion(
    linkrow, site, home, mixed, running, kill, eventually
) -> None:
    up = linkrow.start("relay", "up", "--data", home / "relay", "--bind", "127.0.0.1:0")
    eventually((home / "relay" / "relay.json").exists, what="the relay is ready")
    run = linkrow.start("run", mixed.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", SLOW // 2)
    kill(running(home, "agent.cli"))
    site.gate.set()
    output, errors = run.communicate(timeout=110)

    assert_all_is_well(run, output, errors, home, mixed, eventually)
    shown = rq_info(home)
    assert in_motion(home) == {"queued": 0, "started": 0, "scheduled": 0}
    assert re.search(
        r"^links\.src_\w+ *\|? *0, 0 executing, \d+ finished, 0 failed", shown, re.MULTILINE
    ), shown
    assert up.poll() is None
