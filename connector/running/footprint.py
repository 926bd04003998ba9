"""How much memory each process of a run took at its peak, as the system counts it.

Linux tells it of every process; elsewhere only our own peak is known.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KINDS: Final = (
    ("agent.cli", "agent"),
    ("relay.entry up", "relay up"),
    ("relay.entry serve", "relay serve"),
    ("relay.entry recorder", "relay recorder"),
    ("relay.entry clock", "relay clock"),
    ("redis-aof-rewrite", "redis rewriting its log"),
    ("redis-server", "redis"),
    ("valkey-server", "redis"),
    ("redis", "redis"),
)
_BRIEF: Final = frozenset({"redis rewriting its log"})  # a child of a moment, many in a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """One process and the most memory (resident) it ever had, in bytes."""

    process: str
    pid: int
    peak: int


class Footprint:
    """Looks at processes from time to time; what ended meanwhile stays as it was seen last."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._peaks: dict[tuple[str, int], Peak] = {}

    def look(self, pid: int, name: str = "") -> None:
        """See *pid*, called *name*, and every process it started."""
        for each, kind in self._family(pid, name):
            status = self._read(each, "status")
            found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
            if not found:
                continue  # ended meanwhile
            peak = int(found[0]) * 1024
            key = (kind, 0 if kind in _BRIEF else each)
            before = self._peaks.get(key)
            if before is None or peak > before.peak:
                self._peaks[key] = Peak(process=kind, pid=each, peak=peak)

    def peaks(self) -> tuple[Peak, ...]:
        """All that were seen, the largest first."""
        return tuple(sorted(self._peaks.values(), key=lambda each: -each.peak))

    def _family(self, pid: int, name: str) -> Iterator[tuple[int, str]]:
        kind = name or kind_of(self._read(pid, "cmdline").replace("\0", " "))
        if kind:
            yield pid, kind
            for child in self._children(pid):
                yield from self._family(child, "")

    def _children(self, pid: int) -> Iterable[int]:
        with contextlib.suppress(OSError):
            for task in (self._proc / str(pid) / "task").iterdir():
                with contextlib.suppress(OSError):
                    yield from map(int, (task / "children").read_text("ascii").split())

    def _read(self, pid: int, name: str) -> str:
        try:
            return (self._proc / str(pid) / name).read_text("utf-8", "replace")
        except OSError:
            return ""


def kind_of(command: str) -> str:
    """What a process with this command line is to us; blank for one that is none of ours."""
    return next((kind for word, kind in _KINDS if word in command), "")


def own_peak() -> int:
    """The most memory this process ever had, in bytes; 0 where nobody can say."""
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 - there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
