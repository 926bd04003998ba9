"""Agents are killed by the dozen, others look on or meddle: each job ends once, as it should."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.relay.queue.chaos_crew import outcome_of
from tests.relay.queue.viewers import (
    Viewer,
    look_with_dashboard,
    look_with_rq,
    look_with_rq_info,
)

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400)]
CREW = Path(__file__).with_name("chaos_crew.py")
ROOT = Path(__file__).parents[3]
JOBS = 300
PATIENCE_SECONDS = 110


@dataclass(frozen=True, slots=True)
class Crew:
    """The agents of chaos_crew.py, seen by whoever pauses and ends them."""

    process: "subprocess.Popen[str]"

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def tell(self, word: str) -> int:
        """How many agents were killed so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return int(json.loads(self.process.stdout.readline())["killed"])


@contextmanager
def crew_of(redis_url: str, *, seed: int, agents: int, meddlers: int) -> Iterator[Crew]:
    process = subprocess.Popen(
        [sys.executable, CREW, redis_url, str(seed), str(agents), str(meddlers)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Crew(process)
    finally:
        process.communicate(timeout=60)


def admit(world: Any, new_link: Callable[..., Any], first: int, count: int) -> set[str]:
    jobs = [new_link(f"r_{n}") for n in range(first, first + count)]
    return {job.job_id for job in world.admit(*jobs).jobs}


def until(is_so: Callable[[], bool], crew: Crew, world: Any) -> None:
    """Sweep until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert crew.is_alive()
        assert time.monotonic() < deadline, "it does not come to an end"
        world.broker.sweep()
        time.sleep(0.05)


def assert_all_ended_once(world: Any, wanted: set[str]) -> None:
    endings = Counter(job_id for job_id, _ in world.endings())
    written = Counter(e["job_id"] for e in world.events() if e["type"] == "writeback")
    assert set(endings) == set(written) == wanted
    assert set(endings.values()) == set(written.values()) == {1}
    rows = {f"r_{n}": outcome_of(f"r_{n}") for n in range(len(wanted))}
    assert world.redis.hgetall("chaos:sheet") == {
        row.encode(): f"{outcome.conclusion} {outcome.final_url}".encode()
        for row, outcome in rows.items()
    }
    assert world.redis.get("linkrow:depth:acct_a") == b"0"
    assert world.redis.zcard("linkrow:expires") == 0
    assert world.redis.keys("linkrow:leases:*") == []
    assert world.redis.keys("rq:wip:*") == []
    assert world.redis.keys("rq:execution*") == []
    assert world.redis.keys("linkrow:live:*") == []


@pytest.mark.parametrize("seed", [1, 2])
def test_every_job_ends_once_however_many_agents_die_and_somebody_queues_ended_ones_again(
    world, new_link, redis_url, seed
) -> None:
    wanted = set[str]().union(*(admit(world, new_link, n, 100) for n in range(0, JOBS, 100)))

    with crew_of(redis_url, seed=seed, agents=4, meddlers=2) as crew:
        until(
            lambda: len(world.endings()) == JOBS and not world.redis.zcard("linkrow:unserved"),
            crew,
            world,
        )
        killed = crew.tell("stop")
    world.lease()  # whatever the strangers queued last is put right

    assert killed > 0
    assert_all_ended_once(world, wanted)


def test_three_who_look_on_while_agents_die_change_nothing_and_see_what_is_so(
    world, new_link, redis_url, dashboard, everything
) -> None:
    name = world.queue().name
    viewers = [
        Viewer("RQ", partial(look_with_rq, world.queue())),
        Viewer("rq info", partial(look_with_rq_info, redis_url, name)),
        Viewer("rq-dashboard", partial(look_with_dashboard, dashboard, name)),
    ]
    wanted = admit(world, new_link, 0, 100)

    def have_looked_twice() -> Callable[[], bool]:
        before = [each.looks for each in viewers]

        def is_so() -> bool:
            assert [each.error for each in viewers] == [None, None, None]
            return all(each.looks >= n + 2 for each, n in zip(viewers, before, strict=True))

        return is_so

    with ExitStack() as stack:
        crew = stack.enter_context(crew_of(redis_url, seed=3, agents=4, meddlers=0))
        for viewer in viewers:
            stack.enter_context(viewer)
        for wave in range(1, 4):
            some = 100 * wave - 50
            until(lambda some=some: len(world.endings()) > some, crew, world)
            crew.tell("pause")
            before = everything()
            have_looked, deadline = have_looked_twice(), time.monotonic() + PATIENCE_SECONDS
            while not have_looked():
                assert time.monotonic() < deadline, "somebody no longer looks"
                time.sleep(0.02)
            after = everything()
            crew.tell("go")

            assert after == before
            there = {
                "queued": len(before.get(f"rq:queue:{name}".encode(), [[]])[0]),
                "started": len(before.get(f"rq:wip:{name}".encode(), [[]])[0]),
                "finished": len(before.get(f"rq:finished:{name}".encode(), [[]])[0]),
                "failed": len(before.get(f"rq:failed:{name}".encode(), [[]])[0]),
            }
            assert [each.seen for each in viewers] == [there, there, there]
            if wave < 3:
                wanted |= admit(world, new_link, 100 * wave, 100)
        until(
            lambda: len(world.endings()) == JOBS and not world.redis.zcard("linkrow:unserved"),
            crew,
            world,
        )
        until(have_looked_twice(), crew, world)
        killed = crew.tell("stop")

    assert killed > 0
    assert_all_ended_once(world, wanted)
