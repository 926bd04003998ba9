"""Which sources this agent serves now: those it began with, and those of a roster, as it changes.

One thread looks at the roster every moment. What may take long (opening a sheet, ending a writer)
has a thread of its own for as long as it takes, so that no source waits for another. A source is
announced to the relay only once its rows could be looked at; one that cannot is tried again, less
and less often, and the others never notice.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from agent.course import Course
from agent.duty import Duty
from agent.events import Events
from agent.late_source import LateSource
from agent.roster import Roster
from agent.watched import Watched
from agent.writing import Writing
from connector.errors import AlreadyRunning, ConnectorError
from connector.patience import Patience
from connector.registered import RegisteredSource
from connector.rewriting import seconds_to_write
from connector.source import CheckedSource, Source
from wire.vocab import SourceKind

logger = logging.getLogger(__name__)

MAX_SOURCES: Final = 200
"""How many one lease request may name."""

_RETRY: Final = {
    SourceKind.FILE: Patience(first_pause=1.0, longest_pause=10.0),
    SourceKind.SHEET: Patience(first_pause=5.0, longest_pause=300.0),  # a look costs calls
}
_BUSY_SECONDS: Final = 2.0


@dataclass(slots=True)
class _One:
    """One registered source as far as it is in our hands. Only the serving thread changes it."""

    entry: RegisteredSource
    source: CheckedSource | None = None
    lent: Source | None = None  # the same, for whoever reads it
    held: ExitStack = field(default_factory=ExitStack)
    task: threading.Thread | None = None
    error: Exception | None = None  # of the last try
    trouble: Exception | None = None  # why it is not well, where that will not pass by itself
    is_open: bool = False  # its rows could be looked at, and are written
    is_well: bool = False  # and nothing spoke against it since
    is_tried: bool = False
    is_ending: bool = False
    failures: int = 0
    next_try: float = 0.0
    told: str = ""


class Serving:
    """The sources in hand. *in_hand* says how much work of a source is on its way.

    *on_open* is called when rows of a source can be written from now on: what waits for them may
    come; *on_leave* when nobody wants its rows read any more. The methods may be called from any
    thread.
    """

    def __init__(
        self,
        duty: Duty,
        *,
        writing: Writing,
        events: Events,
        course: Course,
        in_hand: Callable[[str], int],
        on_open: Callable[[str], None],
        on_leave: Callable[[str], None] = lambda source_id: None,
        introduce: Callable[[RegisteredSource], None] = lambda entry: None,
    ) -> None:
        self._duty = duty
        self._writing = writing
        self._events = events
        self._course = course
        self._in_hand = in_hand
        self._on_open = on_open
        self._on_leave = on_leave
        self._introduce = introduce
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_settled = duty.roster is None
        self._ones: dict[str, _One] = {}
        self._entries: dict[str, RegisteredSource] = {}
        self._troubles: dict[str, Exception] = {}
        self._unreadable: dict[str, Exception] = {}
        self._hurried: set[str] = set()
        self._announced: dict[str, Source] = dict(duty.sources)
        self._stamp: object = object()
        self._complaint = ""

    # What the rest of the agent asks.

    def ids(self) -> list[str]:
        """The sources to be announced to the relay."""
        return list(self._announced)[:MAX_SOURCES]

    def unreadable(self) -> list[str]:
        """Sources that cannot be worked on until somebody sets them right."""
        return list(self._unreadable)[:MAX_SOURCES]

    def readable(self, source_id: str) -> Source | None:
        """The keeper of its rows for a refresh; of an unreadable one, a keeper that says why."""
        entry = self._entries.get(source_id)
        if source_id in self._announced or entry is None or source_id not in self._unreadable:
            return self._announced.get(source_id)
        return LateSource(
            source_id,
            entry.name,
            find=lambda: self._announced.get(source_id),
            why=lambda: self._unreadable.get(source_id),
            look_again=lambda: self._look_again(source_id),
        )

    def _look_again(self, source_id: str) -> None:
        """Somebody needs it now: do not wait for the next try."""
        with self._changed:
            self._hurried.add(source_id)
            self._changed.notify_all()

    def all_ids(self) -> list[str]:
        """Every source of ours, also those that are paused or cannot be opened now."""
        return list(dict.fromkeys((*self._duty.sources, *self._entries)))[:MAX_SOURCES]

    def serves(self, source_id: str | None) -> bool:
        """Whether new work of this source is ours to take."""
        return source_id in self._announced

    def knows(self, source_id: str) -> bool:
        """Whether this source is ours at all, paused or not."""
        return source_id in self._duty.sources or source_id in self._entries

    def source(self, source_id: str) -> Source | None:
        """The keeper of its rows while it is served."""
        return self._announced.get(source_id)

    def entry(self, source_id: str) -> RegisteredSource | None:
        """What the registry says of it."""
        return self._entries.get(source_id)

    @property
    def is_settled(self) -> bool:
        """Whether every source was tried at least once."""
        return self._is_settled

    def drain_seconds(self) -> float:
        """How long the last rewrites may take, beyond what any agent needs to end."""
        return max(
            (seconds_to_write(each.entry.place) for each in list(self._ones.values())), default=0.0
        )

    # The course of a run.

    def begin(self) -> None:
        """Write the rows of the sources it began with, and know the others."""
        for source in self._duty.sources.values():
            self._writing.take_on(source, pace=self._duty.pace, max_age=self._duty.max_age)
        if self._duty.roster is not None:
            self._look(self._duty.roster)

    def run(self) -> None:
        """Follow the roster until stopped."""
        roster = self._duty.roster
        while roster is not None and not self._is_stopping:
            self._look(roster)
            for source_id, one in list(self._ones.items()):
                self._step(roster, source_id, one)
            self._is_settled = all(one.is_tried for one in self._ones.values())
            with self._changed:
                if not self._is_stopping:
                    self._changed.wait(self._duty.tick_seconds)

    def stop(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def close(self) -> None:
        """Let others work on the sources: the writers have ended."""
        for one in list(self._ones.values()):
            if one.task is None or not one.task.is_alive():
                one.held.close()

    # One look at the roster.

    def _look(self, roster: Roster) -> None:
        """Take note of what was added, paused, resumed or removed."""
        try:
            stamp = roster.stamp()
            if stamp == self._stamp:
                return
            entries = {each.source_id: each for each in roster.registered()}
        except ConnectorError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                logger.warning("%s; what was served before is served on", error)
            return
        self._stamp, self._complaint = stamp, ""
        before, self._entries = self._entries, entries
        # Fixed sources are served as this agent was told, whatever is registered.
        for source_id, entry in entries.items():
            if source_id not in self._ones and source_id not in self._duty.sources:
                if not entry.is_paused:
                    self._ones[source_id] = _One(entry)
                elif source_id not in before:
                    self._tell(entry, "paused")
        for one in self._ones.values():
            one.next_try = 0.0  # whatever was wrong with it may have been set right
        if len(entries) > MAX_SOURCES:
            logger.warning("more than %d sources; the newest are not served", MAX_SOURCES)

    def _step(self, roster: Roster, source_id: str, one: _One) -> None:
        """Bring one source nearer to what it is to be."""
        if one.task is not None:
            if one.task.is_alive():
                self._announce(source_id, one)
                return
            one.task.join()
            one.task = None
            if one.is_ending:
                del self._ones[source_id]  # made anew with the next look, if it is wanted again
                self._stamp = object()
                return
            self._tried(source_id, one, roster)
        if (trouble := self._troubles.pop(source_id, None)) is not None and one.is_well:
            self._failed(one, trouble)
        entry = self._entries.get(source_id)
        if entry is None or not entry.is_same_work(one.entry):
            self._end(source_id, one, is_removed=entry is None)
        elif entry.is_paused:
            # What was found already is still written; then others may work on it.
            if not one.entry.is_paused:
                self._tell(entry, "paused")
                self._on_leave(source_id)
            one.entry = entry
            if not one.is_open or self._is_idle(source_id):
                self._end(source_id, one, is_removed=False)
        else:
            if one.entry.is_paused and one.is_well:
                self._tell(entry, "served")
            one.entry = entry
            is_hurried = source_id in self._hurried
            self._hurried.discard(source_id)
            if not one.is_well and (is_hurried or self._course.clock() >= one.next_try):
                self._begin_task(one, lambda: self._try(roster, one))
        self._announce(source_id, one)

    def _announce(self, source_id: str, one: _One) -> None:
        """Announce it, or do so no longer."""
        self._note_unreadable(source_id, one)
        entry = self._entries.get(source_id)
        is_wanted = entry is not None and not entry.is_paused and not one.is_ending
        if is_wanted and one.is_well and one.lent is not None:
            if self._announced.get(source_id) is not one.lent:
                self._announced = {**self._announced, source_id: one.lent}
        elif source_id in self._announced:
            self._announced = {
                known: source for known, source in self._announced.items() if known != source_id
            }

    def _note_unreadable(self, source_id: str, one: _One) -> None:
        """Whether a refresh of it would be told why it cannot be read."""
        entry = self._entries.get(source_id)
        is_wanted = entry is not None and not entry.is_paused and not one.is_ending
        if is_wanted and not one.is_well and one.trouble is not None:
            if self._unreadable.get(source_id) is not one.trouble:
                self._unreadable = {**self._unreadable, source_id: one.trouble}
        elif source_id in self._unreadable:
            self._unreadable = {
                known: why for known, why in self._unreadable.items() if known != source_id
            }

    def _is_idle(self, source_id: str) -> bool:
        return not self._in_hand(source_id) and not self._writing.of(source_id)

    # Opening.

    def _try(self, roster: Roster, one: _One) -> None:
        """See whether its rows can be worked on; in a thread of its own."""
        one.error = None
        try:
            if one.source is None:
                self._open(roster, one)
            else:
                one.source.check()
        except (ConnectorError, OSError) as error:
            one.error = error
            if one.source is not None:
                # With whatever credentials there are by then, and not those it began with.
                one.source.close()

    def _open(self, roster: Roster, one: _One) -> None:
        with ExitStack() as attempt:
            if not attempt.enter_context(roster.claim(one.entry.source_id)):
                raise AlreadyRunning(one.entry.name)
            source = roster.open(one.entry)
            attempt.callback(source.close)
            source.check()
            one.held = attempt.pop_all()
        one.source = source
        self._introduce(one.entry)

    def _tried(self, source_id: str, one: _One, roster: Roster) -> None:
        one.is_tried = True
        if one.error is not None:
            self._failed(one, one.error)
            return
        assert one.source is not None
        one.failures, one.told, one.is_well, one.trouble = 0, "", True, None
        if not one.is_open:
            one.is_open = True
            one.lent = Watched(one.source, lambda error: self._note_trouble(source_id, error))
            self._writing.take_on(
                one.source,
                pace=roster.pace(one.entry),
                max_age=one.entry.max_age or self._duty.max_age,
                on_trouble=lambda error: self._note_trouble(source_id, error),
            )
            self._on_open(source_id)
        self._tell(one.entry, "served")

    def _note_trouble(self, source_id: str, error: Exception) -> None:
        """Somebody could not read or write it; what will not pass by itself is looked into."""
        if getattr(error, "permanent", False):
            self._troubles[source_id] = error

    def _failed(self, one: _One, error: Exception) -> None:
        one.is_well = False
        one.failures += 1
        is_busy = isinstance(error, AlreadyRunning)
        one.trouble = error if getattr(error, "permanent", False) and not is_busy else None
        patience = _RETRY[one.entry.kind]
        pause = patience.pause(min(one.failures, 20), retry_after=None, chance=0.0)
        one.next_try = self._course.clock() + (_BUSY_SECONDS if is_busy else pause)
        said = f"{type(error).__name__}: {error}"
        if said != one.told:
            one.told = said
            level = logging.INFO if is_busy else logging.WARNING
            logger.log(level, "%s cannot be served now: %s", one.entry.name, error)
            self._say(one.entry, "busy" if is_busy else "unavailable", detail=str(error))

    # Ending.

    def _end(self, source_id: str, one: _One, *, is_removed: bool) -> None:
        one.is_ending, one.is_well = True, False
        self._announce(source_id, one)
        if is_removed:
            self._tell(one.entry, "removed")
        self._on_leave(source_id)
        self._begin_task(one, lambda: self._close(source_id, one, is_removed=is_removed))

    def _close(self, source_id: str, one: _One, *, is_removed: bool) -> None:
        """End its writer and let others have it; in a thread of its own."""
        left = self._writing.give_up(source_id)
        one.held.close()
        if left and is_removed:
            logger.warning(
                "%s was removed: %d of its results wait in the spool until it is added again",
                one.entry.name,
                left,
            )

    # How it is done and said.

    def _begin_task(self, one: _One, work: Callable[[], None]) -> None:
        def done() -> None:
            work()
            with self._changed:
                self._changed.notify_all()

        one.task = self._course.thread(f"source {one.entry.source_id}", done)
        one.task.start()

    def _tell(self, entry: RegisteredSource, state: str) -> None:
        logger.info("%s: %s", entry.name, state)
        self._say(entry, state)

    def _say(self, entry: RegisteredSource, state: str, **more: object) -> None:
        self._events.say(
            "source",
            source_id=entry.source_id,
            name=entry.name,
            kind=entry.kind,
            state=state,
            **more,
        )
