"""Which endings are worth another attempt, and when. The relay retries, agents do not."""

from collections.abc import Callable, Sequence
from typing import Final

from wire.models import Outcome
from wire.vocab import Conclusion, JobStatus

_PASSING: Final = frozenset(
    {
        Conclusion.DNS_ERROR,
        Conclusion.CONNECT_ERROR,
        Conclusion.TIMEOUT,
        Conclusion.BAD_RESPONSE,
        Conclusion.PROXY_ERROR,
        Conclusion.BROWSER_ERROR,
    }
)
_PASSING_STATUS: Final = frozenset({429, 502, 503, 504})
_JITTER: Final = 0.2
_LONGEST_SECONDS: Final = 3600.0


def delays(
    outcome: Outcome, *, steps: Sequence[float], chance: Callable[[], float]
) -> tuple[float, ...]:
    """Seconds to wait before attempt 2, 3, …; empty when *outcome* stands as it is.

    *steps* are the usual delays, varied by ±20 % with *chance* (0..1) so that retries spread out.
    What the site asked for (Retry-After) is waited for, up to an hour.
    """
    if not _is_passing(outcome):
        return ()
    asked = float(outcome.retry_after_seconds or 0)
    return tuple(
        min(max(step * (1 - _JITTER + 2 * _JITTER * chance()), asked), _LONGEST_SECONDS)
        for step in steps
    )


def _is_passing(outcome: Outcome) -> bool:
    if outcome.status is JobStatus.DONE:
        return outcome.http_status in _PASSING_STATUS
    return outcome.conclusion in _PASSING
