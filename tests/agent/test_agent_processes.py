"""Real agents as processes, a real relay, a real file: killed, asleep, stopped in mid-run."""

import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.locks import try_lock
from tests.processes import AgentProcess, Relay, Site, Table
from tests.processes import wait_until as eventually
from wire.vocab import Writeback

pytestmark = pytest.mark.processes


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with tempfile.TemporaryDirectory(prefix="lr-ag-", dir="/tmp") as folder:
        relay = Relay(Path(folder))
        yield relay
        relay.close()


@pytest.fixture
def table(relay: Relay, tmp_path: Path) -> Callable[[list[str]], Table]:
    return lambda links: Table(relay, tmp_path / "links.csv", links)


@pytest.fixture
def start(relay: Relay, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    started: list[AgentProcess] = []

    def begin(table: Table, *, name: str = "one", command: str = "run") -> AgentProcess:
        agent = AgentProcess(
            table,
            command=command,
            relay_url=relay.url,
            key=relay.credentials,
            environ=relay.environ,
            folder=tmp_path,
            name=name,
            home=tmp_path / name,
        )
        started.append(agent)
        return agent

    yield begin
    for each in started:
        each.close()


def test_an_agent_that_is_killed_and_started_again_ends_with_every_row_right(site, table, start):
    links = [f"{site.url}/fast/{n}" for n in range(20)] + [f"{site.url}/slow/{n}" for n in range(9)]
    mixed = table(links)
    first = start(mixed)
    eventually(lambda: site.visits("/slow/") >= 5, what="links are in the air")

    first.kill()
    site.gate.set()
    start(mixed)
    eventually(mixed.is_written, what="every row is written")

    mixed.assert_right()


def test_an_agent_that_slept_past_its_lease_does_not_spoil_rows(site, table, start):
    slow = table([f"{site.url}/slow/{n}" for n in range(5)])
    sleeper = start(slow, name="sleeper")
    eventually(lambda: site.visits("/slow/") >= 5, what="links are in the air")
    sleeper.send(signal.SIGSTOP)
    site.gate.set()
    start(slow, name="awake")
    eventually(slow.is_written, what="the other agent has written")
    before = slow.path.read_bytes()

    sleeper.send(signal.SIGCONT)
    assert sleeper.end() == 0

    assert slow.path.read_bytes() == before
    assert sleeper.said("written") == []
    slow.assert_right()


def test_a_superseded_link_is_never_written(site, table, start):
    slow = table([f"{site.url}/slow/0"])
    agent = start(slow)
    eventually(lambda: site.visits("/slow/") >= 1, what="the link is in the air")

    old, slow.jobs = slow.jobs, slow.submit([f"{site.url}/slow/0"], expected_domain="127.0.0.1")
    site.gate.set()
    eventually(slow.is_written, what="the newer one is written")

    assert [event["job_id"] for event in agent.said("written")] == slow.jobs
    assert slow.relay.client.job(old[0]).conclusion == "superseded"
    slow.assert_right()


def test_stopping_writes_what_is_finished_and_gives_back_the_rest(site, table, start):
    links = [f"{site.url}/fast/{n}" for n in range(5)] + [f"{site.url}/slow/{n}" for n in range(5)]
    mixed = table(links)
    first = start(mixed)
    eventually(lambda: site.visits("/slow/") >= 5, what="links are in the air")

    assert first.end() == 0
    assert [row["conclusion"] or "" for row in mixed.rows] == ["valid"] * 5 + [""] * 5

    site.gate.set()
    start(mixed)
    eventually(mixed.is_written, what="the rest is written")
    mixed.assert_right()


def test_a_locked_file_is_waited_for_and_nothing_is_walked_twice(site, table, start):
    fast = table([f"{site.url}/fast/{n}" for n in range(5)])
    before = fast.path.read_bytes()
    with try_lock(fast.path.with_name(".links.csv.lock")) as is_ours:
        assert is_ours
        start(fast)
        eventually(
            lambda: all(fast.relay.client.job(job).status == "done" for job in fast.jobs),
            what="every link is resolved",
        )
        assert fast.path.read_bytes() == before
        assert fast.relay.client.job(fast.jobs[0]).writeback == Writeback.PENDING

    eventually(fast.is_written, what="every row is written")
    fast.assert_right()
    assert site.visits("/fast/") == 5


def test_once_works_until_nothing_is_left(site, table, start):
    fast = table([f"{site.url}/fast/{n}" for n in range(30)])

    assert start(fast, command="once").process.wait(80) == 0

    assert fast.is_written()
    fast.assert_right()


def test_a_file_that_is_replaced_while_results_arrive_keeps_its_owners_edits(site, table, start):
    mixed = table(
        [f"{site.url}/fast/{n}" for n in range(3)] + [f"{site.url}/slow/{n}" for n in range(2)]
    )
    start(mixed)
    eventually(lambda: mixed.rows[0].get("conclusion") == "valid", what="the first are written")

    lines = mixed.path.read_text().splitlines(keepends=True)
    edited = mixed.path.with_name("edited.csv")
    # Sorted the other way round, and one row's link changed by hand, as a person would.
    edited.write_text("".join([lines[0], *reversed(lines[1:])]).replace("/slow/1", "/slow/new"))
    edited.replace(mixed.path)
    site.gate.set()
    eventually(
        lambda: mixed.relay.client.job(mixed.jobs[-1]).writeback not in ("none", "pending"),
        what="the last row has its word",
    )

    rows = {row["row_id"]: row for row in mixed.rows}
    assert rows["r_3"]["final_url"] == f"{site.url}/page/slow/0"
    assert not rows["r_4"]["final_url"]
    assert mixed.relay.client.job(mixed.jobs[-1]).writeback == Writeback.CONFLICT
    assert [row["row_id"] for row in mixed.rows] == ["r_4", "r_3", "r_2", "r_1", "r_0"]
