"""Say what happens, one JSON object a line, to whoever started the agent."""

import json
import threading
from collections.abc import Iterable, Mapping
from typing import IO


class Events:
    """Lines on *stream*, or nowhere. A reader that went away is no reason to stop working."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def say(self, event: str, **facts: object) -> None:
        """One event."""
        self.say_all(event, [facts])

    def say_all(self, event: str, each: Iterable[Mapping[str, object]]) -> None:
        """The same event of several things, in one piece."""
        if self._stream is None:
            return
        lines = "".join([json.dumps({"event": event, **facts}) + "\n" for facts in each])
        with self._lock:
            if self._stream is None or not lines:
                return
            try:
                self._stream.write(lines)
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None
