"""What a broken run leaves behind, and a later run finishes before it looks at the rows.

A run notes that it has begun; the note goes when every row it handed in is settled. Found by a
later run, it means: results may wait on this disk for their rows, and links may wait in the queue.
Were the rows read first, all of those would count as unchecked and be fetched once more.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from connector.running.own_agent import OwnAgent

BUSY_SECONDS: Final = 120.0
_AGENT_IS_BUSY: Final = 5  # linkrow-agent's exit code: another one still works here
_AGENT_IS_UNFINISHED: Final = 3
_STEP_SECONDS: Final = 0.2
_ATTEMPTS: Final = 3


class Note:
    """A file that is there while a run is unfinished."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __bool__(self) -> bool:
        return self._path.exists()

    def make(self) -> None:
        """A run begins."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(mode=0o600)

    def drop(self) -> None:
        """Nothing is left to be finished."""
        with suppress(FileNotFoundError):
            self._path.unlink()


def finish(
    start: Callable[[], OwnAgent],
    *,
    with_queue: bool,
    stop: threading.Event,
    clock: Callable[[], float],
) -> None:
    """Have an agent finish what is left, as far as it can; what it cannot is the run's own work.

    *with_queue*: also the links that wait in the queue, for which *start* starts an agent that
    ends when there are none; else only results that wait on this disk. The agent of a killed run
    is waited for while it drains.
    """
    until, attempts = clock() + BUSY_SECONDS, 0
    while not stop.is_set() and attempts < _ATTEMPTS:
        agent = start()
        try:
            while with_queue and agent.is_running and not stop.wait(_STEP_SECONDS):
                pass
        finally:
            agent.stop()
        if agent.exit_code == _AGENT_IS_BUSY and clock() < until:
            stop.wait(1.0)
            continue
        attempts += 1
        if agent.exit_code != _AGENT_IS_UNFINISHED:
            return
