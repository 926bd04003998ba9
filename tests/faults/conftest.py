"""A real relay, real agents and a failing network between them, on a website a test can hold."""

import csv
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO
from urllib.parse import urlsplit

import psutil
import pytest
import redis as redis_py

from connector.patience import Patience
from connector.relay_client import RelayClient
from relay.events import STREAM
from relay.ledger.ledger import Ledger
from relay.provision import DEVICE_SCOPES
from relay.secret_box import SecretBox, load_master_key
from tests.faults.fault_proxy import FaultProxy
from wire.models import JobAnswer, JobRequest
from wire.signing import Credentials
from wire.vocab import KeyKind, Writeback

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 3
OBLIGATION_SECONDS = 3
SECONDS = 80.0


def wait_until(condition: Callable[[], bool], *, what: str, seconds: float = SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"did not come about: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def make_proxy() -> Iterator[Callable[[tuple[str, int]], FaultProxy]]:
    made: list[FaultProxy] = []

    def make(upstream: tuple[str, int]) -> FaultProxy:
        made.append(FaultProxy(upstream))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Site:
    """/fast/N lands on /page/… at once, /slow/N once the gate is open; *landing* is its word."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.landing = "page"
        self.seen: Counter[str] = Counter()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.seen[self.path] += 1
                hops = self.path.startswith(("/slow/", "/fast/"))
                where = f"/{site.landing}{self.path}"
                if self.path.startswith("/slow/"):
                    site.gate.wait(110)
                with suppress(OSError):
                    self.send_response(302 if hops else 200)
                    if hops:
                        self.send_header("Location", where)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
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
    """``linkrow-relay up`` in a data folder of its own: gunicorn, recorder, clock, Redis."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("LINKROW_")
        } | {
            "LINKROW_HOME": str(home),
            "LINKROW_LEASE_SECONDS": str(LEASE_SECONDS),
            "LINKROW_OBLIGATION_SECONDS": str(OBLIGATION_SECONDS),
        }
        with (home / "up.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relay.entry", "up", "--bind", "127.0.0.1:0"],
                cwd=ROOT,
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        noted = home / "relay" / "relay.json"
        wait_until(noted.exists, what="the relay is up")
        self.url = json.loads(noted.read_text())["url"]
        device = json.loads((home / "relay" / "device.json").read_text())
        self.credentials = Credentials(key_id=device["key_id"], secret=device["secret"])
        self.client = RelayClient(self.url, self.credentials)
        where = json.loads((home / "relay" / "redis.json").read_text())
        self.redis = redis_py.Redis(unix_socket_path=where["socket"])

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def job(self, job_id: str) -> JobAnswer:
        return self.client.job(job_id)

    def books(self, job_id: str) -> tuple[str, str, str] | None:
        """How a job stands in the ledger: status, final URL, writeback."""
        path = self.home / "relay" / "ledger.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as books:
            return books.execute(
                "SELECT status, final_url, writeback FROM jobs WHERE job_id = ?", [job_id]
            ).fetchone()

    def finals(self, job_id: str) -> int:
        """How many endings the stream holds of a job; only while the recorder is held."""
        return sum(
            entry[b"type"] == b"final" and entry[b"job_id"] == job_id.encode()
            for _, entry in self.redis.xrange(STREAM)
        )

    def rows_charged(self) -> int:
        """How many rows all quotas of all days have counted."""
        return sum(int(self.redis.get(key)) for key in self.redis.keys("linkrow:quota:*"))

    def recorder(self) -> psutil.Process:
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if "recorder" in child.cmdline():
                return child
        raise AssertionError("no recorder")

    def add_device(self) -> Credentials:
        """The key of one more machine."""
        data = self.home / "relay"
        ledger = Ledger.open(f"sqlite:///{data / 'ledger.sqlite3'}")
        try:
            account = ledger.first_account()
            assert account
            made = ledger.add_key(
                account,
                kind=KeyKind.DEVICE,
                scopes=DEVICE_SCOPES,
                name="another machine",
                box=SecretBox(load_master_key(None, data / "master.key")),
                now=datetime.now(UTC),
            )
        finally:
            ledger.close()
        return Credentials(key_id=made.key_id, secret=made.secret)

    def close(self) -> None:
        self.client.close()
        self.redis.close()
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with TemporaryDirectory(prefix="lr-f-", dir="/tmp") as folder:
        relay = Relay(Path(folder))
        yield relay
        relay.close()


@pytest.fixture
def held_recorder(relay: Relay) -> Iterator[None]:
    """The stream keeps everything that happens, to be counted, until the test is over."""
    recorder = relay.recorder()
    recorder.suspend()
    yield
    recorder.resume()


@pytest.fixture(scope="module")
def other_device(relay: Relay) -> Credentials:
    return relay.add_device()


@pytest.fixture
def proxy(relay: Relay, make_proxy: Callable[[tuple[str, int]], FaultProxy]) -> FaultProxy:
    """The network between the relay and who is told to use it."""
    return make_proxy(relay.address)


@pytest.fixture
def through(relay: Relay, proxy: FaultProxy) -> Iterator[RelayClient]:
    """A client of the relay behind the failing network."""
    client = RelayClient(
        proxy.url, relay.credentials, patience=Patience(first_pause=0.01, longest_pause=0.05)
    )
    yield client
    client.close()


class Table:
    """A CSV of links, its jobs, and what stands in it."""

    def __init__(
        self, relay: Relay, path: Path, links: list[str], *, note: str = "ours", **more: object
    ) -> None:
        self.relay = relay
        self.path = path
        self._note = note
        self.source_id = "src_" + secrets.token_hex(8)
        with self.path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row_id", "tracking_url", "note"])
            writer.writerows([f"r_{number}", link, note] for number, link in enumerate(links))
        self.jobs = self.submit(links, **more)

    def submit(self, links: list[str], **more: object) -> list[str]:
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

    def column(self, name: str) -> list[str]:
        return [row.get(name) or "" for row in self.rows]

    def writebacks(self) -> list[str]:
        return [str(self.relay.job(job).writeback) for job in self.jobs]

    def is_written(self) -> bool:
        return set(self.writebacks()) == {Writeback.WRITTEN}

    def assert_right(self, landing: str = "page") -> None:
        """Every row has what its own link led to, and nothing else of it changed."""
        for row in self.rows:
            host, _, path = row["tracking_url"].partition("//")[2].partition("/")
            assert row["final_url"] == f"http://{host}/{landing}/{path}"
            assert (row["check_status"], row["conclusion"], row["error"]) == ("valid", "valid", "")
            assert row["note"] == self._note


@pytest.fixture
def table(relay: Relay, tmp_path: Path) -> Callable[..., Table]:
    def make(links: list[str], *, path: Path = tmp_path / "links.csv", **more: object) -> Table:
        return Table(relay, path, links, **more)

    return make


class AgentProcess:
    """``linkrow-agent`` as a process, and what it said."""

    def __init__(self, command: list[str], environ: dict[str, str], events: Path, log: Path):
        self._events, self._log = events, log
        events.touch()
        log.touch()
        # Through pipes: a limit on the size of its files must not keep it from talking.
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout
        assert self.process.stderr
        self._pouring = [
            threading.Thread(target=_pour, args=each, daemon=True)
            for each in ((self.process.stdout, events), (self.process.stderr, log))
        ]
        for each in self._pouring:
            each.start()

    @property
    def events(self) -> list[dict[str, str]]:
        text = self._read(self._events)
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def said(self, event: str) -> list[dict[str, str]]:
        return [each for each in self.events if each["event"] == event]

    @property
    def log(self) -> str:
        return self._read(self._log)

    def _read(self, path: Path) -> str:
        if self.process.poll() is not None:
            for each in self._pouring:
                each.join(SECONDS)
        return path.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Ask it to stop; its exit code."""
        self.process.terminate()
        return self.process.wait(SECONDS)


def _pour(stream: IO[bytes], path: Path) -> None:
    with stream, path.open("ab", buffering=0) as file:
        while piece := stream.read1():  # type: ignore[attr-defined]
            file.write(piece)


@pytest.fixture
def start(relay: Relay, proxy: FaultProxy, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Start an agent for a table, behind the failing network; *name* is its machine's folder."""
    started: list[AgentProcess] = []

    def begin(
        table: Table,
        *,
        name: str = "one",
        home: Path | None = None,
        by: FaultProxy = proxy,
        key: Credentials = relay.credentials,
    ) -> AgentProcess:
        process = AgentProcess(
            [
                *(sys.executable, "-m", "agent.cli", "run", "--quiet", "--events"),
                *("--relay", by.url, "--home", str(home or tmp_path / name)),
                *("--file", str(table.path), "--source-id", table.source_id),
                *("--allow-private", "127.0.0.0/8"),
            ],
            relay.environ | {"LINKROW_DEVICE_KEY": key.key_id, "LINKROW_DEVICE_SECRET": key.secret},
            tmp_path / f"{name}.events",
            tmp_path / f"{name}.log",
        )
        started.append(process)
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.send(signal.SIGCONT)
            each.process.kill()
        each.process.wait(10)
