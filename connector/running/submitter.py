"""A run's submitter, in a thread of its own."""

import threading

from connector.intake import Tally, Terms
from connector.running.relay_link import RelayLink
from connector.source import Source
from connector.submitter import Submitter


class SubmitterThread(threading.Thread):
    """Hands in all jobs of a file while others look on; *error* is why it ended early."""

    def __init__(
        self, source: Source, terms: Terms, tally: Tally, link: RelayLink, stop: threading.Event
    ) -> None:
        super().__init__(name="submitter", daemon=True)
        self.work = Submitter(source, terms, tally.seen, relay=lambda: link.client, stop=stop)
        self.error: Exception | None = None

    def run(self) -> None:
        """Until all is handed in, the relay refuses for good, or we are stopped."""
        try:
            self.work.run()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for us
            self.error = error
