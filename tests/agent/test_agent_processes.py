"""Real agents as processes, a real relay, a real file: killed, asleep, stopped in mid-run."""

import csv
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from connector.locks import try_lock
from connector.relay_client import RelayClient
from wire.models import JobRequest
from wire.signing import Credentials
from wire.vocab import Writeback

pytestmark = pytest.mark.processes
ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 3


class Site:
    """/fast/N lands at once, /slow/N once the gate is open; each on a page that says how often."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: Counter[str] = Counter()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.seen[self.path] += 1
                if self.path.startswith("/slow/"):
                    site.gate.wait(60)
                landed = not self.path.startswith(("/slow/", "/fast/"))
                with suppress(OSError):
                    self.send_response(200 if landed else 302)
                    if not landed:
                        self.send_header("Location", f"/page{self.path}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def visits(self, prefix: str) -> int:
        return sum(count for path, count in list(self.seen.items()) if path.startswith(prefix))

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


class Relay:
    """``linkrow-relay up`` in a data folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("LINKROW_")
        } | {"LINKROW_HOME": str(home), "LINKROW_LEASE_SECONDS": str(LEASE_SECONDS)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relay.entry", "up", "--bind", "127.0.0.1:0"],
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        noted = home / "relay" / "relay.json"
        eventually(noted.exists, what="the relay is up")
        self.url = json.loads(noted.read_text())["url"]
        device = json.loads((home / "relay" / "device.json").read_text())
        self.credentials = Credentials(key_id=device["key_id"], secret=device["secret"])
        self.client = RelayClient(self.url, self.credentials)

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with tempfile.TemporaryDirectory(prefix="lr-ag-", dir="/tmp") as folder:
        relay = Relay(Path(folder))
        yield relay
        relay.close()


class Table:
    """A CSV of links, its jobs, and what stands in it."""

    def __init__(self, relay: Relay, folder: Path, links: list[str]) -> None:
        self.relay = relay
        self.path = folder / "links.csv"
        self.source_id = "src_" + secrets.token_hex(8)
        with self.path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row_id", "tracking_url", "note"])
            writer.writerows([f"r_{number}", link, "ours"] for number, link in enumerate(links))
        self.jobs = self.submit(links)

    def submit(self, links: list[str], **more: str) -> list[str]:
        jobs = [
            JobRequest(tracking_url=link, source_id=self.source_id, row_id=f"r_{number}", **more)
            for number, link in enumerate(links)
        ]
        answer = self.relay.client.submit(jobs, idempotency_key=secrets.token_hex(8))
        return [job.job_id for job in answer.jobs]

    @property
    def rows(self) -> list[dict[str, str]]:
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def is_written(self) -> bool:
        return all(self.relay.client.job(job).writeback is Writeback.WRITTEN for job in self.jobs)


@pytest.fixture
def table(relay: Relay, tmp_path: Path) -> Callable[[list[str]], Table]:
    return lambda links: Table(relay, tmp_path, links)


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(relay: Relay, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(table: Table, *, name: str = "one", command: str = "run") -> subprocess.Popen[bytes]:
        with (
            (tmp_path / f"{name}.events").open("ab") as events,
            (tmp_path / f"{name}.log").open("ab") as log,
        ):
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "agent.cli", command, "--quiet", "--events"),
                    *("--relay", relay.url, "--home", str(tmp_path / name)),
                    *("--file", str(table.path), "--source-id", table.source_id),
                    *("--allow-private", "127.0.0.0/8"),
                ],
                cwd=ROOT,
                env=relay.environ
                | {
                    "LINKROW_DEVICE_KEY": relay.credentials.key_id,
                    "LINKROW_DEVICE_SECRET": relay.credentials.secret,
                },
                stdout=events,
                stderr=log,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(10)


def eventually(condition: Callable[[], bool], *, what: str = "", seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"did not come about: {what}"
        time.sleep(0.02)


def assert_every_row_is_right(table: Table) -> None:
    for row in table.rows:
        link = row["tracking_url"]
        host, _, path = link.partition("//")[2].partition("/")
        assert row["final_url"] == f"http://{host}/page/{path}"
        assert (row["check_status"], row["conclusion"], row["error"]) == ("valid", "valid", "")
        assert row["last_checked"].endswith("Z")
        assert row["note"] == "ours"


def test_an_agent_that_is_killed_and_started_again_ends_with_every_row_right(site, table, start):
    links = [f"{site.url}/fast/{n}" for n in range(20)] + [f"{site.url}/slow/{n}" for n in range(9)]
    mixed = table(links)
    first = start(mixed)
    eventually(lambda: site.visits("/slow/") >= 5, what="links are in the air")

    first.kill()
    first.wait()
    site.gate.set()
    start(mixed)
    eventually(mixed.is_written, what="every row is written")

    assert_every_row_is_right(mixed)


def test_an_agent_that_slept_past_its_lease_does_not_spoil_rows(site, table, start, tmp_path):
    slow = table([f"{site.url}/slow/{n}" for n in range(5)])
    sleeper = start(slow, name="sleeper")
    eventually(lambda: site.visits("/slow/") >= 5, what="links are in the air")
    sleeper.send_signal(signal.SIGSTOP)
    site.gate.set()
    start(slow, name="awake")
    eventually(slow.is_written, what="the other agent has written")
    before = slow.path.read_bytes()

    sleeper.send_signal(signal.SIGCONT)
    sleeper.send_signal(signal.SIGTERM)
    assert sleeper.wait(40) == 0

    assert slow.path.read_bytes() == before
    assert '"written"' not in (tmp_path / "sleeper.events").read_text()
    assert_every_row_is_right(slow)


def test_a_superseded_link_is_never_written(site, table, start, tmp_path):
    slow = table([f"{site.url}/slow/0"])
    start(slow)
    eventually(lambda: site.visits("/slow/") >= 1, what="the link is in the air")

    old, slow.jobs = slow.jobs, slow.submit([f"{site.url}/slow/0"], expected_domain="127.0.0.1")
    site.gate.set()
    eventually(slow.is_written, what="the newer one is written")

    events = [json.loads(line) for line in (tmp_path / "one.events").read_text().splitlines()]
    assert [event["job_id"] for event in events if event["event"] == "written"] == slow.jobs
    assert slow.relay.client.job(old[0]).conclusion == "superseded"
    assert_every_row_is_right(slow)


def test_stopping_writes_what_is_finished_and_gives_back_the_rest(site, table, start):
    links = [f"{site.url}/fast/{n}" for n in range(5)] + [f"{site.url}/slow/{n}" for n in range(5)]
    mixed = table(links)
    first = start(mixed)
    eventually(lambda: site.visits("/slow/") >= 5, what="links are in the air")

    first.terminate()
    assert first.wait(40) == 0
    assert [row["conclusion"] or "" for row in mixed.rows] == ["valid"] * 5 + [""] * 5

    site.gate.set()
    start(mixed)
    eventually(mixed.is_written, what="the rest is written")
    assert_every_row_is_right(mixed)


def test_a_locked_file_is_waited_for_and_nothing_is_walked_twice(site, table, start):
    fast = table([f"{site.url}/fast/{n}" for n in range(5)])
    before = fast.path.read_bytes()
    with try_lock(fast.path.with_name(".links.csv.lock")) as is_ours:
        assert is_ours
        start(fast)
        eventually(
            lambda: all(fast.relay.client.job(job).status == "done" for job in fast.jobs),
            what="every link is resolved",
        )
        assert fast.path.read_bytes() == before
        assert fast.relay.client.job(fast.jobs[0]).writeback == Writeback.PENDING

    eventually(fast.is_written, what="every row is written")
    assert_every_row_is_right(fast)
    assert site.visits("/fast/") == 5


def test_once_works_until_nothing_is_left(site, table, start):
    fast = table([f"{site.url}/fast/{n}" for n in range(30)])

    assert start(fast, command="once").wait(40) == 0

    assert fast.is_written()
    assert_every_row_is_right(fast)


def test_a_file_that_is_replaced_while_results_arrive_keeps_its_owners_edits(site, table, start):
    mixed = table(
        [f"{site.url}/fast/{n}" for n in range(3)] + [f"{site.url}/slow/{n}" for n in range(2)]
    )
    start(mixed)
    eventually(lambda: mixed.rows[0].get("conclusion") == "valid", what="the first are written")

    lines = mixed.path.read_text().splitlines(keepends=True)
    edited = mixed.path.with_name("edited.csv")
    # Sorted the other way round, and one row's link changed by hand, as a person would.
    edited.write_text("".join([lines[0], *reversed(lines[1:])]).replace("/slow/1", "/slow/new"))
    edited.replace(mixed.path)
    site.gate.set()
    eventually(
        lambda: mixed.relay.client.job(mixed.jobs[-1]).writeback not in ("none", "pending"),
        what="the last row has its word",
    )

    rows = {row["row_id"]: row for row in mixed.rows}
    assert rows["r_3"]["final_url"] == f"{site.url}/page/slow/0"
    assert not rows["r_4"]["final_url"]
    assert mixed.relay.client.job(mixed.jobs[-1]).writeback == Writeback.CONFLICT
    assert [row["row_id"] for row in mixed.rows] == ["r_4", "r_3", "r_2", "r_1", "r_0"]
