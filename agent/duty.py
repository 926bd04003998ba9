"""What an agent serves, and how hard it works."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from agent.refresh import Patience
from agent.roster import Roster
from agent.writeback import Pace
from connector.source import Source
from wire.ready_for_ads import DEFAULT_MAX_AGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """The *sources* (by id) whose rows are served, and jobs without one if *sourceless*.

    With a *roster*, the sources it names as well, which come and go while the agent works.

    *in_flight* links are walked at once and *ahead* more are in hand, so that walking never waits
    for a lease call. While more than *unreported* results (six kilobytes each) wait for the relay,
    or *unwritten* ones (one kilobyte each) for their rows, no more work is taken. At the end, links
    in hand have *finish_seconds* to land before they are given back, and all of it is over after
    *drain_seconds*.

    With *refreshes* it also reads its sources when the relay asks for that; *patience* is for those
    that cannot be read just now.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    sourceless: bool = True
    roster: Roster | None = None
    in_flight: int = 256
    ahead: int = 128
    unreported: int = 5_000
    unwritten: int = 100_000
    poll_seconds: int = 25
    finish_seconds: float = 5.0
    drain_seconds: float = 20.0
    tick_seconds: float = 0.5
    max_age: timedelta = DEFAULT_MAX_AGE
    pace: Pace = field(default_factory=Pace)
    refreshes: bool = False
    patience: Patience = field(default_factory=Patience)
