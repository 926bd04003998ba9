"""Being in touch with the relay: what its failures mean for going on, and how long to wait then."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from agent.course import Course
from connector.patience import Patience
from connector.relay_client import RelayClient
from connector.relay_errors import NotARelay, Refused, RelayError, Unreachable
from wire.models import Held, ReleaseRequest

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4000
"""How many leases one request names."""

_OUTAGE: Final = Patience(first_pause=0.2, longest_pause=15.0)


class Contact:
    """The relay as one agent meets it. *chance* (0..1) spreads out pauses."""

    def __init__(self, relay: RelayClient, course: Course, chance: Callable[[], float]) -> None:
        self.relay = relay
        self.has_met = False
        self._course = course
        self._chance = chance

    def is_fatal(self, error: RelayError) -> bool:
        """Whether going on makes no sense: a refused key always, anything lasting at the start.

        Later a laptop may meet a hotel's login page or wake with a wrong clock: that passes.
        """
        if isinstance(error, Refused) and error.status in (401, 403):
            return error.code != "stale_timestamp" or not self.has_met
        if isinstance(error, NotARelay | Unreachable):
            return error.permanent and not self.has_met
        return False

    def insist(self, call: Callable[[], object]) -> None:
        """Make one call, however long the relay is away; an error that lasts ends the run."""
        failures = 0
        while not self._course.stop.is_set():
            try:
                call()
            except RelayError as error:
                failures += 1
                if self.is_fatal(error) or (error.permanent and isinstance(error, Refused)):
                    self._course.crash(error)
                    return
                self.wait_out(error, failures)
            else:
                self.has_met = True
                return

    def wait_out(self, error: RelayError, failures: int) -> None:
        """Wait after the *failures*-th failure in a row; say once that the relay is away."""
        if failures == 1:
            logger.warning("%s; trying again until it answers", error)
        retry_after = error.retry_after if isinstance(error, Refused) else None
        self._course.stop.wait(self.outage_pause(min(failures, 20), retry_after=retry_after))

    def outage_pause(self, failures: int, *, retry_after: float | None = None) -> float:
        """Seconds to wait after that many failures in a row."""
        return _OUTAGE.pause(failures, retry_after=retry_after, chance=self._chance())

    def release(self, held: Sequence[Held]) -> None:
        """Give leases back; where that fails they run out by themselves."""
        if not held:
            return
        try:
            for start in range(0, len(held), AT_ONCE):
                self.relay.release(ReleaseRequest(leases=list(held[start : start + AT_ONCE])))
        except RelayError as error:
            logger.warning("%d links could not be given back: %s", len(held), error)
