"""kill -9 in mid-run, with real processes: file and ledger agree, and the queue is empty."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue

from connector.locks import try_lock

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


@pytest.fixture
def kept(home: Path) -> Iterator[None]:
    """Somebody else uses the relay too, so it is still there to be looked at after the run."""
    (home / "relay").mkdir()
    with try_lock(home / "relay" / "users.lock", shared=True):
        yield


@pytest.mark.parametrize(
    "word",
    [
        pytest.param("agent.cli", id="the agent"),
        pytest.param("relay.entry serve", id="the service"),
        pytest.param("relay.entry recorder", id="the recorder"),
        pytest.param("relay.entry up", id="the whole relay"),
        pytest.param("redis-server", id="Redis"),
    ],
)
def test_what_is_killed_in_mid_run_costs_no_row(
    linkrow, site, home, mixed, running, kill, eventually, kept, word: str
) -> None:
    run = linkrow.start("run", mixed.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", SLOW // 2)

    kill(running(home, word))
    if word == "agent.cli":
        eventually(lambda: bool(running(home, word)), what="the agent is started again")
    site.gate.set()
    output, errors = run.communicate(timeout=110)

    assert_all_is_well(run, output, errors, home, mixed, eventually)
    assert in_motion(home) == {"queued": 0, "started": 0, "scheduled": 0}
    shown = rq_info(home)
    nothing = r"^links\.src_\w+ *\|? *0, 0 executing, \d+ finished, 0 failed"
    assert re.search(nothing, shown, re.MULTILINE), shown
