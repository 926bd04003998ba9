"""What was asked for, in order: to count calls by kind."""

import threading
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """`name` is the API method: values.batchUpdate, drive.files.list. Status 0: no answer."""

    name: str
    verb: str
    path: str
    file_id: str
    status: int
    request_bytes: int
    answer_bytes: int
    when: float


class Log:
    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[Entry]:
        with self._lock:
            return list(self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def counts(self) -> dict[str, int]:
        """Calls by name."""
        return dict(Counter(entry.name for entry in self.entries()))

    def json(self) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self.entries()]
