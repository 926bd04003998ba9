"""The relay that ``linkrow run`` brings along: join the one of this user, or start it.

It belongs to nobody in particular: every run holds a shared lock on ``users.lock``, and the relay
stops once nobody does. So it outlives the run that started it while another still needs it, and
ends by itself even when every run was killed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from connector import device_key
from connector.errors import RelayNotStarted
from connector.locks import try_lock
from wire.signing import Credentials

START_SECONDS = 60.0
_LOCK_SECONDS = 30.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a relay answers, and which process it is."""

    url: str
    pid: int


class OwnRelay:
    """This user's relay, used for as long as the block lasts."""

    def __init__(
        self,
        home: Path,
        *,
        environ: Mapping[str, str],
        is_up: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = home / "relay"
        self._environ = dict(environ) | {"LINKROW_HOME": str(home)}
        self._is_up = is_up
        self._clock = clock
        self._sleep = sleep
        self._held = ExitStack()

    def __enter__(self) -> Self:
        lock = self._folder / "users.lock"
        until = self._clock() + _LOCK_SECONDS
        while True:
            attempt = ExitStack()
            if attempt.enter_context(try_lock(lock, shared=True)):
                self._held.push(attempt)
                return self
            attempt.close()  # a relay is just stopping: it holds the lock until it is gone
            if self._clock() > until:
                raise RelayNotStarted(f"{lock} is held by a relay that does not stop")
            self._sleep(_POLL_SECONDS)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def ensure(self) -> str:
        """The URL of a relay that answers, started if none does. Raises RelayNotStarted."""
        known = self.address()
        if known and self._is_up(known.url):
            return known.url
        return self._start(bind=_bind_of(known))

    def address(self) -> Address | None:
        """What the relay wrote down when it became ready, or None."""
        try:
            noted = json.loads((self._folder / "relay.json").read_text("utf-8"))
            return Address(url=str(noted["url"]), pid=int(noted["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def credentials(self) -> Credentials:
        """The device key that the relay's set-up saved. Raises RelayNotStarted."""
        return saved_credentials(self._folder)

    def _start(self, *, bind: str) -> str:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = self._folder / "up.log"
        command = [sys.executable, "-m", "relay.entry", "up", "--data", str(self._folder)]
        command += ["--bind", bind, "--while-used", str(self._folder / "users.lock")]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ,
                cwd=self._folder,
                # Ctrl-C in this terminal is for the run; other runs may still use the relay.
                start_new_session=os.name == "posix",
            )
        until = self._clock() + START_SECONDS
        while self._clock() < until:
            known = self.address()
            if known and self._is_up(known.url):
                return known.url
            if process.poll() is not None:
                # Another run was faster and holds the folder: then its relay is ours too.
                known = self._another(until)
                if known:
                    return known.url
                raise RelayNotStarted(_last_line(log))
            self._sleep(_POLL_SECONDS)
        process.terminate()
        raise RelayNotStarted(f"no answer within {START_SECONDS:.0f} s; see {log}")

    def _another(self, until: float) -> Address | None:
        while self._clock() < until:
            known = self.address()
            if known and self._is_up(known.url):
                return known
            with try_lock(self._folder / "relay.lock") as is_free:
                if is_free:
                    return None
            self._sleep(_POLL_SECONDS)
        return None


def saved_credentials(folder: Path) -> Credentials:
    """The device key in a relay's *folder*. Raises RelayNotStarted when there is none."""
    path = folder / device_key.FILE_NAME
    found = device_key.from_file(path)
    if found is None:
        raise RelayNotStarted(
            f"there is no {path}; "
            "run linkrow-relay init, or set LINKROW_DEVICE_KEY and LINKROW_DEVICE_SECRET"
        )
    return found


def _bind_of(known: Address | None) -> str:
    """The same port again after a crash, so that agents find the relay where it was."""
    if known is None:
        return "127.0.0.1:0"
    return known.url.rpartition("/")[2]


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"it ended without a word; see {log}"
