"""What is done to a run and when: the seed decides, and nothing else. No clock, no process."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

LEASE_SECONDS: Final = 3
"""The shortest a relay can be told; a stop of a holder is longer."""


class Deed(StrEnum):
    """What is done. To processes: kill, stop; to the network: cut; to rows and jobs: the rest."""

    KILL = "kill"
    STOP = "stop"
    CUT = "cut"
    SORT = "sort"
    EDIT = "edit"
    DELETE = "delete"
    ADD = "add"
    AGAIN = "again"  # an old submission is sent once more, under its Idempotency-Key
    CANCEL = "cancel"
    SUPERSEDE = "supersede"
    LOOSE = "loose"  # links that belong to no row
    UNABLE = "unable"  # links that nobody here can follow, and that run out soon


PARTS: Final = ("worker", "serve", "recorder", "clock", "redis", "up")
"""Of a relay: gunicorn's worker and master, recorder, clock, the private Redis, and all at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One deed, due once the share *at* of all jobs was admitted. *salt* picks rows and jobs."""

    at: float
    deed: Deed
    target: str = ""
    seconds: float = 0.0
    share: float = 0.0
    salt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One desktop: an agent for one table, or for links of no table."""

    name: str
    table: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run."""

    seed: int
    jobs: int
    rows: int
    batch: int
    tables: tuple[str, ...]
    agents: tuple[Worker, ...]
    acts: tuple[Act, ...]


class Fault(StrEnum):
    """What befalls one request on its way."""

    NONE = "none"
    LOST_REQUEST = "lost request"
    LOST_REPLY = "lost reply"  # the relay acted; nobody hears of it
    TORN_REPLY = "torn reply"
    DOUBLED = "doubled"  # bit for bit, at the same time
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """A request's fault. *second*: of a doubled one the caller hears the other answer."""

    fault: Fault = Fault.NONE
    seconds: float = 0.0
    second: bool = False


_FAULTS: Final = (
    (Fault.LOST_REQUEST, 0.03),
    (Fault.LOST_REPLY, 0.07),
    (Fault.TORN_REPLY, 0.03),
    (Fault.DOUBLED, 0.05),
    (Fault.LATE, 0.04),
)
_TABLES: Final = ("a", "b")
_AGENTS_PER_TABLE: Final = 2
_LOOSE: Final = "loose"

# Whatever the seed, each of these happens at least once.
_ALWAYS: Final = (
    *[(Deed.KILL, "agent")] * 3,
    *[(Deed.KILL, part) for part in PARTS],
    (Deed.KILL, "recorder"),
    *[(Deed.STOP, "agent")] * 2,
    (Deed.STOP, "worker"),
    (Deed.STOP, "recorder"),
    (Deed.STOP, "clock"),
    (Deed.STOP, "redis"),
    (Deed.CUT, "agent"),
    (Deed.CUT, "caller"),
    (Deed.SORT, ""),
    *[(Deed.EDIT, "")] * 2,
    (Deed.DELETE, ""),
    (Deed.ADD, ""),
    *[(Deed.AGAIN, "")] * 2,
    *[(Deed.CANCEL, "")] * 2,
    *[(Deed.SUPERSEDE, "")] * 2,
    (Deed.LOOSE, ""),
    (Deed.UNABLE, ""),
)
_MORE: Final = (
    (Deed.KILL, "agent", 16),
    (Deed.KILL, "worker", 6),
    (Deed.KILL, "serve", 2),
    (Deed.KILL, "recorder", 5),
    (Deed.KILL, "clock", 2),
    (Deed.KILL, "redis", 3),
    (Deed.KILL, "up", 1),
    (Deed.STOP, "agent", 9),
    (Deed.STOP, "worker", 3),
    (Deed.STOP, "recorder", 2),
    (Deed.STOP, "clock", 1),
    (Deed.STOP, "redis", 2),
    (Deed.CUT, "agent", 6),
    (Deed.CUT, "caller", 3),
    (Deed.SORT, "", 6),
    (Deed.EDIT, "", 9),
    (Deed.DELETE, "", 3),
    (Deed.ADD, "", 4),
    (Deed.AGAIN, "", 9),
    (Deed.CANCEL, "", 7),
    (Deed.SUPERSEDE, "", 8),
    (Deed.LOOSE, "", 3),
    (Deed.UNABLE, "", 1),
)


def plan_of(seed: int, *, jobs: int) -> Plan:
    """The run that *seed* stands for: at least *jobs* jobs are admitted in it."""
    chance = Random(f"plan {seed}")
    agents = (
        *(
            Worker(name=f"{table}{number}", table=table)
            for table in _TABLES
            for number in range(1, _AGENTS_PER_TABLE + 1)
        ),
        Worker(name=_LOOSE, table=None),
    )
    deeds = list(_ALWAYS)
    weights = [weight for _, _, weight in _MORE]
    while len(deeds) < 10 + jobs // 66:
        deed, target, _ = chance.choices(_MORE, weights)[0]
        deeds.append((deed, target))
    chance.shuffle(deeds)
    acts = tuple(
        _act(chance, deed, target, at=0.03 + 0.94 * number / len(deeds), agents=agents)
        for number, (deed, target) in enumerate(deeds)
    )
    return Plan(
        seed=seed,
        jobs=jobs,
        rows=max(jobs // (2 * len(_TABLES)), 20),
        batch=max(10, min(100, jobs // 40)),
        tables=_TABLES,
        agents=agents,
        acts=acts,
    )


def _act(chance: Random, deed: Deed, target: str, *, at: float, agents: Sequence[Worker]) -> Act:
    if target == "agent":
        target = chance.choice(agents).name
    elif deed in (Deed.SORT, Deed.EDIT, Deed.DELETE, Deed.ADD, Deed.SUPERSEDE):
        target = chance.choice(_TABLES)
    return Act(
        at=at,
        deed=deed,
        target=target,
        seconds=_seconds(chance, deed, target),
        share=chance.uniform(0.02, 0.08),
        salt=chance.randrange(2**32),
    )


def _seconds(chance: Random, deed: Deed, target: str) -> float:
    if deed is Deed.STOP and target not in PARTS:
        return LEASE_SECONDS + chance.uniform(0.5, 2.0)
    if deed in (Deed.STOP, Deed.CUT):
        return chance.uniform(0.5, 2.0)
    return 0.0


def fate_of(seed: int, party: str, path: str, number: int) -> Fate:
    """What befalls the *number*-th request of *party* for *path*."""
    chance = Random(f"fate {seed} {party} {path} {number}")
    drawn = chance.random()
    for fault, likely in _FAULTS:
        drawn -= likely
        if drawn < 0:
            return Fate(
                fault=fault, seconds=chance.uniform(0.05, 0.8), second=chance.random() < 0.5
            )
    return Fate()
