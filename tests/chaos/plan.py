"""What is done to a run and when: the seed decides, and nothing else. No clock, no process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from tests.processes import LEASE_SECONDS


class Deed(StrEnum):
    """What is done: to processes, to what is around them, to rows and to jobs."""

    KILL = "kill"
    STOP = "stop"
    LOSE = "lose"  # the machine, with all that was on its disk
    CUT = "cut"
    LOCK = "lock"  # somebody else writes in the ledger
    HOLD = "hold"  # the owner has a file to himself
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

Step = tuple[Deed, str]
Group = tuple[Step, ...]

# An agent with results that nobody has heard of yet, one with rows that it owes, and a recorder in
# the middle of its work: moments too short to be met by chance.
_UNHEARD: Final[Group] = ((Deed.CUT, "agent"), (Deed.KILL, "agent"))
_OWING: Final[Group] = ((Deed.HOLD, "table"), (Deed.KILL, "agent"))
_GONE_OWING: Final[Group] = ((Deed.HOLD, "table"), (Deed.LOSE, "agent"))
_ASLEEP_OWING: Final[Group] = ((Deed.HOLD, "table"), (Deed.STOP, "agent"))
_BOOKING: Final[Group] = ((Deed.LOCK, "books"), (Deed.KILL, "recorder"))

# Whatever the seed, each of these happens at least once.
_ALWAYS: Final[tuple[Group, ...]] = (
    _UNHEARD,
    _OWING,
    _GONE_OWING,
    _ASLEEP_OWING,
    _BOOKING,
    *(((Deed.KILL, part),) for part in ("agent", *PARTS)),
    *(((Deed.STOP, part),) for part in ("agent", "worker", "recorder", "clock", "redis")),
    ((Deed.CUT, "caller"),),
    ((Deed.SORT, "table"),),
    *[((Deed.EDIT, "table"),)] * 2,
    ((Deed.DELETE, "table"),),
    ((Deed.ADD, "table"),),
    *[((Deed.AGAIN, ""),)] * 2,
    *[((Deed.CANCEL, ""),)] * 2,
    *[((Deed.SUPERSEDE, ""),)] * 2,
    ((Deed.LOOSE, ""),),
    ((Deed.UNABLE, ""),),
)
_MORE: Final[tuple[tuple[int, Group], ...]] = (
    (6, _UNHEARD),
    (4, _OWING),
    (3, _GONE_OWING),
    (6, _ASLEEP_OWING),
    (5, _BOOKING),
    (8, ((Deed.KILL, "agent"),)),
    (6, ((Deed.KILL, "worker"),)),
    (2, ((Deed.KILL, "serve"),)),
    (2, ((Deed.KILL, "recorder"),)),
    (2, ((Deed.KILL, "clock"),)),
    (3, ((Deed.KILL, "redis"),)),
    (1, ((Deed.KILL, "up"),)),
    (5, ((Deed.STOP, "agent"),)),
    (3, ((Deed.STOP, "worker"),)),
    (2, ((Deed.STOP, "recorder"),)),
    (1, ((Deed.STOP, "clock"),)),
    (2, ((Deed.STOP, "redis"),)),
    (2, ((Deed.CUT, "agent"),)),
    (3, ((Deed.CUT, "caller"),)),
    (6, ((Deed.SORT, "table"),)),
    (8, ((Deed.EDIT, "table"),)),
    (3, ((Deed.DELETE, "table"),)),
    (4, ((Deed.ADD, "table"),)),
    (8, ((Deed.AGAIN, ""),)),
    (6, ((Deed.CANCEL, ""),)),
    (7, ((Deed.SUPERSEDE, ""),)),
    (3, ((Deed.LOOSE, ""),)),
    (1, ((Deed.UNABLE, ""),)),
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
    groups = list(_ALWAYS)
    weights = [weight for weight, _ in _MORE]
    while len(groups) < 8 + jobs // 80:
        groups.append(chance.choices(_MORE, weights)[0][1])
    chance.shuffle(groups)
    acts = tuple(
        act
        for number, group in enumerate(groups)
        for act in _acts(chance, group, at=0.03 + 0.94 * number / len(groups), agents=agents)
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


def _acts(chance: Random, group: Group, *, at: float, agents: Sequence[Worker]) -> Iterator[Act]:
    """The steps of *group*, all of them about one agent and its table."""
    is_about_a_table = any(target == "table" for _, target in group)
    agent = chance.choice([each for each in agents if each.table or not is_about_a_table])
    names = {"agent": agent.name, "table": agent.table or ""}
    for deed, target in group:
        name = names.get(target, target)
        yield Act(
            at=at,
            deed=deed,
            target=name,
            seconds=_seconds(chance, deed, name),
            share=chance.uniform(0.02, 0.08),
            salt=chance.randrange(2**32),
        )


def _seconds(chance: Random, deed: Deed, target: str) -> float:
    if deed is Deed.STOP and target not in PARTS:
        return LEASE_SECONDS + chance.uniform(0.5, 4.0)
    if deed in (Deed.STOP, Deed.CUT, Deed.LOCK):
        return chance.uniform(0.5, 2.0)
    if deed is Deed.HOLD:
        return chance.uniform(0.8, 2.0)
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
