"""How long a block took and what it cost, as bench/frame.py wants to be told."""

import json
import sys
import time
from contextlib import suppress
from typing import Self

import psutil


def cpu_seconds() -> float:
    """What this process and everything it started that still lives has spent so far."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


class Timed:
    """Measures its block, and says on standard error what the frame wants to know."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __enter__(self) -> Self:
        self._cpu = cpu_seconds()
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            seconds = time.perf_counter() - self._began
            self.said = {"seconds": seconds, "cpu_seconds": cpu_seconds() - self._cpu}
            if self.waits:
                self.said["waits"] = self.waits

    def say(self) -> None:
        """The frame's last line."""
        print(json.dumps(self.said), file=sys.stderr, flush=True)
