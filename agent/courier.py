"""Tell the relay what was found and what was written, in batches, until it has heard everything."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from agent.findings import Finding
from agent.spool import Settled
from connector.patience import Patience
from connector.relay_errors import NotARelay, Refused, RelayError
from wire.models import (
    MAX_REPORTS,
    Accepted,
    ResultsAnswer,
    ResultsRequest,
    WritebacksAnswer,
    WritebacksRequest,
)

logger = logging.getLogger(__name__)

_MAX_BYTES = 900_000  # below the relay's 1 MiB
_MAX_WRITEBACKS = 500
_GATHER_SECONDS: Final = 0.05  # a request costs as much for one result as for dozens
# Statuses that are about what was sent; anything else is about the relay and passes.
_MALFORMED: Final = frozenset({400, 413, 422})
_OUTAGE: Final = Patience(first_pause=0.2, longest_pause=10.0)

Thing = TypeVar("Thing")


class Relay(Protocol):
    """What of a RelayClient a courier needs. Both raise RelayError."""

    def results(self, ask: ResultsRequest) -> ResultsAnswer:
        """Report what was found."""

    def writebacks(self, ask: WritebacksRequest) -> WritebacksAnswer:
        """Report what became of rows."""


class Courier(threading.Thread):
    """A thread with two bags: results first, then words on rows. It waits for a relay that is away.

    *on_answer* is called with each finding and the relay's answer, None when the relay will never
    take its report; *on_confirmed* with the words the relay has heard; *on_progress* when less is
    left. *is_fatal* says which errors end it; those, and crashes, go to *on_crash*.
    """

    def __init__(
        self,
        relay: Relay,
        *,
        on_answer: Callable[[Sequence[tuple[Finding, Accepted | None]]], None],
        on_confirmed: Callable[[Sequence[Settled]], None],
        on_progress: Callable[[], None],
        is_fatal: Callable[[RelayError], bool],
        on_crash: Callable[[Exception], None],
        chance: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        pace: Patience = _OUTAGE,
    ) -> None:
        super().__init__(name="courier", daemon=True)
        self._relay = relay
        self._on_answer = on_answer
        self._on_confirmed = on_confirmed
        self._on_progress = on_progress
        self._is_fatal = is_fatal
        self._on_crash = on_crash
        self._chance = chance
        self._clock = clock
        self._pace = pace
        self._changed = threading.Condition()
        self._reports: deque[Finding] = deque()
        self._settled: deque[Settled] = deque()
        self._on_the_way = 0
        self._reports_on_the_way = 0
        self._failures = 0
        self._next_errand = 0.0
        self._is_stopping = False

    def report(self, findings: Iterable[Finding]) -> None:
        """Have these results reported."""
        with self._changed:
            self._reports.extend(findings)
            self._changed.notify_all()

    def confirm(self, settled: Iterable[Settled]) -> None:
        """Have the relay told what became of these rows."""
        with self._changed:
            self._settled.extend(settled)
            self._changed.notify_all()

    def stop(self) -> None:
        """End after the request under way; what is left stays in the spool."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def reports_left(self) -> int:
        """How many results the relay has not answered yet."""
        with self._changed:
            return len(self._reports) + self._reports_on_the_way

    def __len__(self) -> int:
        with self._changed:
            return len(self._reports) + len(self._settled) + self._on_the_way

    def run(self) -> None:
        """Carry until stopped."""
        try:
            while self._await_work():
                self._carry()
        except Exception as error:  # noqa: BLE001 - handed to the agent, which ends because of it
            self._on_crash(error)

    def _await_work(self) -> bool:
        """Wait for something to carry; soon after the last errand also for company."""
        with self._changed:
            while not self._is_stopping and not self._reports and not self._settled:
                self._changed.wait()
            while not self._is_stopping and len(self._reports) < MAX_REPORTS:
                left = self._next_errand - self._clock()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._next_errand = self._clock() + _GATHER_SECONDS
            return not self._is_stopping

    def _carry(self) -> None:
        reports, settled = self._take()
        try:
            while reports:
                sent = reports[: _fitting(reports)]
                self._deliver(sent, self._send_reports, self._give_up_report)
                del reports[: len(sent)]
                self._arrived(len(sent), reports=len(sent))
            while settled:
                some = settled[:_MAX_WRITEBACKS]
                self._deliver(some, self._send_settled, self._give_up_settled)
                del settled[: len(some)]
                self._arrived(len(some), reports=0)
        except RelayError as error:
            self._put_back(reports, settled)
            if self._is_fatal(error):
                raise
            self._wait_out(error)

    def _take(self) -> tuple[list[Finding], list[Settled]]:
        with self._changed:
            reports = [self._reports.popleft() for _ in range(min(len(self._reports), MAX_REPORTS))]
            settled = [
                self._settled.popleft() for _ in range(min(len(self._settled), _MAX_WRITEBACKS))
            ]
            self._reports_on_the_way = len(reports)
            self._on_the_way = len(reports) + len(settled)
            return reports, settled

    def _arrived(self, count: int, *, reports: int) -> None:
        with self._changed:
            self._on_the_way -= count
            self._reports_on_the_way -= reports
            self._failures = 0
        self._on_progress()

    def _put_back(self, reports: list[Finding], settled: list[Settled]) -> None:
        with self._changed:
            self._reports.extendleft(reversed(reports))
            self._settled.extendleft(reversed(settled))
            self._on_the_way = 0
            self._reports_on_the_way = 0

    def _wait_out(self, error: RelayError) -> None:
        with self._changed:
            self._failures += 1
            if self._failures == 1:
                logger.warning("results wait on this disk: %s", error)
            pause = self._pace.pause(
                self._failures,
                retry_after=error.retry_after if isinstance(error, Refused) else None,
                chance=self._chance(),
            )
            until = self._clock() + pause
            while not self._is_stopping and (left := until - self._clock()) > 0:
                self._changed.wait(left)

    def _deliver(
        self,
        batch: list[Thing],
        send: Callable[[list[Thing]], None],
        give_up: Callable[[Thing], None],
    ) -> None:
        """Send *batch*; when the relay finds fault with its shape, find out which one it means."""
        try:
            send(batch)
        except Refused as error:
            if error.status not in _MALFORMED:
                raise
            if len(batch) == 1:
                logger.warning("the relay will never take one result: %s", error)
                give_up(batch[0])
                return
            middle = len(batch) // 2
            self._deliver(batch[:middle], send, give_up)
            self._deliver(batch[middle:], send, give_up)

    def _send_reports(self, findings: list[Finding]) -> None:
        reports = [each.report for each in findings]
        answers = self._relay.results(ResultsRequest(results=reports)).results
        if [each.job_id for each in answers] != [each.job_id for each in reports]:
            raise NotARelay("the relay's address", status=200, why="it answers other results")
        self._on_answer(list(zip(findings, answers, strict=True)))

    def _give_up_report(self, finding: Finding) -> None:
        self._on_answer([(finding, None)])

    def _send_settled(self, settled: list[Settled]) -> None:
        self._relay.writebacks(WritebacksRequest(writebacks=[each.report for each in settled]))
        self._on_confirmed(settled)

    def _give_up_settled(self, settled: Settled) -> None:
        self._on_confirmed([settled])


def _fitting(findings: Sequence[Finding]) -> int:
    """How many of *findings*, from the first on, one request may carry; at least one."""
    size = 0
    for count, each in enumerate(findings):
        size += len(each.report.model_dump_json(exclude_defaults=True).encode()) + 1
        if count and size > _MAX_BYTES:
            return count
    return len(findings)
