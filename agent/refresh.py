"""One refresh: read a source, tell its rows, hand them in, and say so to the relay.

Nothing of it is kept here. A refresh that was broken off is handed out again, reads the rows as
they stand then and names the same jobs, so the relay takes each of them once.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from agent.contact import Contact
from connector import intake, submitter
from connector.errors import ConnectorError, Interrupted
from connector.intake import Tally, Terms
from connector.relay_errors import Refused, RelayError
from connector.source import Source
from connector.submitter import Submitter
from wire.models import (
    ErrorDetail,
    Lease,
    RefreshOrder,
    RefreshProgress,
)
from wire.source_models import RefreshesRequest, RefreshReport
from wire.vocab import ReadReportState, ReadState

logger = logging.getLogger(__name__)

_LONGEST_DETAIL: Final = 1000
_OVER: Final = frozenset({"refresh_canceled", "refresh_over"})

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long trouble with a source is waited out.

    *first_pause* to *longest_pause* lie between failed tries. What waiting seldom cures (the file
    is gone) is given up after *hopeless_seconds*: an editor that saves may remove the file for a
    moment. Anything else after *longest*, so that whoever waits for the refresh hears why.
    """

    first_pause: float = 0.2
    longest_pause: float = 30.0
    hopeless_seconds: float = 5.0
    longest: float = 3600.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after the *failures*-th failed try in a row."""
        return min(self.first_pause * 2.0 ** min(failures - 1, 20), self.longest_pause)

    def is_over(self, error: Exception, *, failing_seconds: float) -> bool:
        """Whether to give up on *error* after so long."""
        is_hopeless = getattr(error, "permanent", False)
        return failing_seconds >= (self.hopeless_seconds if is_hopeless else self.longest)


class _Stop(Exception):
    """Nobody wants this refresh from us any more; no error."""


class _Failed(Exception):
    """What the relay is to be told; no error of the agent's."""

    def __init__(self, why: ErrorDetail) -> None:
        super().__init__(why.detail)
        self.why = why


class Refresh:
    """The work of one refresh lease. ``run`` blocks; *stop* ends it early, with nothing half done.

    Whoever serves the source sees to it that nobody else on this machine reads it meanwhile.
    """

    def __init__(
        self,
        lease: Lease,
        order: RefreshOrder,
        source: Source,
        *,
        contact: Contact,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lease = lease
        self._source = source
        self._contact = contact
        self._patience = patience
        self._clock = clock
        self.stop = threading.Event()
        self._terms: Terms = intake.terms_of(order, source_id=source.source_id, now=now())
        self._tally: Tally | None = None
        self._told: ErrorDetail | None = None

    def run(self) -> bool:
        """Whether the relay has heard how it ended; False when stopped before.

        Raises RelayError when the relay refuses this agent altogether.
        """
        try:
            self._report(ReadState.READING)
            try:
                self._work()
            except _Failed as failed:
                logger.warning("%s cannot be refreshed: %s", self._source.name, failed.why.detail)
                self._report(ReadState.FAILED, failed.why)
            else:
                self._report(ReadState.READ)
        except _Stop:
            return False
        return True

    def _work(self) -> None:
        """Raises _Failed with what to tell, and _Stop."""
        self._tally = self._insist(
            lambda: intake.prepare(self._source, self._terms, stop=self.stop)
        )
        tally = self._tally
        logger.info(
            "refresh %s of %s: %d rows are meant, %d to be checked",
            self._terms.refresh_id,
            self._source.name,
            tally.meant,
            tally.to_check,
        )
        self._report(ReadState.READING)
        work = Submitter(
            self._source,
            self._terms,
            tally.seen,
            relay=lambda: self._contact.relay,
            stop=self.stop,
            is_over=self._is_over,
            ask=self._ask,
        )
        if not self._insist(work.run, progress=lambda: work.submitted):
            raise _Stop

    # The source.

    def _insist(
        self, call: Callable[[], Found], *, progress: Callable[[], int] = lambda: 0
    ) -> Found:
        """What *call* gives, once the source lets it. As long as *progress* grows all is well."""
        failures, since, before = 0, 0.0, 0
        while True:
            try:
                found = call()
            except Interrupted:
                raise _Stop from None
            except RelayError as error:
                raise self._refused(error) from error
            except (ConnectorError, OSError) as error:
                now = self._clock()
                if not failures or progress() > before:
                    failures, since, before = 0, now, progress()
                failures += 1
                why = _detail_of(error)
                if self._patience.is_over(error, failing_seconds=now - since):
                    raise _Failed(why) from error
                if failures == 1:
                    logger.warning("%s cannot be read now: %s", self._source.name, error)
                self._tell_trouble(why)
                self._wait(self._patience.pause(failures))
            except Exception as error:
                # A fault of ours with one source must not end the work on all others.
                logger.exception("refresh %s failed", self._terms.refresh_id)
                kind = type(error).__name__
                raise _Failed(
                    ErrorDetail(code="agent_error", detail=f"the agent failed: {kind}; see its log")
                ) from error
            else:
                self._told = None
                return found

    def _wait(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise _Stop

    # The relay.

    def _is_over(self, error: RelayError) -> bool:
        """Whether the rest of the rows will not be taken; an absence passes."""
        if not isinstance(error, Refused) or error.status == 401:
            return self._contact.is_fatal(error)
        return submitter.is_over(error)

    def _refused(self, error: RelayError) -> Exception:
        """What it means that the rows were not taken."""
        if not isinstance(error, Refused) or error.status == 401:
            return error
        if error.code in _OVER:
            logger.info("refresh %s was ended elsewhere", self._terms.refresh_id)
            return _Stop()
        return _Failed(_detail_of(error))

    def _ask(self) -> RefreshProgress | None:
        assert self._terms.refresh_id
        try:
            return self._contact.relay.progress(self._source.source_id, self._terms.refresh_id)
        except RelayError:
            return None

    def _tell_trouble(self, why: ErrorDetail) -> None:
        """Let those who watch know what is waited for, once for each kind of it."""
        if self._told is None or self._told.code != why.code:
            self._report(ReadState.READING, why)
            self._told = why

    def _report(self, state: ReadState, why: ErrorDetail | None = None) -> None:
        """Say how it stands, however long the relay is away. Raises _Stop when it is not ours."""
        report = RefreshReport(
            job_id=self._lease.job_id,
            lease_id=self._lease.lease_id,
            state=state,
            rows=self._tally.meant if self._tally else None,
            not_submitted=self._tally.not_submitted if self._tally else {},
            error=why,
        )
        failures = 0
        while True:
            if self.stop.is_set():
                raise _Stop
            try:
                answer = self._contact.relay.report_refreshes(RefreshesRequest(refreshes=[report]))
            except RelayError as error:
                if self._contact.is_fatal(error):
                    raise
                if isinstance(error, Refused) and error.permanent and error.status != 401:
                    logger.warning("a report on a refresh was refused: %s", error)
                    raise _Stop from error
                failures += 1
                if failures == 1:
                    logger.warning("%s; trying again until it answers", error)
                retry_after = error.retry_after if isinstance(error, Refused) else None
                self._wait(self._contact.outage_pause(min(failures, 20), retry_after=retry_after))
                continue
            self._contact.has_met = True
            if answer.refreshes[0].state in (ReadReportState.ACCEPTED, ReadReportState.DUPLICATE):
                return
            logger.info("refresh %s is no longer ours", self._terms.refresh_id)
            raise _Stop


def _detail_of(error: Exception) -> ErrorDetail:
    """What a person is told, in the error's own code and words."""
    detail = error.detail if isinstance(error, Refused) else str(error)
    plain = "".join(letter if letter.isprintable() else " " for letter in detail)
    code = getattr(error, "code", "unreadable")
    return ErrorDetail(code=code, detail=plain[:_LONGEST_DETAIL])
