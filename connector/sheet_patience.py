"""Which failed call to Google is worth another try, after how long, and when it is enough. Pure."""

from dataclasses import dataclass
from typing import Final

TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetPatience:
    """At most *tries* sendings within *seconds*, with pauses that double up to *longest*."""

    tries: int = 8
    seconds: float = 600.0
    longest: float = 64.0

    def pause(
        self, failures: int, *, status: int, retry_after: float | None, chance: float, second: float
    ) -> float:
        """Seconds to wait after the *failures*-th failure in a row.

        *chance* is in 0..1; *second* says how far the minute of the clock is. A used-up quota
        (429) is filled again each minute, so longer than that is never waited for it. A wish of
        Google's is never undercut.
        """
        pause = min(2.0 ** min(failures - 1, 10) + chance, self.longest)
        if status == 429:
            pause = min(pause, 60.0 - second % 60.0 + chance)
        return pause if retry_after is None else max(pause, min(retry_after, self.seconds))

    def is_over(self, failures: int, *, elapsed: float, pause: float) -> bool:
        """Whether another try after *pause* would be one too many."""
        return failures >= self.tries or elapsed + pause > self.seconds


USUAL: Final = SheetPatience()
