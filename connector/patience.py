"""How long to wait before a call is tried again. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one call keeps trying: at most *attempts* sendings within *seconds* of pauses."""

    attempts: int = 4
    seconds: float = 20.0
    first_pause: float = 0.25
    longest_pause: float = 8.0

    def pause(self, attempt: int, *, retry_after: float | None, chance: float) -> float:
        """Seconds to wait after the *attempt*-th sending failed; *chance* is in 0..1.

        Doubled each time, shortened at random by up to a half so that many callers spread out.
        A wish of the relay's is never undercut.
        """
        pause = min(self.first_pause * 2.0 ** (attempt - 1), self.longest_pause)
        pause *= 1.0 - chance / 2
        if retry_after is None:
            return pause
        return max(pause, retry_after * (1.0 + chance / 10))


USUAL: Final = Patience()
ONCE: Final = Patience(attempts=1)


def parse_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), or None if it says nothing.

    Never negative and never more than a day: a stranger's header must not put us to sleep.
    """
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # Before int(): a digit string of any length is an answer, a huge one just means a day.
        return MAX_RETRY_AFTER if len(text) > 9 else min(float(text), MAX_RETRY_AFTER)
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    try:
        seconds = (instant - now).total_seconds()
    except OverflowError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
