"""Real processes for tests: a website that can be held, a relay in a folder of its own, agents."""

import csv
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import psutil
import redis as redis_py

from connector.relay_client import RelayClient
from relay.events import STREAM
from relay.ledger.ledger import Ledger
from relay.provision import DEVICE_SCOPES
from relay.secret_box import SecretBox, load_master_key
from wire.models import JobAnswer, JobRequest
from wire.signing import Credentials
from wire.vocab import KeyKind, Writeback

ROOT = Path(__file__).parents[1]
SECONDS = 80.0
LEASE_SECONDS = 3
OBLIGATION_SECONDS = 3


def wait_until(condition: Callable[[], bool], *, what: str = "", seconds: float = SECONDS) -> None:
    """Until other processes or threads have brought *condition* about."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"did not come about: {what}"
        time.sleep(0.02)


def environ_of(home: Path, **more: str) -> dict[str, str]:
    """What a process works with whose data is in *home*: nothing of whoever runs the tests.

    TMPDIR too, so that what a killed relay leaves in the temporary folder goes with the test.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LINKROW_") and "proxy" not in name.lower()
    }
    return kept | {"LINKROW_HOME": str(home), "TMPDIR": str(home)} | more


def short_terms() -> dict[str, str]:
    """The shortest leases and obligations that a relay may be told."""
    return {
        "LINKROW_LEASE_SECONDS": str(LEASE_SECONDS),
        "LINKROW_OBLIGATION_SECONDS": str(OBLIGATION_SECONDS),
    }


def add_device(data: Path, name: str) -> Credentials:
    """The key of one more machine, at the relay whose data folder this is."""
    ledger = Ledger.open(f"sqlite:///{data / 'ledger.sqlite3'}")
    try:
        account = ledger.first_account()
        assert account
        made = ledger.add_key(
            account,
            kind=KeyKind.DEVICE,
            scopes=DEVICE_SCOPES,
            name=name,
            box=SecretBox(load_master_key(None, data / "master.key")),
            now=datetime.now(UTC),
        )
    finally:
        ledger.close()
    return Credentials(key_id=made.key_id, secret=made.secret)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    site: "Site"

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().server_bind()

    def handle_error(self, *_: object) -> None:
        """An agent that was killed in mid-request is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        site = self.server.site
        hops = self.path.startswith(("/slow/", "/fast/"))
        where = f"/{site.landing}{self.path}"
        with site.changed:
            site.seen[self.path] += 1
            site.changed.notify_all()
        if self.path.startswith("/slow/"):
            site.gate.wait(110)
        with suppress(OSError):
            landed = "/slow/" in self.path or "/fast/" in self.path
            self.send_response(302 if hops else 200 if landed else 404)
            if hops:
                self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Site:
    """/fast/N lands on /page/… at once, /slow/N once the gate is open; *landing* is its word."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.landing = "page"
        self.seen: Counter[str] = Counter()
        self.changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def visits(self, prefix: str) -> int:
        """How often anything under *prefix* was asked for."""
        with self.changed:
            return sum(count for path, count in self.seen.items() if path.startswith(prefix))

    def wait_for(self, prefix: str, count: int, *, seconds: float = SECONDS) -> None:
        """Until *count* different paths under *prefix* were asked for."""
        with self.changed:
            reached = self.changed.wait_for(
                lambda: sum(path.startswith(prefix) for path in self.seen) >= count, seconds
            )
        assert reached, f"only {dict(self.seen)}"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


class Relay:
    """``linkrow-relay up`` in a data folder of its own: gunicorn, recorder, clock, Redis."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.data = home / "relay"
        self.environ = environ_of(home, **short_terms() | environ)
        self._start("127.0.0.1:0")
        device = json.loads((self.data / "device.json").read_text())
        self.credentials = Credentials(key_id=device["key_id"], secret=device["secret"])
        self.client = RelayClient(self.url, self.credentials)
        where = json.loads((self.data / "redis.json").read_text())
        self.redis = redis_py.Redis(unix_socket_path=where["socket"])

    def _start(self, bind: str) -> None:
        noted = self.data / "relay.json"
        noted.unlink(missing_ok=True)
        with (self.home / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relay.entry", "up", "--bind", bind],
                cwd=ROOT,
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        wait_until(noted.exists, what="the relay is up")
        self.url = str(json.loads(noted.read_text())["url"])

    def kill(self) -> None:
        """kill -9 of the service, the clock, the recorder and what started them; not of Redis."""
        parts = [*psutil.Process(self.process.pid).children(recursive=True)]
        for each in parts:
            if "redis-server" not in each.name():
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        self.process.kill()
        self.process.wait(SECONDS)

    def start_again(self) -> None:
        """The same relay, where it was."""
        self._start("{}:{}".format(*self.address))

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
        path = self.data / "ledger.sqlite3"
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

    def part(self, name: str) -> psutil.Process:
        """The process of ``serve``, ``clock`` or ``recorder``."""
        for child in psutil.Process(self.process.pid).children():
            if name in child.cmdline():
                return child
        raise AssertionError(f"no {name}")

    def close(self) -> None:
        self.client.close()
        self.redis.close()
        self.process.terminate()
        self.process.wait(SECONDS)


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
            assert row["last_checked"].endswith("Z")
            assert row["note"] == self._note


class AgentProcess:
    """``linkrow-agent`` as a process that serves a table, and what it said.

    *folder* is where its words go, *home* its machine's data folder.
    """

    def __init__(
        self,
        table: Table,
        *,
        command: str = "run",
        relay_url: str,
        key: Credentials,
        environ: Mapping[str, str],
        folder: Path,
        name: str,
        home: Path,
    ) -> None:
        self._events, self._log = folder / f"{name}.events", folder / f"{name}.log"
        self._events.touch()
        self._log.touch()
        # Through pipes: a limit on the size of its files must not keep it from talking.
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "agent.cli", command, "--quiet", "--events"),
                *("--relay", relay_url, "--home", str(home)),
                *("--file", str(table.path), "--source-id", table.source_id),
                *("--allow-private", "127.0.0.0/8"),
            ],
            cwd=ROOT,
            env={
                **environ,
                "LINKROW_DEVICE_KEY": key.key_id,
                "LINKROW_DEVICE_SECRET": key.secret,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stderr
        self._pouring = [
            threading.Thread(target=_pour, args=each, daemon=True)
            for each in ((self.process.stdout, self._events), (self.process.stderr, self._log))
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

    def close(self) -> None:
        """Gone, whatever it is doing."""
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.process.kill()
        self.process.wait(SECONDS)
        for each in self._pouring:
            each.join(SECONDS)


def _pour(stream: IO[bytes], path: Path) -> None:
    with stream, path.open("ab", buffering=0) as file:
        while piece := stream.read1():  # type: ignore[attr-defined]
            file.write(piece)
