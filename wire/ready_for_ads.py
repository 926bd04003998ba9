"""Whether money may be spent on a row now. Derived, never stored as the truth."""

from datetime import datetime, timedelta
from typing import Final

from wire.vocab import Conclusion

DEFAULT_MAX_AGE: Final = timedelta(hours=24)


def is_ready(
    *,
    conclusion: Conclusion | None,
    checked_at: datetime | None,
    now: datetime,
    max_age: timedelta = DEFAULT_MAX_AGE,
    is_identity_verified: bool = True,
    is_paused: bool = False,
    is_channel_active: bool = True,
) -> bool:
    """True only for a ``valid`` answer that is younger than *max_age* and certainly this row's.

    An answer from the future is no evidence.
    """
    if conclusion is not Conclusion.VALID or checked_at is None:
        return False
    if is_paused or not is_identity_verified or not is_channel_active:
        return False
    return timedelta(0) <= now - checked_at < max_age
