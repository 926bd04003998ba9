"""How a run went, and which exit code that is."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from connector.relay_errors import RelayError
from connector.running.footprint import Peak
from connector.running.own_agent import NotWritten
from wire.vocab import Conclusion, Writeback

_UNFINISHED = frozenset({Conclusion.CANCELED, Conclusion.SUPERSEDED, Conclusion.JOB_EXPIRED})
_UNWRITTEN = frozenset(
    {Writeback.CONFLICT, Writeback.MISSING, Writeback.DUPLICATE, Writeback.FAILED}
)


class Exit(IntEnum):
    """How ``linkrow run`` ends."""

    OK = 0  # every row has its ending, in its row where one is written
    BAD_INPUT = 2  # the file or an option cannot be used; nothing was submitted
    UNFINISHED = 3  # a row could not be written, expired, was canceled or is unfinished
    REFUSED = 4  # the relay is not there, is none, or refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run went. *p50_ms* and *p95_ms* are of one link's walk; *memory* is each process'.

    Either *file* is set or *sheet*, which is its address; *name* is what people call it.
    """

    file: Path | None
    source_id: str
    refresh_id: str
    relay: str
    rows: int
    submitted: int
    finished: int
    by_conclusion: Mapping[Conclusion, int]
    by_writeback: Mapping[Writeback, int]
    not_written: tuple[NotWritten, ...]
    p50_ms: int | None
    p95_ms: int | None
    seconds: float
    sheet: str = ""
    name: str = ""
    checking_seconds: float = 0.0
    memory: tuple[Peak, ...] = ()
    trouble: str = ""
    refusal: RelayError | None = None

    @property
    def rate(self) -> float | None:
        """Rows finished per second while links were checked; None when none were."""
        if not self.finished or self.checking_seconds <= 0:
            return None
        return self.finished / self.checking_seconds

    @property
    def exit(self) -> Exit:
        """OK only when nothing is missing anywhere."""
        if self.refusal is not None:
            return Exit.REFUSED
        if self.trouble or self.finished < self.submitted:
            return Exit.UNFINISHED
        return Exit.OK if is_whole(self.by_conclusion, self.by_writeback) else Exit.UNFINISHED


def is_whole(
    by_conclusion: Mapping[Conclusion, int], by_writeback: Mapping[Writeback, int]
) -> bool:
    """Whether every row has its ending, and stands where it belongs."""
    return not (
        any(by_conclusion.get(conclusion) for conclusion in _UNFINISHED)
        or any(by_writeback.get(state) for state in (*_UNWRITTEN, Writeback.PENDING))
    )


def percentile(counts: Counter[int], share: float) -> int | None:
    """The smallest value that at least *share* of all values do not exceed."""
    total = counts.total()
    if not total:
        return None
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= share * total:
            return value
    return max(counts)
