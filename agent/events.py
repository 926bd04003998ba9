"""Say what happens, one JSON object a line, to whoever started the agent."""

import json
import threading
from typing import IO


class Events:
    """Lines on *stream*, or nowhere. A reader that went away is no reason to stop working."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def say(self, event: str, **facts: object) -> None:
        """One event."""
        line = json.dumps({"event": event} | facts) + "\n"
        with self._lock:
            if self._stream is None:
                return
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None
