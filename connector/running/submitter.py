"""Hand a file's rows to the relay as jobs, for as long as that takes."""

import threading

from connector import intake
from connector.csv_file import CsvFile
from connector.intake import Tally, Terms
from connector.patience import ONCE
from connector.relay_errors import Refused, RelayError
from connector.running.relay_link import RelayLink
from connector.running.window import Window
from wire.models import JobRequest

_STEP_SECONDS = 0.05


class Submitter(threading.Thread):
    """A thread that hands in all jobs of a file, never more at once than the relay takes.

    *finished* is set from outside, as the relay tells it: so is known what still lies there.
    """

    def __init__(
        self, source: CsvFile, terms: Terms, tally: Tally, link: RelayLink, stop: threading.Event
    ) -> None:
        super().__init__(name="submitter", daemon=True)
        self._source = source
        self._terms = terms
        self._tally = tally
        self._link = link
        self._stop_event = stop
        self._window = Window()
        self.submitted = 0
        self.finished = 0
        self.error: Exception | None = None
        self.waits_for = ""

    def run(self) -> None:
        """Until all is handed in, the relay refuses for good, or we are stopped."""
        try:
            jobs = intake.jobs(self._source, self._terms, seen=self._tally.seen)
            for batch in intake.batches(jobs):
                left = batch
                while left:
                    if not self._await_room():
                        return
                    part = left[: self._window.batch]
                    if self._send(part):
                        left = left[len(part) :]
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for us
            self.error = error

    @property
    def _outstanding(self) -> int:
        return max(0, self.submitted - self.finished)

    def _await_room(self) -> bool:
        """Wait until one more request fits; False when stopped."""
        while not self._window.has_room(self._outstanding):
            if self._stop_event.wait(_STEP_SECONDS):
                return False
        return not self._stop_event.is_set()

    def _send(self, batch: list[JobRequest]) -> bool:
        """Whether the relay took *batch*; when it did not, some time has passed."""
        assert self._terms.refresh_id
        key = intake.idempotency_key(self._terms.refresh_id, batch)
        try:
            self._link.client.submit(batch, idempotency_key=key, patience=ONCE)
        except RelayError as error:
            if error.permanent or _is_over_for_today(error):
                raise
            self.waits_for = str(error)
            pause = min((error.retry_after if isinstance(error, Refused) else None) or 1.0, 5.0)
            if isinstance(error, Refused) and error.code == "queue_full":
                self._make_do(len(batch), seconds=pause)
            else:
                self._stop_event.wait(pause)
            return False
        self.submitted += len(batch)
        self._window = self._window.after_taken(len(batch))
        self.waits_for = ""
        return True

    def _make_do(self, rows: int, *, seconds: float) -> None:
        """The relay is full: want less, and wait that long or until half of ours is finished."""
        outstanding = self._outstanding
        self._window = self._window.after_refused(rows, outstanding=outstanding)
        for _ in range(int(seconds / _STEP_SECONDS)):
            if self._outstanding < outstanding / 2 or self._stop_event.wait(_STEP_SECONDS):
                return


def _is_over_for_today(error: RelayError) -> bool:
    """A full queue drains while we wait; a daily quota does not."""
    return isinstance(error, Refused) and error.code == "quota_exceeded"
