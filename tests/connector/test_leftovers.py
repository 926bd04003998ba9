"""What a broken run left is finished first, by an agent that may have to wait for another one."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.running import leftovers
from connector.running.leftovers import BUSY_SECONDS, Note, finish

DONE, UNFINISHED, REFUSED, BUSY = 0, 3, 4, 5


class Agent:
    """A process that ends with *code* after being looked at *looks* times."""

    def __init__(self, code: int, looks: int = 2) -> None:
        self.code = code
        self.looks = looks
        self.is_stopped = False

    @property
    def is_running(self) -> bool:
        self.looks -= 1
        return self.looks > 0 and not self.is_stopped

    @property
    def exit_code(self) -> int:
        assert self.is_stopped
        return self.code

    def stop(self) -> None:
        self.is_stopped = True


class Stop(threading.Event):
    """An event nobody waits for in earnest; every wait lets *seconds* pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()

    def clock(self) -> float:
        return self.now


@pytest.fixture
def stop() -> Stop:
    return Stop()


def hired(codes: list[int], *, looks: int = 2) -> tuple[Callable[[], Agent], list[Agent]]:
    agents: list[Agent] = []
    left: Iterator[int] = iter(codes)

    def start() -> Agent:
        agents.append(Agent(next(left), looks))
        return agents[-1]

    return start, agents


def finished(start: Callable[[], Agent], stop: Stop, *, with_queue: bool = True) -> None:
    finish(start, with_queue=with_queue, stop=stop, clock=stop.clock)  # type: ignore[arg-type]


def test_the_agent_of_a_killed_run_is_waited_for(stop: Stop) -> None:
    start, agents = hired([BUSY, BUSY, BUSY, BUSY, BUSY, DONE])

    finished(start, stop)

    assert [agent.code for agent in agents][-1] == DONE
    assert all(agent.is_stopped for agent in agents)


def test_one_that_never_ends_is_waited_for_so_long_and_no_longer(stop: Stop) -> None:
    start, agents = hired([BUSY] * 1000)

    finished(start, stop)

    assert BUSY_SECONDS <= stop.now < BUSY_SECONDS + 10
    assert len(agents) < 1000


def test_what_one_agent_could_not_write_another_one_tries(stop: Stop) -> None:
    start, agents = hired([UNFINISHED, DONE, DONE])

    finished(start, stop)

    assert [agent.code for agent in agents] == [UNFINISHED, DONE]


def test_a_file_that_cannot_be_written_does_not_keep_us_for_ever(stop: Stop) -> None:
    start, agents = hired([UNFINISHED] * 100)

    finished(start, stop)

    assert len(agents) == 3


def test_a_relay_that_refuses_is_left_to_the_run_itself(stop: Stop) -> None:
    start, agents = hired([REFUSED, DONE])

    finished(start, stop)

    assert len(agents) == 1


def test_ctrl_c_ends_it_in_order(stop: Stop) -> None:
    start, agents = hired([DONE, DONE], looks=1_000_000)
    stop.set()

    finished(start, stop)
    assert agents == []

    stop.clear()
    waits = 0
    plain = stop.wait

    def wait(timeout: float | None = None) -> bool:
        nonlocal waits
        waits += 1
        if waits == 5:
            stop.set()
        return plain(timeout)

    stop.wait = wait  # type: ignore[method-assign]
    finished(start, stop)
    assert [agent.is_stopped for agent in agents] == [True]


def test_without_the_queue_an_agent_is_let_go_as_soon_as_it_starts(stop: Stop) -> None:
    start, agents = hired([DONE], looks=1_000_000)

    finished(start, stop, with_queue=False)

    assert agents[0].looks == 1_000_000
    assert agents[0].is_stopped


def test_a_note_is_there_from_its_making_to_its_dropping(tmp_path: Path) -> None:
    note = Note(tmp_path / "runs" / "src_a.unfinished")
    note.drop()
    assert not note

    note.make()
    note.make()
    assert note

    note.drop()
    assert not note


def test_the_exit_codes_are_those_of_the_agent() -> None:
    from agent.cli import Exit

    assert leftovers._AGENT_IS_BUSY == Exit.BUSY
    assert leftovers._AGENT_IS_UNFINISHED == Exit.UNFINISHED
