"""``linkrow-relay up``: Redis, service, clock and recorder start and stop as one thing.

Every child watches a pipe from us and ends when it closes, so nothing outlives us, however we end.
"""

import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from relay.config import Config
from relay.embedded import EmbeddedRedis
from relay.errors import AlreadyRunning, RedisNotStarted, RelayServiceError
from relay.folder import read_json, try_lock, write_json
from relay.listening import listen, url_of

logger = logging.getLogger(__name__)

_TICK_SECONDS: Final = 0.1
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_USER_GRACE_SECONDS: Final = 30.0
_ENDING_SECONDS: Final = 30.0
_NOTICE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.05
_REDIS_TRIES: Final = 5
_LONGEST_BACK_OFF: Final = 10.0
_STEADY_SECONDS: Final = 30.0
_MAX_LOG_BYTES: Final = 10 * 1024 * 1024
# Stopped in this order: no new requests, then what happened is booked.
_CHILDREN: Final = ("serve", "clock", "recorder")


class NotReady(RelayServiceError):
    """The service did not become able to work."""

    code = "not_ready"


@dataclass
class _Child:
    """One of our processes, and how often it fell over lately."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    falls: int = 0
    again_at: float = 0.0


@dataclass
class Supervisor:
    """Runs a whole relay until *stop* is set, or nobody uses it any more (*while_used*)."""

    config: Config
    environ: Mapping[str, str]
    stop: threading.Event
    while_used: Path | None = None
    _children: list[_Child] = field(default_factory=list)

    def run(self) -> str | None:
        """Start everything, tell when it is ready, keep it going, stop everything.

        Raises AlreadyRunning, RedisNotFound, RedisNotStarted, BadConfig or NotReady.
        """
        folder = self.config.data
        with ExitStack() as last, ExitStack() as stack:
            ready = folder / "relay.json"
            self._take(folder / "relay.lock", ready, stack)
            ready.unlink(missing_ok=True)
            listener = stack.enter_context(listen(self.config))
            redis: EmbeddedRedis | None = None
            if self.config.redis_url is None:
                redis = EmbeddedRedis(folder)
                stack.callback(redis.stop)
                redis.start()
            stack.callback(self._stop_children)
            stack.callback(lambda: ready.unlink(missing_ok=True))
            url = url_of(listener, self.config)
            self._start_children(listener, redis)
            self._wait_until_ready(url, listener, redis)
            if self.stop.is_set():
                return None
            write_json(ready, {"url": url, "pid": os.getpid()})
            print(f"linkrow relay is up at {url}", flush=True)  # noqa: T201 - the command's answer
            self._keep(listener, redis, last)
        return url

    def _take(self, lock: Path, ready: Path, stack: ExitStack) -> None:
        """Hold *lock*. One that is just ending (a run's, that nobody uses any more) is waited for.

        Raises AlreadyRunning.
        """
        began = time.monotonic()
        while True:
            attempt = ExitStack()
            if attempt.enter_context(try_lock(lock)):
                stack.push(attempt)
                return
            attempt.close()
            noted = read_json(ready)
            # Without its note a relay is starting or ending; with it, it may be about to end.
            patience = _ENDING_SECONDS if noted is None else _NOTICE_SECONDS
            if self.stop.is_set() or time.monotonic() - began > patience:
                pid = (noted or {}).get("pid")
                raise AlreadyRunning(lock.parent, pid if isinstance(pid, int) else None)
            self.stop.wait(_POLL_SECONDS)

    def _keep(self, listener: socket.socket, redis: EmbeddedRedis | None, last: ExitStack) -> None:
        """Mend what falls. What is put on *last* is let go after everything has stopped."""
        began = time.monotonic()
        was_used = False
        while not self.stop.wait(_TICK_SECONDS):
            self._mend(listener, redis)
            if self.while_used is None:
                continue
            attempt = ExitStack()
            is_unused = attempt.enter_context(try_lock(self.while_used))
            if not is_unused and not was_used:
                was_used = True
                logger.info("somebody uses this relay; it stays until nobody does")
            if is_unused and (was_used or time.monotonic() - began > _USER_GRACE_SECONDS):
                # Held until everything has stopped: a new user waits for that.
                last.push(attempt)
                logger.info("nobody uses this relay any more")
                return
            attempt.close()

    def _mend(self, listener: socket.socket, redis: EmbeddedRedis | None) -> None:
        if redis is not None and not redis.is_running():
            logger.warning("the private Redis ended; it is started again")
            self._start_again(redis)
        for child in self._children:
            self._mend_child(child, listener, redis)

    def _start_again(self, redis: EmbeddedRedis) -> None:
        """Whatever ended it may end it once more while it reads its data; not for ever."""
        for tries in range(_REDIS_TRIES, 0, -1):
            try:
                redis.start()
            except RedisNotStarted as error:
                if tries == 1 or redis.is_running():
                    raise
                logger.warning("%s; once more", error)
                self.stop.wait(_TICK_SECONDS)
            else:
                return

    def _mend_child(
        self, child: _Child, listener: socket.socket, redis: EmbeddedRedis | None
    ) -> None:
        now = time.monotonic()
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                if child.falls and now - child.started > _STEADY_SECONDS:
                    child.falls = 0
                return
            pause = min(0.1 * 2.0**child.falls, _LONGEST_BACK_OFF)
            logger.warning("%s ended (%s); again in %.1f s", child.name, code, pause)
            _close(child.process)
            child.process = None
            child.falls += 1
            child.again_at = now + pause
        if now >= child.again_at:
            self._start(child, listener, redis)

    def _start_children(self, listener: socket.socket, redis: EmbeddedRedis | None) -> None:
        (self.config.data / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._children = [_Child(name) for name in _CHILDREN]
        for child in self._children:
            self._start(child, listener, redis)

    def _start(self, child: _Child, listener: socket.socket, redis: EmbeddedRedis | None) -> None:
        command = [sys.executable, "-m", "relay.entry", child.name, "--data", str(self.config.data)]
        command.append("--until-stdin-closes")
        fds: tuple[int, ...] = ()
        if child.name == "serve":
            fds = (listener.fileno(),)
            command += ["--fd", str(listener.fileno())]
        environ = dict(self.environ)
        if redis is not None:
            environ["LINKROW_REDIS_URL"] = redis.url
        with _log_file(self.config.data / "logs" / f"{child.name}.log") as log:
            child.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environ,
                pass_fds=fds,
                start_new_session=True,
            )
        child.started = time.monotonic()

    def _wait_until_ready(
        self, url: str, listener: socket.socket, redis: EmbeddedRedis | None
    ) -> None:
        until = time.monotonic() + _READY_SECONDS
        why = "it does not answer"
        while not self.stop.is_set():
            is_ready, why = _ask(url)
            if is_ready:
                return
            if time.monotonic() > until:
                logs = self.config.data / "logs"
                raise NotReady(
                    f"the relay is not ready after {_READY_SECONDS:.0f} s: {why}; see {logs}"
                )
            self._mend(listener, redis)
            self.stop.wait(0.05)

    def _stop_children(self) -> None:
        for child in self._children:
            if child.process is None:
                continue
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
            try:
                child.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            _close(child.process)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()


def _ask(url: str) -> tuple[bool, str]:
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(2000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return False, str(error) or type(error).__name__
    else:
        return answer.status == 200, body
    finally:
        connection.close()


def _log_file(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")
