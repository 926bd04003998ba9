"""How many of a source's rows lie at the relay at once, learned from what it takes. Pure."""

from dataclasses import dataclass, replace
from typing import Final, Self

from connector.intake import BATCH_JOBS

MOST: Final = 20_000  # an agent is busy for many seconds with these; more would only fill Redis
_SHARES: Final = 4  # a window is filled in so many requests, if they need not be larger
_GROWTH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most *size* rows that are handed in and not finished."""

    size: int = MOST

    @property
    def batch(self) -> int:
        """How many rows go into one request."""
        return max(1, min(BATCH_JOBS, self.size // _SHARES))

    def has_room(self, outstanding: int) -> bool:
        """Whether one more request fits beside *outstanding* rows."""
        return outstanding + self.batch <= self.size

    def after_taken(self, rows: int) -> Self:
        """The relay took *rows*: whoever else filled it may have gone, so dare a little more."""
        return replace(self, size=min(MOST, self.size + max(1, rows // _GROWTH)))

    def after_refused(self, rows: int, *, outstanding: int) -> Self:
        """The relay was too full for *rows* beside *outstanding*: no more than it has of us.

        When it has nothing of us it is full of others, or smaller than the request.
        """
        return replace(self, size=max(1, min(self.size, outstanding or rows // 2)))
