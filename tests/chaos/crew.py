"""Every process of a run: the website, the relay and its parts, the agents; killed and begun again.

What we kill is started again as its own supervisor would; what ends by itself is told.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import psutil
import redis as redis_py

from connector.locks import try_lock
from tests.chaos.history import History
from tests.chaos.plan import PARTS, Worker
from tests.processes import ROOT, environ_of, short_terms, wait_until
from wire.signing import Credentials

_PATIENCE_SECONDS = 110.0
_AGAIN_SECONDS = 1.0
TERMS = short_terms() | {"LINKROW_RETRY_DELAYS": "0.2,0.4"}


class Website:
    """The process of website.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("website.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Relay:
    """``linkrow-relay up`` in a folder of its own, on one port for as long as we live."""

    def __init__(self, home: Path, *, history: History) -> None:
        self.data = home / "relay"
        self._environ = environ_of(home, **TERMS)
        self._history = history
        self._users = home / "users.lock"
        self._held = ExitStack()
        # It ends by itself when we do, however we end.
        assert self._held.enter_context(try_lock(self._users, shared=True))
        made = subprocess.run(
            [sys.executable, "-m", "relay.entry", "init", "--json"],
            cwd=ROOT,
            env=self._environ,
            check=True,
            capture_output=True,
        )
        key = json.loads(made.stdout)["api_key"]
        self.caller = Credentials(key_id=key["key_id"], secret=key["secret"])
        self._bind = "127.0.0.1:0"
        self._log: IO[bytes] = (home / "up.log").open("ab")
        self._started = 0.0
        self._was_ready = False
        self.log = home / "log"
        self._kept: set[int] = set()
        self._process = self._start()
        wait_until(
            (self.data / "relay.json").exists, what="the relay is up", seconds=_PATIENCE_SECONDS
        )
        self.url = str(json.loads((self.data / "relay.json").read_text())["url"])
        self._bind = self.url.rpartition("/")[2]

    def _start(self) -> "subprocess.Popen[bytes]":
        self._started = time.monotonic()
        self._was_ready = False
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "relay.entry", "up", "--bind", self._bind),
                *("--while-used", str(self._users)),
            ],
            cwd=ROOT,
            env=self._environ,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def tend(self) -> None:
        """Start it again when it was killed, and keep what its Redis wrote down."""
        if self._process.poll() is not None:
            # While it starts it may refuse, and is begun again: with 2 until the service of the one
            # before has let go of the port, with 4 when its Redis is killed under it, with 7 when
            # somebody has the ledger locked.
            may_end = (-signal.SIGKILL,) if self._was_ready else (-signal.SIGKILL, 2, 4, 7)
            if self._process.returncode not in may_end:
                self._history.say("fell", party="up", code=self._process.returncode)
            if time.monotonic() - self._started > _AGAIN_SECONDS:
                self._process = self._start()
            return
        self._was_ready = self._was_ready or self._pid_in("relay.json") == self._process.pid
        self.keep_the_log()

    def keep_the_log(self) -> None:
        """A second name for each append-only file: Redis removes one that it has written afresh."""
        self.log.mkdir(exist_ok=True)
        for path in sorted((self.data / "redis").rglob("*.aof")):
            with suppress(OSError):  # gone already, or known already
                found = path.stat()
                if found.st_ino not in self._kept:
                    (self.log / f"{len(self._kept):04d}.aof").hardlink_to(path)
                    self._kept.add(found.st_ino)

    def redis(self) -> "redis_py.Redis":
        """A client of the private Redis."""
        where = json.loads((self.data / "redis.json").read_text())
        return redis_py.Redis(unix_socket_path=where["socket"])

    def _pid_in(self, note: str) -> int:
        try:
            return int(json.loads((self.data / note).read_text())["pid"])
        except (OSError, ValueError):
            return 0

    def processes(self, part: str) -> list[psutil.Process]:
        """Those of *part*; none while it is just being started again."""
        try:
            up = psutil.Process(self._process.pid)
            if part == "up":
                return [up]
            if part == "redis":
                return [psutil.Process(self._pid_in("redis.json"))]
            word = "serve" if part == "worker" else part
            (found, *_) = [
                child
                for child in up.children()
                if f"relay.entry {word} " in " ".join(child.cmdline()) + " "
            ]
            return found.children() if part == "worker" else [found]
        except (psutil.Error, ValueError):
            return []

    def stop(self) -> None:
        """In good order, so that the books are written up."""
        if self._process.poll() is None:
            self._process.terminate()
        code = self._process.wait(_PATIENCE_SECONDS)
        if code:
            self._history.say("fell", party="up", code=code)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._held.close()
        self._log.close()


class Agent:
    """``linkrow-agent run`` on one desktop: one key, one folder, perhaps one file."""

    def __init__(
        self,
        worker: Worker,
        *,
        relay: str,
        key: Credentials,
        folder: Path,
        file: tuple[Path, str] | None,
        environ: dict[str, str],
        history: History,
    ) -> None:
        self.name = worker.name
        self.folder = folder / worker.name
        self.folder.mkdir()
        self._history = history
        self._environ = environ | {
            "LINKROW_DEVICE_KEY": key.key_id,
            "LINKROW_DEVICE_SECRET": key.secret,
        }
        self._command = [
            *(sys.executable, "-m", "agent.cli", "run", "--until-stdin-closes"),
            *("--relay", relay, "--home", str(self.folder), "--allow-private", "127.0.0.0/8"),
        ]
        if file is not None:
            self._command += ["--file", str(file[0]), "--source-id", file[1]]
        self._log = (self.folder / "log").open("ab")
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )

    def tend(self) -> None:
        """Start it again when it was killed."""
        code = self.process.poll()
        if code is None:
            return
        if code != -signal.SIGKILL:
            self._history.say("fell", party=self.name, code=code, words=self._last_words())
        self._shut()
        self.process = self._start()

    def _last_words(self) -> str:
        lines = (self.folder / "log").read_text("utf-8", "replace").splitlines()
        return " ".join(lines[-2:])[-400:]

    def lose(self) -> None:
        """The machine is gone with all that was on its disk; a new one takes its place."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder / "agent", ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        try:
            return [psutil.Process(self.process.pid)]
        except psutil.Error:
            return []

    def stop(self) -> int:
        """In good order: 0 when nothing is left in its spool."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(_PATIENCE_SECONDS)
        finally:
            self._shut()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._shut()
        self._log.close()

    def _shut(self) -> None:
        if self.process.stdin:
            with suppress(OSError):
                self.process.stdin.close()


class Crew:
    """All of them, by the names that a plan knows."""

    def __init__(self, relay: Relay, agents: list[Agent]) -> None:
        self.relay = relay
        self.agents = agents
        self._stopped: list[tuple[float, psutil.Process]] = []

    def find(self, name: str) -> list[psutil.Process]:
        """The processes that *name* stands for just now."""
        if name in PARTS:
            return self.relay.processes(name)
        return next(agent for agent in self.agents if agent.name == name).processes()

    def kill(self, name: str) -> int:
        """kill -9. How many there were."""
        return sum(_signal(process, signal.SIGKILL) for process in self.find(name))

    def lose(self, name: str) -> int:
        """kill -9, and what was on the disk is gone. How many there were: one."""
        next(agent for agent in self.agents if agent.name == name).lose()
        return 1

    def stop(self, name: str, seconds: float) -> int:
        """SIGSTOP, and SIGCONT after *seconds*. How many there were."""
        count = 0
        for process in self.find(name):
            if _signal(process, signal.SIGSTOP):
                self._stopped.append((time.monotonic() + seconds, process))
                count += 1
        return count

    def tend(self, *, all_wake: bool = False) -> None:
        """Let go on what has slept enough, and start again what was killed."""
        now = time.monotonic()
        if all_wake:
            self.wake()
        for until, process in self._stopped:
            if until <= now:
                _signal(process, signal.SIGCONT)
        self._stopped = [each for each in self._stopped if each[0] > now]
        self.relay.tend()
        for agent in self.agents:
            agent.tend()

    def wake(self) -> None:
        """Let go on whatever sleeps: what is stopped cannot end with the others."""
        for _, process in self._stopped:
            _signal(process, signal.SIGCONT)
        self._stopped = []


def _signal(process: psutil.Process, number: signal.Signals) -> bool:
    try:
        process.send_signal(number)  # knows a process from another one of its number
    except psutil.Error:
        return False
    return True
