"""The agent that ``linkrow run`` brings along: one process for one source, ended with the run."""

import json
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from connector.registered import FilePlace, Mode, RegisteredSource, SheetPlace
from connector.rewriting import seconds_to_write
from wire.signing import Credentials

STOP_SECONDS = 30.0
_REMEMBERED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What the agent is for: a source, and what it may reach.

    *until_empty*: it ends by itself when nothing is left in the queue.
    """

    entry: RegisteredSource
    allow_private: Sequence[str] = ()
    cafile: str | None = None
    until_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritten:
    """One row that did not take its result, and why."""

    row_id: str
    writeback: str
    detail: str


def _named(entry: RegisteredSource) -> list[str]:
    """The options that name one source to the agent, and how it is to be worked on."""
    match entry.place:
        case FilePlace(path=path):
            words = ["--file", str(path)]
        case SheetPlace() as sheet:
            words = ["--sheet", str(sheet), "--name", entry.name]
            words += ["--results-tab"] if entry.mode is Mode.RESULTS_TAB else []
            words += ["--credentials", str(entry.credentials)] if entry.credentials else []
            words += ["--protect"] if entry.is_protected else []
    for ours, theirs in entry.columns.items():
        words += ["--column", f"{ours}={theirs}"]
    return [*words, "--source-id", entry.source_id]


class OwnAgent:
    """A child process that stops when our end of its standard input closes, however we end."""

    def __init__(
        self,
        errand: Errand,
        *,
        relay: str,
        credentials: Credentials,
        home: Path,
        environ: Mapping[str, str],
    ) -> None:
        course = "once" if errand.until_empty else "run"
        command = [sys.executable, "-m", "agent.cli", course, "--quiet", "--events"]
        command += ["--until-stdin-closes", "--relay", relay]
        command += _named(errand.entry)
        for network in errand.allow_private:
            command += ["--allow-private", network]
        if errand.cafile:
            command += ["--cafile", errand.cafile]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The secret travels in the environment: a command line is everybody's to read.
            env=dict(environ)
            | {
                "LINKROW_HOME": str(home),
                "LINKROW_DEVICE_KEY": credentials.key_id,
                "LINKROW_DEVICE_SECRET": credentials.secret,
            },
            start_new_session=sys.platform != "win32",
        )
        self.relay = relay
        self._stop_seconds = STOP_SECONDS + seconds_to_write(errand.entry.place)
        self.walk_ms: Counter[int] = Counter()
        self.not_written: deque[NotWritten] = deque(maxlen=_REMEMBERED)
        self._stderr: deque[str] = deque(maxlen=20)
        self._readers = [
            threading.Thread(target=self._read_events, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the child is alive."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the child ended, or None while it runs."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """The last line the agent said on standard error, for people."""
        return self._stderr[-1] if self._stderr else ""

    def stop(self) -> None:
        """Let the agent drain: finish or release, write, confirm. Killed when that never ends."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(5)
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()

    def _read_events(self, stream: IO[bytes]) -> None:
        for line in stream:
            try:
                event = json.loads(line)
                self._note(event)
            except (ValueError, KeyError, TypeError):
                continue  # an agent of another version may say more than we know

    def _note(self, event: dict[str, object]) -> None:
        if event["event"] == "resolved":
            self.walk_ms[int(str(event["ms"]))] += 1
        elif event["event"] == "written" and event["writeback"] != "written":
            self.not_written.append(
                NotWritten(
                    row_id=str(event["row_id"]),
                    writeback=str(event["writeback"]),
                    detail=str(event.get("detail", "")),
                )
            )

    def _read_errors(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode("utf-8", "replace").strip()
            if text:
                self._stderr.append(text)
