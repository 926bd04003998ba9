"""Ask a relay for a refresh of a source, follow it to its end, and say how it ended."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from enum import IntEnum
from typing import Final

from connector.patience import ONCE
from connector.relay_client import RelayClient
from connector.relay_errors import Refused, RelayError
from connector.running.summary import is_whole
from wire.models import RefreshProgress
from wire.source_models import RefreshAnswer, RefreshRequest, SourceRequest
from wire.vocab import REFRESH_IS_OVER, Conclusion, Disposition, RefreshState

AWAY_SECONDS: Final = 600.0
_PAUSE_SECONDS: Final = 2.0
_MOST_KEYS: Final = 20


class Exit(IntEnum):
    """How ``linkrow refresh`` ends."""

    OK = 0  # asked for; or, where it was waited for, every row has its ending in its row
    BAD_INPUT = 2  # an option, the key or the name of the source cannot be used
    UNFINISHED = 3  # canceled, or a row could not be written, expired or is not there
    REFUSED = 4  # the relay is not there, or refused
    FAILED = 5  # the source could not be read, or no agent took it in time
    STILL_RUNNING = 6  # waited for no longer: Ctrl-C, or the time was over


def ask(
    client: RelayClient,
    source_id: str,
    request: RefreshRequest,
    *,
    key: str,
    known_as: SourceRequest | None = None,
) -> RefreshAnswer:
    """The refresh of this *key*: the same one however often it is asked for.

    A source that no agent has announced yet is made known as *known_as*: the refresh then waits
    for an agent.

    One that failed does not stand for ever: then the next key of a row (``key.2``, ``key.3``…)
    begins another, so that whoever tries again under the same key does try again.
    """
    try:
        answer = client.refresh(source_id, request, idempotency_key=key)
    except Refused as error:
        if error.code != "unknown_source" or known_as is None:
            raise
        client.make_source(known_as)
        answer = client.refresh(source_id, request, idempotency_key=key)
    for number in range(2, _MOST_KEYS + 1):
        is_old = answer.disposition is Disposition.REPLAYED
        if not is_old or answer.refresh.state is not RefreshState.FAILED:
            break
        answer = client.refresh(source_id, request, idempotency_key=f"{key}.{number}")
    return answer


def follow(
    client: RelayClient,
    source_id: str,
    refresh_id: str,
    *,
    on_progress: Callable[[RefreshProgress], None],
    on_away: Callable[[RelayError], None],
    stop: threading.Event,
    timeout: timedelta | None = None,
    wait: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> RefreshProgress | None:
    """How the refresh ended; None when it is waited for no longer.

    A relay that is away is waited for, ten minutes at most. Raises RelayError.
    """
    until = None if timeout is None else clock() + timeout.total_seconds()
    away_since: float | None = None
    while not stop.is_set() and (until is None or clock() < until):
        try:
            progress = client.progress(source_id, refresh_id, wait=wait, patience=ONCE)
        except RelayError as error:
            now = clock()
            away_since = now if away_since is None else away_since
            if error.permanent or now - away_since > AWAY_SECONDS:
                raise
            on_away(error)
            stop.wait(_PAUSE_SECONDS)
            continue
        away_since = None
        if progress is None:
            raise Refused(
                code="not_found",
                status=404,
                detail=f"there is no refresh {refresh_id} of {source_id}",
            )
        on_progress(progress)
        if progress.state in REFRESH_IS_OVER:
            return progress
    return None


def exit_of(progress: RefreshProgress) -> Exit:
    """What the end of a refresh means for a scheduler."""
    if progress.state is RefreshState.FAILED:
        return Exit.FAILED
    if progress.state is RefreshState.CANCELED:
        return Exit.UNFINISHED
    if progress.state is not RefreshState.DONE:
        return Exit.STILL_RUNNING
    is_all = progress.finished >= progress.submitted
    is_all_there = not progress.not_submitted.get(Conclusion.ROW_MISSING)
    is_in_its_rows = is_whole(progress.by_conclusion, progress.by_writeback)
    return Exit.OK if is_all and is_all_there and is_in_its_rows else Exit.UNFINISHED
