"""One run under way: rows go out, an agent works, and the relay says how far both are."""

import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from connector.intake import Tally, Terms
from connector.registered import FilePlace, Place
from connector.relay_errors import RelayError
from connector.running.estimate import Estimate, Recent, estimate
from connector.running.footprint import Footprint, Peak, own_peak
from connector.running.own_agent import NotWritten, OwnAgent
from connector.running.relay_link import RelayLink
from connector.running.submitter import SubmitterThread
from connector.running.summary import Summary, percentile
from connector.source import Source
from wire.models import RefreshProgress
from wire.vocab import Writeback

_POLL_SECONDS = 0.25
_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0
_MAX_RESTARTS = 5


class Screen(Protocol):
    """Where a person watches. Every method may do nothing."""

    def stage(self, text: str) -> None:
        """What is being done now."""

    def begin(self, total: int) -> None:
        """*total* rows will be checked."""

    def advance(self, settled: int, *, finished: int, estimate: Estimate, text: str = "") -> None:
        """*finished* rows have their ending, *settled* of them also stand in their rows."""

    def end(self) -> None:
        """Nothing moves any more."""


class Course:
    """One run under way: the submitter, the agent and what the relay says of both."""

    def __init__(
        self,
        source: Source,
        place: Place,
        terms: Terms,
        tally: Tally,
        link: RelayLink,
        hire: Callable[[], OwnAgent],
        screen: Screen,
        stop: threading.Event,
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._place = place
        self._terms = terms
        self._tally = tally
        self._link = link
        self._hire = hire
        self._screen = screen
        self._stop = stop
        self._clock = clock
        self._submitter = SubmitterThread(source, terms, tally, link, stop)
        self._walk_ms: Counter[int] = Counter()
        self._not_written: list[NotWritten] = []
        self._progress: RefreshProgress | None = None
        self._restarts = 0
        self._trouble = ""
        self._agent: OwnAgent | None = None
        self._recent = Recent()
        self._footprint = Footprint()
        self._began = clock()
        self._checking_seconds = 0.0

    def follow(self) -> None:
        """Until every row is settled, or nothing can be done any more."""
        if not self._tally.to_check:
            return
        self._screen.stage("checking links")
        self._screen.begin(self._tally.to_check)
        self._began = self._clock()
        self._start_agent()
        self._submitter.start()
        try:
            self._watch()
        finally:
            self._stop.set()
            self._submitter.join(30)
            self._end_agent()
            self._refresh_progress()
            self._checking_seconds = self._clock() - self._began
            self._screen.end()

    def _watch(self) -> None:
        last: tuple[int, int, int] | None = None
        changed = looked = self._clock()
        while not self._stop.wait(_POLL_SECONDS):
            self._refresh_progress()
            self._raise_if_nothing_was_taken()
            settled, finished, submitted = self._figures()
            self._show(settled, finished)
            if self._is_over(settled=settled):
                return
            if self._clock() >= looked + _LOOK_SECONDS:
                looked = self._clock()
                self._look_at_memory()
            if (settled, finished, submitted) != last:
                last, changed = (settled, finished, submitted), self._clock()
            elif self._clock() - changed > _PATIENCE_SECONDS:
                self._trouble = "nothing moved for 10 minutes"
                return
            if not self._keep_agent():
                return
        self._trouble = "stopped before the end; run again with --only-stale 24h to go on"

    def _show(self, settled: int, finished: int) -> None:
        samples = self._recent.note(self._clock(), finished)
        self._screen.advance(
            settled,
            finished=finished,
            estimate=estimate(samples, done=finished, total=self._tally.to_check),
            text=self._submitter.work.waits_for,
        )

    def _look_at_memory(self) -> None:
        """The agent's and the relay's; of a relay on another machine nothing is known here."""
        if self._agent is not None:
            self._footprint.look(self._agent.pid, "agent")
        if (pid := self._link.own_pid) is not None:
            self._footprint.look(pid, "relay up")

    def _raise_if_nothing_was_taken(self) -> None:
        """A refusal of the very first batch ends the run; later ones let finish what was taken."""
        submitter = self._submitter
        if submitter.error is None or submitter.is_alive():
            return
        if submitter.work.submitted == 0 or not isinstance(submitter.error, RelayError):
            raise submitter.error

    def _figures(self) -> tuple[int, int, int]:
        """Rows settled (finished, and written where they are written), finished, submitted."""
        progress = self._progress
        if progress is None:
            return 0, 0, 0
        pending = progress.by_writeback.get(Writeback.PENDING, 0)
        return progress.finished - pending, progress.finished, progress.submitted

    def _is_over(self, *, settled: int) -> bool:
        if self._submitter.is_alive():
            return False
        return settled >= self._submitter.work.submitted

    def _refresh_progress(self) -> None:
        assert self._terms.refresh_id
        submitter = self._submitter.work
        when_submitted = submitter.submitted
        try:
            progress = self._link.client.progress(self._terms.source_id, self._terms.refresh_id)
        except RelayError as error:
            if not error.permanent:
                self._link.revive()
            return
        if progress is not None:
            self._progress = progress
            submitter.heard(progress, when_submitted=when_submitted)

    def _start_agent(self) -> None:
        self._agent = self._hire()

    def _keep_agent(self) -> bool:
        """A dead agent is started again, and one that looks for the relay elsewhere moved."""
        agent = self._agent
        assert agent is not None
        if agent.is_running and agent.relay == self._link.url:
            return True
        if not agent.is_running:
            self._restarts += 1
            if self._restarts > _MAX_RESTARTS:
                self._trouble = f"the agent keeps ending: {agent.last_words or agent.exit_code}"
                return False
        self._end_agent()
        self._start_agent()
        return True

    def _end_agent(self) -> None:
        self._look_at_memory()
        agent, self._agent = self._agent, None
        if agent is None:
            return
        agent.stop()
        self._walk_ms += agent.walk_ms
        self._not_written += agent.not_written

    @property
    def is_settled(self) -> bool:
        """Whether nothing that was handed in is left for another run."""
        if not self._tally.to_check:
            return True
        settled, _, submitted = self._figures()
        is_all = self._submitter.error is None and not self._trouble
        return is_all and settled >= max(submitted, self._submitter.work.submitted)

    def summary(self, *, seconds: float) -> Summary:
        """What to say at the end."""
        progress = self._progress
        by_conclusion = Counter(self._tally.told) + Counter(self._tally.left)
        if progress:
            by_conclusion.update(progress.by_conclusion)
        assert self._terms.refresh_id
        place = self._place
        return Summary(
            file=place.path if isinstance(place, FilePlace) else None,
            sheet="" if isinstance(place, FilePlace) else str(place),
            name=self._source.name,
            source_id=self._terms.source_id,
            refresh_id=self._terms.refresh_id,
            relay=self._link.url,
            rows=self._tally.rows,
            submitted=max(self._submitter.work.submitted, progress.submitted if progress else 0),
            finished=progress.finished if progress else 0,
            by_conclusion=by_conclusion,
            by_writeback=progress.by_writeback if progress else {},
            not_written=tuple(self._not_written),
            p50_ms=percentile(self._walk_ms, 0.50),
            p95_ms=percentile(self._walk_ms, 0.95),
            seconds=seconds,
            checking_seconds=self._checking_seconds,
            memory=(
                Peak(process="run", pid=os.getpid(), peak=own_peak()),
                *self._footprint.peaks(),
            ),
            trouble=self._trouble,
            refusal=error if isinstance(error := self._submitter.error, RelayError) else None,
        )
