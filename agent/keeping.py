"""Keep results in the spool, and keep going when its disk is full."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from agent.errors import SpoolFull
from agent.events import Events
from agent.findings import Accepted, Finding
from agent.spool import Settled, Spool

logger = logging.getLogger(__name__)

_DISK_PAUSE_SECONDS: Final = 2.0


class Keeping:
    """The spool as the agent's threads use it: a full disk is said once and waited for.

    Fresh results stay in memory until they are kept, their leases are renewed, and no more work is
    taken. What comes after them need not be kept to be safe: the relay knows it too.
    """

    def __init__(self, spool: Spool, events: Events, clock: Callable[[], float]) -> None:
        self._spool = spool
        self._events = events
        self._clock = clock
        self._next_try = 0.0
        self.is_disk_full = False

    def add(self, findings: Sequence[Finding]) -> bool:
        """Keep fresh results; False when they are to be brought again later."""
        if self.is_disk_full:
            if self._clock() < self._next_try:
                return False
        elif not findings:
            return True
        try:
            if self.is_disk_full:
                self._spool.probe()
            self._spool.add(findings)
        except SpoolFull as error:
            self._is_full(error)
            return False
        if self.is_disk_full:
            self.is_disk_full = False
            logger.warning("there is room on the disk again")
        return True

    def accept(self, accepted: Sequence[Accepted]) -> None:
        """Note that rows are owed."""
        try:
            self._spool.accept(accepted)
        except SpoolFull as error:
            self._is_full(error)

    def settle(self, settled: Sequence[Settled]) -> None:
        """Note what became of rows."""
        try:
            self._spool.settle(settled)
        except SpoolFull as error:
            self._is_full(error)

    def forget(self, keys: Sequence[tuple[str, str]]) -> None:
        """Nothing more is to be done for these (job id, lease id)."""
        try:
            self._spool.forget(keys)
        except SpoolFull as error:
            self._is_full(error)

    def _is_full(self, error: SpoolFull) -> None:
        if not self.is_disk_full:
            self.is_disk_full = True
            logger.error("%s; no more work is taken until then", error)
            self._events.say("disk_full", detail=str(error))
        self._next_try = self._clock() + _DISK_PAUSE_SECONDS
