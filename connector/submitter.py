"""Hand a file's rows to the relay as jobs, for as long as that takes."""

import threading

from connector import intake
from connector.csv_file import CsvFile
from connector.intake import Tally, Terms
from connector.relay_client import Refused, RelayError
from connector.relay_link import RelayLink
from wire.models import JobRequest


class Submitter(threading.Thread):
    """Sends the jobs, batch by batch, for as long as that takes: a full queue is waited for."""

    def __init__(
        self, source: CsvFile, terms: Terms, tally: Tally, link: RelayLink, stop: threading.Event
    ) -> None:
        super().__init__(name="submitter", daemon=True)
        self._source = source
        self._terms = terms
        self._tally = tally
        self._link = link
        self._stop_event = stop
        self.submitted = 0
        self.error: Exception | None = None
        self.waits_for = ""

    def run(self) -> None:
        """Until all is handed in, the relay refuses for good, or we are stopped."""
        try:
            jobs = intake.jobs(self._source, self._terms, seen=self._tally.seen)
            for batch in intake.batches(jobs):
                if not self._send(batch):
                    return
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for us
            self.error = error

    def _send(self, batch: list[JobRequest]) -> bool:
        assert self._terms.refresh_id
        key = intake.idempotency_key(self._terms.refresh_id, batch)
        while not self._stop_event.is_set():
            try:
                self._link.client.submit(batch, idempotency_key=key)
            except RelayError as error:
                if error.permanent or _is_over_for_today(error):
                    raise
                self.waits_for = str(error)
                pause = error.retry_after if isinstance(error, Refused) else None
                self._stop_event.wait(min(pause or 1.0, 5.0))
            else:
                self.submitted += len(batch)
                self.waits_for = ""
                return True
        return False


def _is_over_for_today(error: RelayError) -> bool:
    """A full queue drains while we wait; a daily quota does not."""
    return isinstance(error, Refused) and error.code == "quota_exceeded"
