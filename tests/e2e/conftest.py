"""The whole of Linkrow as processes, on a website whose answers a test can hold back."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import ROOT, Site, environ_of, wait_until


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
    return wait_until


class Linkrow:
    """The command, as a person would call it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = environ_of(home, LINKROW_RETRY_DELAYS="0.2,0.4")
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
