"""How fast rows are finished and how long the rest will take, said only when it is known. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 60.0
KNOWN_AFTER_SECONDS: Final = 5.0
_STEP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """So many rows were done at this second of some clock."""

    at: float
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Rows a second lately, and seconds left; None while nobody can know."""

    rate: float | None = None
    seconds_left: float | None = None


def estimate(samples: Sequence[Sample], *, done: int, total: int) -> Estimate:
    """What *samples* of the recent past say about the *total* of which so many are *done*.

    The rate is that of the whole window: one stall or one burst moves it by its share of the
    window and no more. Where nothing moved, the end is not known.
    """
    if done >= total:
        return Estimate(rate=_rate(samples), seconds_left=0.0)
    rate = _rate(samples)
    return Estimate(rate=rate, seconds_left=(total - done) / rate if rate else None)


def _rate(samples: Sequence[Sample]) -> float | None:
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    if last.at - first.at < KNOWN_AFTER_SECONDS:
        return None
    return max(0, last.done - first.done) / (last.at - first.at)


class Recent:
    """The samples of the last minute, one a second."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def note(self, at: float, done: int) -> Sequence[Sample]:
        """*done* rows are done now; the samples there are, this one included."""
        kept = self._samples
        while len(kept) > 1 and kept[1].at <= at - WINDOW_SECONDS:
            kept.popleft()
        now = Sample(at=at, done=done)
        if not kept or at - kept[-1].at >= _STEP_SECONDS:
            kept.append(now)
            return tuple(kept)
        return (*kept, now)


def spoken(seconds: float) -> str:
    """*seconds* left, as exactly as such an estimate deserves."""
    if seconds < 10:
        return "a few seconds left"
    if seconds < 55:
        return f"about {round(seconds / 10) * 10} s left"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min left"
    hours, minutes = divmod(round(minutes / 5) * 5, 60)
    return f"about {hours} h {minutes} min left" if minutes else f"about {hours} h left"
