"""The whole of Linkrow as processes, on a website whose answers a test can hold back."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    site: "Site"

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().server_bind()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        site = self.server.site
        with site.changed:
            site.seen[self.path] += 1
            site.changed.notify_all()
        if self.path.startswith("/slow/"):
            site.gate.wait(60)
        if self.path.startswith(("/slow/", "/fast/")):
            self.answer(302, location=f"/page{self.path}")
        elif self.path.startswith("/page/"):
            self.answer(200)
        else:
            self.answer(404)

    def answer(self, status: int, *, location: str = "") -> None:
        try:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError:
            self.close_connection = True  # the agent was killed while it waited

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Site:
    """/fast/N and /slow/N redirect to /page/…; slow ones only once the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: Counter[str] = Counter()
        self.changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, prefix: str, count: int, *, seconds: float = 60) -> None:
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


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder of the test's own; whatever still runs in it at the end is ended."""
    folder = Path(tempfile.mkdtemp(prefix="lr-e2e-", dir="/tmp"))
    yield folder
    for process in processes_of(folder):
        process.kill()
    psutil.wait_procs(processes_of(folder), timeout=10)
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process that was started with *home* as (the parent of) its LINKROW_HOME."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            # Redis writes its title over its environment, but works in our folder.
            places = (process.environ().get("LINKROW_HOME", ""), process.cwd())
            if any(place.startswith(str(home)) for place in places):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture
def running() -> Callable[[Path, str], list[psutil.Process]]:
    """The processes in a data folder whose command line holds a word."""

    def find(home: Path, word: str = "") -> list[psutil.Process]:
        found = []
        for process in processes_of(home):
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    return find


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait for something that other processes bring about."""

    def wait(condition: Callable[[], bool], *, seconds: float = 40, what: str = "") -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"did not come about: {what}"
            time.sleep(0.05)

    return wait


def environ_of(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LINKROW_") and "proxy" not in name.lower()
    }
    # TMPDIR: what a killed relay leaves in the temporary folder goes with the test.
    own = {"LINKROW_HOME": str(home), "TMPDIR": str(home), "LINKROW_RETRY_DELAYS": "0.2,0.4"}
    return kept | own


class Linkrow:
    """The command, as a person would call it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = environ_of(home)
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: object, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._command(arguments),
            env=self.environ | environ,
            cwd=ROOT,
            text=True,
            capture_output=True,
            check=False,
            timeout=110,
        )

    def start(self, *arguments: object, **environ: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            self._command(arguments),
            env=self.environ | environ,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    @staticmethod
    def _command(arguments: tuple[object, ...]) -> list[str]:
        module = "connector.cli"
        if arguments and arguments[0] in ("relay", "agent"):
            module = {"relay": "relay.entry", "agent": "agent.cli"}[str(arguments[0])]
            arguments = arguments[1:]
        return [sys.executable, "-m", module, *map(str, arguments)]

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


@pytest.fixture
def linkrow(home: Path) -> Iterator[Linkrow]:
    command = Linkrow(home)
    yield command
    command.close()


class Table:
    """A CSV under test, read back as a spreadsheet would read it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, links: list[str], **columns: list[str]) -> "Table":
        with self.path.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(["row_id", "tracking_url", *columns])
            for number, link in enumerate(links):
                more = [values[number] for values in columns.values()]
                writer.writerow([f"r_{number:04d}", link, *more])
        return self

    @property
    def rows(self) -> list[dict[str, str]]:
        with self.path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.rows]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "links.csv")


@pytest.fixture
def summary_of() -> Callable[[str], dict[str, Any]]:
    def read(output: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(output)
        return found

    return read


@pytest.fixture
def kill() -> Callable[[list[psutil.Process]], None]:
    """kill -9, and gone when it returns."""

    def end(processes: list[psutil.Process]) -> None:
        assert processes
        for process in processes:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)

    return end
