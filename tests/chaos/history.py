"""What everybody did, one JSON object a line, in the order in which it was noticed."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class History:
    """A file that is only ever added to. *listen* hears every event, one at a time."""

    def __init__(self, path: Path, *, listen: Callable[[Event], None] = lambda event: None) -> None:
        self.path = path
        self._listen = listen
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def say(self, ev: str, **facts: object) -> None:
        """One event. What is said after the end is said to nobody."""
        event = {"ev": ev, "t": round(time.monotonic() - self._began, 3)} | facts
        line = json.dumps(event, default=str) + "\n"
        with self._lock:
            if self._file.closed:
                return
            self._file.write(line)
            self._listen(event)

    def close(self) -> None:
        """Nothing is added any more."""
        with self._lock:
            self._file.close()


def read(path: Path) -> Iterator[Event]:
    """Every event of a history."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
