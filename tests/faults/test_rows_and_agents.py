"""Agents that die, sleep or are overtaken, and rows that change before their results come."""

import signal

import pytest

from connector.locks import try_lock
from wire.vocab import Conclusion, JobStatus, Writeback

pytestmark = pytest.mark.processes
RESULTS = "/v1/agent/results"


@pytest.fixture
def locked(relay):
    """A table's file is held by somebody else, as a spreadsheet program holds it."""

    def lock(table):
        return try_lock(table.path.with_name(f".{table.path.name}.lock"))

    return lock


@pytest.fixture
def is_done(relay):
    return lambda table: all(relay.job(job).status == JobStatus.DONE for job in table.jobs)


def test_a_stale_report_after_a_sleep_never_replaces_the_newer_result(
    relay, proxy, make_proxy, site, table, start, eventually, other_device, held_recorder
):
    slow = table([f"{site.url}/slow/{n}" for n in range(3)])
    proxy.lose_request(RESULTS, times=10_000)
    sleeper = start(slow, name="sleeper")
    eventually(lambda: site.visits("/slow/") >= 3, what="links are in the air")
    site.gate.set()
    eventually(lambda: len(sleeper.said("resolved")) == 3, what="its results wait on its disk")
    sleeper.send(signal.SIGSTOP)

    site.landing = "newer"
    start(slow, name="awake", by=make_proxy(relay.address), key=other_device)
    eventually(slow.is_written, what="the other agent has written")
    before = slow.path.read_bytes()
    heard = proxy.seen[RESULTS]
    proxy.heal()
    sleeper.send(signal.SIGCONT)
    eventually(lambda: proxy.seen[RESULTS] > heard, what="the sleeper reports")
    assert sleeper.end() == 0

    assert sleeper.said("written") == []
    assert slow.path.read_bytes() == before
    slow.assert_right("newer")
    assert [relay.finals(job) for job in slow.jobs] == [1] * 3


def test_a_link_that_kills_every_agent_ends_and_its_row_is_told(
    relay, site, table, start, eventually, held_recorder
):
    poison = table([f"{site.url}/slow/0"])
    for delivery in range(1, 11):
        agent = start(poison)
        eventually(
            lambda delivery=delivery: site.visits("/slow/") >= delivery,
            what=f"delivery {delivery} is in the air",
        )
        agent.kill()

    last = start(poison)
    eventually(poison.is_written, what="the row is told")

    assert last.end() == 0
    assert site.visits("/slow/") == 10
    job = relay.job(poison.jobs[0])
    assert (job.status, job.conclusion) == (JobStatus.FAILED, Conclusion.AGENT_LOST)
    assert poison.column("conclusion") == ["agent_lost"]
    assert poison.column("check_status") == ["failed"]
    assert poison.column("error") != [""]
    assert relay.finals(poison.jobs[0]) == 1


def test_rows_a_dead_agent_still_owed_are_written_by_another_without_a_walk(
    relay, make_proxy, site, table, start, eventually, locked, is_done, other_device
):
    fast = table([f"{site.url}/fast/{n}" for n in range(4)])
    with locked(fast) as is_ours:
        assert is_ours
        first = start(fast)
        eventually(lambda: is_done(fast), what="every link is resolved")
        first.kill()
        assert fast.column("final_url") == [""] * 4
    second = start(fast, name="two", by=make_proxy(relay.address), key=other_device)
    eventually(fast.is_written, what="the other has written")

    assert second.end() == 0
    fast.assert_right()
    assert second.said("resolved") == []
    assert site.visits("/fast/") == 4


def test_a_row_nobody_serves_is_given_up_and_the_books_keep_its_result(
    relay, site, table, start, eventually, locked, is_done
):
    fast = table([f"{site.url}/fast/0"])
    (job,) = fast.jobs
    with locked(fast) as is_ours:
        assert is_ours
        agent = start(fast)
        eventually(lambda: is_done(fast), what="the link is resolved")
        agent.kill()
    relay.redis.zadd("linkrow:unserved", {job: 1})  # as if a week had passed

    eventually(lambda: fast.writebacks() == ["failed"], what="it is given up")
    page = f"{site.url}/page/fast/0"
    eventually(lambda: relay.books(job) == ("done", page, "failed"), what="the books know it all")
    assert fast.column("final_url") == [""]


def test_rows_edited_deleted_and_doubled_before_the_write_are_told_apart(
    relay, site, table, start, eventually, locked, is_done
):
    fast = table([f"{site.url}/fast/{n}" for n in range(5)])
    with locked(fast) as is_ours:
        assert is_ours
        agent = start(fast)
        eventually(lambda: is_done(fast), what="every link is resolved")
        head, keeps, edited, _deleted, doubled, last = fast.path.read_text().splitlines(True)
        edited = edited.replace("/fast/1", "/fast/other")
        fast.path.write_text(f"{head}{doubled}{last}{edited}{doubled}{keeps}")
    eventually(lambda: "pending" not in fast.writebacks(), what="every row has its word")

    assert agent.end() == 0
    assert fast.writebacks() == [
        Writeback.WRITTEN,
        Writeback.CONFLICT,
        Writeback.MISSING,
        Writeback.DUPLICATE,
        Writeback.WRITTEN,
    ]
    assert fast.column("row_id") == ["r_3", "r_4", "r_1", "r_3", "r_0"]
    assert fast.column("final_url") == [
        "",
        f"{site.url}/page/fast/4",
        "",
        "",
        f"{site.url}/page/fast/0",
    ]


def test_a_job_canceled_while_it_runs_is_dropped_and_its_row_left_alone(
    relay, site, table, start, eventually, held_recorder
):
    slow = table([f"{site.url}/slow/0"])
    before = slow.path.read_bytes()
    agent = start(slow)
    eventually(lambda: site.visits("/slow/") == 1, what="the link is in the air")

    assert relay.client.cancel(slow.jobs[0]).status is JobStatus.CANCELED
    # The link still hangs: only the answer to a renewal can have told the agent.
    eventually(lambda: bool(agent.said("idle")), what="the agent has dropped it")
    site.gate.set()

    assert agent.end() == 0
    assert agent.said("resolved") == []
    assert slow.path.read_bytes() == before
    assert relay.finals(slow.jobs[0]) == 1


def test_a_superseded_job_ends_unwritten_and_the_newer_one_is_written(
    relay, proxy, site, table, start, eventually, held_recorder
):
    slow = table([f"{site.url}/slow/0"])
    (old,) = slow.jobs
    proxy.lose_request("/v1/agent/renew", times=10_000)  # the holder does not learn it in time
    agent = start(slow)
    eventually(lambda: site.visits("/slow/") == 1, what="the link is in the air")

    slow.jobs = slow.submit([f"{site.url}/slow/0"], expected_domain="127.0.0.1")
    site.gate.set()
    proxy.heal()
    eventually(slow.is_written, what="the newer one is written")

    assert agent.end() == 0
    assert [each["job_id"] for each in agent.said("written")] == slow.jobs
    slow.assert_right()
    assert relay.job(old).conclusion is Conclusion.SUPERSEDED
    assert [relay.finals(job) for job in (old, *slow.jobs)] == [1, 1]


def test_a_row_whose_job_expired_is_told_so_and_nothing_is_fetched(
    relay, site, table, start, eventually
):
    late = table([f"{site.url}/fast/0"], expires_in=1)
    eventually(
        lambda: relay.job(late.jobs[0]).status is JobStatus.EXPIRED, what="nobody took it in time"
    )

    agent = start(late)
    eventually(late.is_written, what="the row is told")

    assert agent.end() == 0
    assert site.visits("/") == 0
    assert late.column("check_status") == ["skipped"]
    assert late.column("conclusion") == ["job_expired"]
    assert late.column("final_url") == [""]
