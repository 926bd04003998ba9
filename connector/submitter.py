"""Hand a source's rows to the relay as jobs, for as long as that takes."""

import threading
from collections.abc import Callable

from connector import intake
from connector.intake import Terms
from connector.patience import ONCE
from connector.relay_client import RelayClient
from connector.relay_errors import Refused, RelayError
from connector.seen import Seen
from connector.source import Source
from connector.window import Window
from wire.models import JobRequest, RefreshProgress

_STEP_SECONDS = 0.05
_ASK_SECONDS = 0.5


def is_over(error: RelayError) -> bool:
    """Whether the relay will not take the rest: a full queue drains, a daily quota does not."""
    return error.permanent or (isinstance(error, Refused) and error.code == "quota_exceeded")


class Submitter:
    """Hands in all jobs of *source*, never more at once than the relay takes.

    *relay* gives the client of the moment; *is_over* says which error ends it all. Somebody has to
    ask the relay how far the refresh is and tell ``heard``; where nobody does anyway, *ask* is
    called again and again while there is no room.
    """

    def __init__(
        self,
        source: Source,
        terms: Terms,
        seen: Seen,
        *,
        relay: Callable[[], RelayClient],
        stop: threading.Event,
        is_over: Callable[[RelayError], bool] = is_over,
        ask: Callable[[], RefreshProgress | None] | None = None,
    ) -> None:
        self._source = source
        self._terms = terms
        self._seen = seen
        self._relay = relay
        self._stop = stop
        self._is_over = is_over
        self._ask = ask
        self._window = Window()
        self._heard = (0, 0)  # as a pair: two threads look at it
        self.submitted = 0
        self.waits_for = ""

    def heard(self, progress: RefreshProgress, *, when_submitted: int) -> None:
        """How far the refresh is, asked for when so many rows were *submitted*.

        Not ``submitted`` minus ``finished``: a refresh that is taken up again names rows once more
        that have their endings from before.
        """
        self._heard = (progress.submitted - progress.finished, when_submitted)

    def run(self) -> bool:
        """Until all is handed in; False when stopped before.

        Raises RelayError when the relay refuses for good, ConnectorError when the source does.
        """
        jobs = intake.jobs(self._source, self._terms, seen=self._seen)
        for batch in intake.batches(jobs):
            left = batch
            while left:
                if not self._await_room():
                    return False
                part = left[: self._window.batch]
                if self._send(part):
                    left = left[len(part) :]
        return True

    @property
    def lying(self) -> int:
        """How many rows lie at the relay, handed in and not finished."""
        lay_there, when_submitted = self._heard
        return max(0, lay_there + self.submitted - when_submitted)

    def _await_room(self) -> bool:
        """Wait until one more request fits; False when stopped."""
        while not self._window.has_room(self.lying):
            if self._pause():
                return False
        return not self._stop.is_set()

    def _pause(self) -> bool:
        """Let a moment pass in which rows may be finished. Whether we were stopped."""
        if self._ask is None:
            return self._stop.wait(_STEP_SECONDS)
        when_submitted = self.submitted
        if (progress := self._ask()) is not None:
            self.heard(progress, when_submitted=when_submitted)
        return self._stop.wait(_ASK_SECONDS)

    def _send(self, batch: list[JobRequest]) -> bool:
        """Whether the relay took *batch*; when it did not, some time has passed."""
        assert self._terms.refresh_id
        key = intake.idempotency_key(self._terms.refresh_id, batch)
        try:
            self._relay().submit(batch, idempotency_key=key, patience=ONCE)
        except RelayError as error:
            if self._is_over(error):
                raise
            self.waits_for = str(error)
            pause = min((error.retry_after if isinstance(error, Refused) else None) or 1.0, 5.0)
            if isinstance(error, Refused) and error.code == "queue_full":
                self._make_do(len(batch), seconds=pause)
            else:
                self._stop.wait(pause)
            return False
        self.submitted += len(batch)
        self._window = self._window.after_taken(len(batch))
        self.waits_for = ""
        return True

    def _make_do(self, rows: int, *, seconds: float) -> None:
        """The relay is full: want less, and wait that long or until half of ours is finished."""
        outstanding = self.lying
        self._window = self._window.after_refused(rows, outstanding=outstanding)
        step = _STEP_SECONDS if self._ask is None else _ASK_SECONDS
        for _ in range(max(1, round(seconds / step))):
            if self.lying < outstanding / 2 or self._pause():
                return
