"""One run: a plan is carried out on real processes, and what happened is judged."""

import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import redis as redis_py

from connector.patience import Patience
from connector.relay_client import RelayClient
from connector.relay_errors import RelayError
from relay.events import STREAM
from tests.chaos import checker, history, redis_log
from tests.chaos.callers import Callers, Standing
from tests.chaos.checker import Violation
from tests.chaos.crew import TERMS, Agent, Crew, Relay, Website
from tests.chaos.history import Event, History
from tests.chaos.network import Way, address_of
from tests.chaos.plan import Act, Deed, Plan
from tests.chaos.tables import Table
from tests.processes import add_device, environ_of

_TICK: Final = 0.02
_BETWEEN_ACTS: Final = 0.25
_STALL_SECONDS: Final = 3.0
_TRIES: Final = 12
_STILL_SECONDS: Final = 90.0
_NAMES: Final = {
    Deed.KILL: "kills",
    Deed.STOP: "stops",
    Deed.LOSE: "machines lost",
    Deed.CUT: "cuts",
    Deed.LOCK: "locks",
    Deed.HOLD: "holds",
}
_LOOSE_LINKS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a run went."""

    seed: int
    jobs: int
    seconds: float
    figures: dict[str, int]
    violations: list[Violation]
    history: Path


def run(
    plan: Plan, folder: Path, *, progress: Callable[[str], None] = lambda text: None
) -> Verdict:
    """Carry *plan* out in *folder*, which is empty, and judge it. Every process is gone then."""
    began = time.monotonic()
    path = folder / "history.jsonl"
    with ExitStack() as stack:
        course = _Course(plan, folder, path, stack)
        course.follow(progress)
        course.settle(progress)
        course.take_stock()
    events = list(history.read(path))
    return Verdict(
        seed=plan.seed,
        jobs=sum(event["ev"] == "taken" for event in events),
        seconds=time.monotonic() - began,
        figures=figures_of(events),
        violations=checker.check(events),
        history=path,
    )


def judge(path: Path) -> list[Violation]:
    """Judge a history that was kept."""
    return checker.check(history.read(path))


def figures_of(events: list[Event]) -> dict[str, int]:
    """What was done, and what came of it, in numbers."""
    count: Counter[str] = Counter()
    for event in events:
        match event["ev"]:
            case "act" if event["count"]:
                count[_NAMES.get(event["deed"], "deeds")] += 1
            case "fault":
                count["faults"] += 1
            case "reported":
                count[event["state"]] += 1
            case "admitted":
                count["replayed answers"] += event["is_replay"]
                count[event["disposition"]] += not event["is_replay"]
            case "leased":
                count["leases"] += 1
            case "booked":
                count[f"ended {event['conclusion']}"] += 1
                count[f"row {event['writeback']}"] += 1
            case "seen":
                count["views"] += 1
    return dict(sorted(count.items()))


class _Course:
    """A run under way."""

    def __init__(self, plan: Plan, folder: Path, path: Path, stack: ExitStack) -> None:
        self._plan = plan
        self._standing = Standing()
        self._history = History(path, listen=self._standing.hear)
        stack.callback(self._history.close)
        site = Website()
        stack.callback(site.close)
        home = folder / "home"
        home.mkdir()
        relay = Relay(home, history=self._history)
        stack.callback(relay.close)
        self._ways: dict[str, Way] = {}
        self._tables = {
            name: Table(
                folder / f"{name}.csv",
                source_id=f"src_{name}{plan.seed}",
                site=site.url,
                seed=plan.seed,
                history=self._history,
            )
            for name in plan.tables
        }
        for table in self._tables.values():
            table.fill(plan.rows)
        self._site = site
        self._loose = Random(f"loose {plan.seed}")
        agents = []
        for worker in plan.agents:
            table = self._tables[worker.table] if worker.table else None
            agent = Agent(
                worker,
                relay=self._way(worker.name, relay, stack).url,
                key=add_device(relay.data, worker.name),
                folder=folder,
                file=(table.path, table.source_id) if table else None,
                environ=environ_of(home, **TERMS),
                history=self._history,
            )
            stack.callback(agent.close)
            agents.append(agent)
        self._crew = Crew(relay, agents)
        stack.callback(self._crew.wake)
        client = RelayClient(
            self._way("caller", relay, stack).url,
            relay.caller,
            patience=Patience(attempts=3, first_pause=0.1, longest_pause=0.5),
        )
        stack.callback(client.close)
        self._client = client
        self._next_at = 0.0
        self._is_over = threading.Event()
        is_abandoned = threading.Event()
        self._callers = Callers(
            client,
            standing=self._standing,
            history=self._history,
            batch=plan.batch,
            may_submit=self._may_submit,
            is_over=self._is_over.is_set,
            is_abandoned=is_abandoned.is_set,
        )
        self._hands = ThreadPoolExecutor(2 * len(plan.tables) + 6)
        stack.callback(lambda: self._hands.shutdown(wait=False, cancel_futures=True))
        stack.callback(self._is_over.set)
        stack.callback(is_abandoned.set)
        self._doing: list[Future[Any]] = []
        self._mending: list[tuple[float, Way]] = []

    def _way(self, party: str, relay: Relay, stack: ExitStack) -> Way:
        way = Way(address_of(relay.url), party=party, seed=self._plan.seed, history=self._history)
        stack.callback(way.close)
        self._ways[party] = way
        return way

    # ---- while it lasts

    def follow(self, progress: Callable[[str], None]) -> None:
        """Submit, and do what the plan says; until all is done and enough was admitted."""
        for table in self._tables.values():
            for number in (1, 2):
                chance = Random(f"refresh {self._plan.seed} {table.name} {number}")
                self._doing.append(self._hands.submit(self._callers.refresh, table, chance))
        self._doing.append(
            self._hands.submit(self._callers.look, Random(f"look {self._plan.seed}"))
        )
        acts = list(self._plan.acts)
        last, tries = time.monotonic(), 0
        while acts or self._standing.admitted < self._plan.jobs:
            now = time.monotonic()
            self._next_at = acts[0].at if acts else 1.0
            is_due = self._standing.admitted >= self._next_at * self._plan.jobs
            if acts and now - last > _BETWEEN_ACTS and (is_due or now - last > _STALL_SECONDS):
                tries = 0 if self._do(acts[0]) or tries == _TRIES else tries + 1
                if not tries:
                    acts.pop(0)
                last = now
                progress(f"{self._standing.admitted} jobs, {len(acts)} acts to come")
            self._tend()
            for future in self._doing:
                if future.done():
                    future.result()  # an error of ours ends the run at once
            time.sleep(_TICK)
        self._is_over.set()

    def _may_submit(self) -> bool:
        """Not ahead of what is to happen next, and not more than can be worked on."""
        ahead = self._next_at * self._plan.jobs + self._plan.batch
        return self._standing.admitted < ahead and self._standing.moving < self._plan.jobs // 3

    def _tend(self, *, all_wake: bool = False) -> None:
        now = time.monotonic()
        for until, way in self._mending:
            if until <= now or all_wake:
                way.mend()
        self._mending = [] if all_wake else [each for each in self._mending if each[0] > now]
        self._crew.tend(all_wake=all_wake)

    def _do(self, act: Act) -> int:
        """How many processes (or whatever else) met it: none while one is just beginning."""
        count = 1
        match act.deed:
            case Deed.KILL:
                count = self._crew.kill(act.target)
            case Deed.STOP:
                count = self._crew.stop(act.target, act.seconds)
            case Deed.LOSE:
                count = self._crew.lose(act.target)
            case Deed.CUT:
                way = self._ways[act.target]
                way.cut()
                self._mending.append((time.monotonic() + act.seconds, way))
            case _:
                self._doing.append(self._hands.submit(self._deed(act)))
        self._history.say(
            "act", deed=act.deed, target=act.target, at=act.at, seconds=act.seconds, count=count
        )
        return count

    def _deed(self, act: Act) -> Callable[[], None]:
        some = max(3, int(act.share * 100))
        match act.deed:
            case Deed.SORT | Deed.EDIT | Deed.DELETE | Deed.ADD:
                change = getattr(self._tables[act.target], act.deed.value)
                return lambda: change(act.salt, act.share)
            case Deed.HOLD:
                return lambda: self._tables[act.target].hold(act.seconds)
            case Deed.LOCK:
                return lambda: self._lock_books(act.seconds)
            case Deed.AGAIN:
                return lambda: self._callers.again(act.salt)
            case Deed.CANCEL:
                return lambda: self._callers.cancel(act.salt, some)
            case Deed.SUPERSEDE:
                return lambda: self._callers.supersede(act.salt, 2 * some)
            case Deed.LOOSE:
                links = self._links()
                return lambda: self._callers.loose(links, act.salt)
            case Deed.UNABLE:
                links = self._links()
                return lambda: self._callers.unable(links, act.salt)
        raise AssertionError(act.deed)

    def _lock_books(self, seconds: float) -> None:
        """Another program writes in the ledger for so long: whoever books waits."""
        path = self._crew.relay.data / "ledger.sqlite3"
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as books:
            books.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            books.execute("ROLLBACK")

    def _links(self) -> list[str]:
        return [
            f"{self._site.url}/go/slow/slow-loose-{self._loose.randrange(2**48)}"
            for _ in range(_LOOSE_LINKS)
        ]

    # ---- until nothing moves

    def settle(self, progress: Callable[[str], None]) -> None:
        """Let everything come to its end; what stands still for long is left to the judge."""
        for way in self._ways.values():
            way.calm()
        self._tend(all_wake=True)
        last, since = "", time.monotonic()
        while time.monotonic() - since < _STILL_SECONDS:
            self._tend()
            is_quiet, standing = self._standings()
            progress(standing)
            if is_quiet and all(future.done() for future in self._doing):
                return
            if standing != last:
                last, since = standing, time.monotonic()
            time.sleep(0.2)

    def _standings(self) -> tuple[bool, str]:
        """Whether nothing moves any more, and how much still does, as books and stream say."""
        with suppress(sqlite3.Error, redis_py.exceptions.RedisError, OSError):
            with closing(self._open_books()) as books:
                jobs, unfinished, owed = books.execute(
                    "SELECT count(*), sum(conclusion IS NULL), sum(writeback = 'pending') FROM jobs"
                ).fetchone()
            with self._crew.relay.redis() as redis:
                backlog = redis.xlen(STREAM)
            standing = f"{jobs} booked, {unfinished} unfinished, {owed} owed, {backlog} to book"
            is_quiet = jobs >= self._standing.admitted and not (unfinished or owed or backlog)
            return is_quiet, standing
        return False, "the relay is away"

    def _open_books(self) -> sqlite3.Connection:
        path = self._crew.relay.data / "ledger.sqlite3"
        books = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        books.row_factory = sqlite3.Row
        return books

    # ---- what there is at the end

    def take_stock(self) -> None:
        """Everything that is to be compared."""
        self._doing_well()
        say = self._history.say
        with suppress(RelayError):
            self._callers.see_all()
        for agent in self._crew.agents:
            code = agent.stop()
            if code not in (0, 3):
                say("fell", party=agent.name, code=code, words="when it was asked to end")
            say("left", what=f"spool of {agent.name}", count=_spooled(agent.folder))
        for event in self._queue():
            say(**event)
        self._crew.relay.stop()
        for event in redis_log.happenings(self._crew.relay.log):
            say(**event)
        with closing(self._open_books()) as books:
            for row in books.execute(_BOOKED):
                say("booked", **_booked(row))
            (count,) = books.execute("SELECT count(*) FROM unreadable_events").fetchone()
            say("left", what="unreadable events", count=count)
        for table in self._tables.values():
            for event in table.rows():
                say(**event)

    def _doing_well(self) -> None:
        """What went wrong in a thread of ours is an error of ours, not of the product."""
        for future in self._doing:
            if future.done():
                future.result()
            else:
                self._history.say("fell", party="caller", code="without an answer to the end")

    def _queue(self) -> Iterator[Event]:
        """What should be gone from Redis, and what the quotas counted."""
        with self._crew.relay.redis() as redis:
            counted = sum(int(redis.get(key) or 0) for key in redis.keys("linkrow:quota:*"))
            yield {"ev": "quota", "count": counted}
            for key in redis.keys("linkrow:depth:*"):
                yield {"ev": "left", "what": "depth", "count": int(redis.get(key) or 0)}
            yield {
                "ev": "left",
                "what": "jobs that may expire",
                "count": redis.zcard("linkrow:expires"),
            }
            yield {"ev": "left", "what": "unserved rows", "count": redis.zcard("linkrow:unserved")}
            for what, pattern in (
                ("leases", "linkrow:leases:*"),
                ("held leases", "linkrow:held:*"),
                ("live rows", "linkrow:live:*"),
                ("obligations", "linkrow:obligation*"),
                ("RQ's work in progress", "rq:wip:*"),
                ("RQ's executions", "rq:execution*"),
                ("RQ's scheduled", "rq:scheduled:*"),
            ):
                yield {"ev": "left", "what": what, "count": len(redis.keys(pattern))}


_BOOKED = """
    SELECT job_id, status, conclusion, final_url, writeback, checked_at, source_id, row_id,
           json_extract(request, '$.tracking_url') AS link
    FROM jobs ORDER BY created_at
"""


def _booked(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over values


def _spooled(folder: Path) -> int:
    """How many results an agent that has ended left on its disk."""
    count = 0
    for path in folder.rglob("*.sqlite3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as spool:
            count += spool.execute("SELECT count(*) FROM results").fetchone()[0]
    return count


def clean_up(folder: Path) -> None:
    """Forget a run that went well."""
    shutil.rmtree(folder, ignore_errors=True)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict for machines."""
    return {
        "seed": verdict.seed,
        "jobs": verdict.jobs,
        "seconds": round(verdict.seconds, 1),
        "figures": verdict.figures,
        "violations": [
            {"kind": each.kind, "of": each.of, "detail": each.detail} for each in verdict.violations
        ],
        "history": str(verdict.history) if verdict.violations else None,
    }
