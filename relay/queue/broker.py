"""The queue as the relay uses it: each transition is one script, and nothing else writes a job."""

from relay.queue.admission import Admitting
from relay.queue.housekeeping import Housekeeping
from relay.queue.leasing import Leasing
from relay.queue.reading import Reading
from relay.queue.reporting import Reporting


class Broker(Admitting, Leasing, Reporting, Reading, Housekeeping):
    """The whole queue in one Redis."""
