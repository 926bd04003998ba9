"""The time, real by default; a test may hold it and move it."""

import threading
import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch. `advance` moves it ahead of the real time, `hold` stops it."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._held: float | None = None
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            base = time.time() if self._held is None else self._held
            return base + self._ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._ahead += seconds

    def hold(self) -> None:
        with self._lock:
            self._held = time.time()

    def release(self) -> None:
        with self._lock:
            self._held = None
