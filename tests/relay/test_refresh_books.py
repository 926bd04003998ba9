"""Sources and refreshes in the books: booked once, and what a lost Redis is filled from."""

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from relay.clock import Clock
from relay.ledger.ledger import Ledger
from relay.ledger.schema import refreshes, sources
from relay.queue.errors import (
    NonceReplayed,
    RefreshIsOver,
    RefreshRunning,
    SourcePaused,
    UnknownSource,
)
from relay.recorder import Recorder
from wire.models import ErrorDetail, WritebackReport
from wire.source_models import SourcePatch, SourceRequest
from wire.vocab import Writeback

ENDS = ("done", "canceled", "failed")


@pytest.fixture
def submit(world, new_link) -> Any:
    def submit(refresh_id: str, *rows: str) -> list[str]:
        links = [new_link(row, refresh_id=refresh_id) for row in rows]
        return [job.job_id for job in world.admit(*links).jobs]

    return submit


@pytest.fixture
def arrive(world, submit) -> Any:
    """Bring a new refresh of src_a with two rows to a state; its id."""

    def arrive(state: str, **asked: Any) -> str:
        world.lease("src_a")
        refresh_id = str(world.ask(**asked).refresh_id)
        if state == "waiting_for_agent":
            return refresh_id
        (lease,) = world.lease_to_read(max=1)
        submit(refresh_id, "r_1", "r_2")
        if state == "canceled":
            world.broker.cancel_refresh("acct_a", "src_a", refresh_id)
        elif state == "failed":
            why = ErrorDetail(code="sheet_gone", detail="somebody deleted the tab\0")
            world.read(lease, "failed", error=why, rows=2)
        elif state in ("running", "done"):
            world.read(lease, rows=3, not_submitted={"fresh_enough": 1})
            if state == "done":
                finish(world)
        assert world.progress(refresh_id).state == state
        return refresh_id

    return arrive


def finish(world: Any) -> None:
    for lease in world.lease():
        if lease.kind == "link":
            world.report(lease)
        word = WritebackReport(job_id=lease.job_id, writeback=Writeback.WRITTEN)
        world.broker.note_writebacks(world.caller(device="dev_1"), [word])


def book(world: Any, ledger: Ledger) -> None:
    recorder = Recorder(world.broker, ledger)
    recorder.drain()
    recorder.release()


def rows_of(ledger: Ledger, table: sa.Table) -> list[tuple[Any, ...]]:
    with ledger._begin() as connection:
        return sorted(tuple(row) for row in connection.execute(sa.select(table)))


def lose(world: Any, ledger: Ledger) -> None:
    """Redis is lost, and filled again."""
    world.redis.flushall()
    assert Clock(world.broker, ledger).rebuild()
    world.redis.set("linkrow:epoch", 0)  # what a test signs may be a second old


def shown(world: Any, source: str = "src_a") -> Any:
    found = world.broker.sources_now("acct_a", [], one=source).get(source)
    return found and found[0]


# Booked once.


@pytest.mark.parametrize("state", ["waiting_for_agent", "reading", "running", *ENDS])
def test_what_the_books_say_of_a_refresh_is_what_redis_said(world, ledger, arrive, state) -> None:
    refresh_id = arrive(state, scope="stale", max_age_seconds=60)
    book(world, ledger)

    said, booked = world.progress(refresh_id), ledger.progress("acct_a", refresh_id)

    if state == "failed":
        said = said.model_copy(update={"error": booked.error})  # no column holds a NUL
        assert booked.error.detail.startswith("somebody deleted the tab")
    if state == "reading":  # of interest while it lasts only
        said = said.model_copy(update={"state": "waiting_for_agent"})
    assert booked == said
    assert ledger.progress("acct_b", refresh_id) is None
    assert ledger.refreshes("acct_a", "src_a")[0] == [booked]


def test_a_history_that_is_booked_again_changes_nothing(world, ledger, arrive, redis) -> None:
    for state in ENDS:
        arrive(state)
    world.broker.change_source(world.caller(), "src_a", SourcePatch(name="old", paused=True))
    world.broker.change_source(world.caller(), "src_a", SourcePatch(name="new"))
    world.broker.delete_source(world.caller(), "src_a")
    world.lease("src_a")
    history = redis.xrange("linkrow:outcomes")
    book(world, ledger)
    before = rows_of(ledger, refreshes), rows_of(ledger, sources)

    for first in range(0, len(history), 3):
        for _, fields in history[first:]:
            redis.xadd("linkrow:outcomes", fields)
        book(world, ledger)
    for _, fields in reversed(history):
        redis.xadd("linkrow:outcomes", fields)
        book(world, ledger)

    assert (rows_of(ledger, refreshes), rows_of(ledger, sources)) == before
    assert {row[12] for row in before[0]} == set(ENDS)
    assert shown(world).name == ledger.source("acct_a", "src_a").name == "new"
    assert ledger.source("acct_a", "src_a").deleted_at is None


def test_the_first_end_of_a_refresh_stays(world, ledger, arrive, redis) -> None:
    refresh_id = arrive("done")
    ((_, end),) = [
        entry for entry in redis.xrange("linkrow:outcomes") if entry[1].get(b"state") == b"done"
    ]
    book(world, ledger)
    booked = ledger.progress("acct_a", refresh_id)

    for state in (b"failed", b"running", b"canceled"):
        redis.xadd("linkrow:outcomes", end | {b"state": state, b"at": b"2000000000"})
    redis.xadd("linkrow:outcomes", end | {b"account_id": b"acct_b", b"state": b"failed"})
    book(world, ledger)

    assert ledger.progress("acct_a", refresh_id) == booked


@pytest.mark.processes
@pytest.mark.timeout(240)
def test_however_often_a_recorder_is_killed_each_refresh_is_booked_once(
    world, ledger, arrive, kill_a_recorder, redis
) -> None:
    names = {}
    moments = itertools.cycle(("read", "committed", "forgotten", "acknowledged"))
    for state in (*ENDS, *ENDS):
        refresh_id = arrive(state)
        names[refresh_id] = state
        assert kill_a_recorder(next(moments)) == 9
        finish(world)

    book(world, ledger)

    assert world.broker.backlog() == 0
    booked, _ = ledger.refreshes("acct_a", "src_a")
    assert {each.refresh_id: each.state for each in booked} == names
    assert all(ledger.progress("acct_a", name) == each for name, each in zip(
        (each.refresh_id for each in booked), booked, strict=True))  # fmt: skip
    for key in redis.scan_iter("rq:job:*"):
        assert redis.ttl(key) != -1, "what has ended goes in a minute, a refresh's job too"


def test_the_job_of_a_refresh_goes_from_redis_once_it_is_booked(
    world, ledger, arrive, redis
) -> None:
    arrive("reading")
    (job_id,) = (
        key.decode().removeprefix("rq:job:")
        for key in redis.scan_iter("rq:job:*")
        if redis.hget(key, "lr_kind") == b"refresh"
    )
    book(world, ledger)
    while_it_runs = redis.ttl(f"rq:job:{job_id}")
    world.broker.cancel_refresh("acct_a", "src_a", world.ask().refresh_id)
    book(world, ledger)

    assert while_it_runs == -1
    assert 0 < redis.ttl(f"rq:job:{job_id}") <= 60


# A lost Redis.


@pytest.mark.parametrize("state", ["waiting_for_agent", "reading"])
def test_a_source_that_was_not_read_to_its_end_is_read_again(
    world, ledger, arrive, new_link, state
) -> None:
    refresh_id = arrive(state, scope="rows", row_ids=["r_1", "r_2"])
    book(world, ledger)
    before = ledger.progress("acct_a", refresh_id)

    lose(world, ledger)

    assert world.progress(refresh_id) == before
    assert world.ask(scope="rows", row_ids=["r_2", "r_1"]).refresh_id == refresh_id
    with pytest.raises(RefreshRunning):
        world.ask()
    lease, *links = world.lease_to_read()
    assert (lease.kind, lease.refresh.refresh_id) == ("refresh", refresh_id)
    assert lease.refresh.row_ids == ["r_1", "r_2"]
    assert world.rq(lease.job_id).args[0]["scope"] == "rows"
    submitted = [new_link(row, refresh_id=refresh_id) for row in ("r_1", "r_2")]
    again = [job.disposition for job in world.admit(*submitted).jobs]
    assert again == (["replayed"] * 2 if state == "reading" else ["created"] * 2)
    world.read(lease, rows=2)
    if not links:
        links = world.lease()
    for link in links:
        world.report(link)
        word = WritebackReport(job_id=link.job_id, writeback=Writeback.WRITTEN)
        world.broker.note_writebacks(world.caller(device="dev_1"), [word])
    done = world.progress(refresh_id)
    assert (done.state, done.submitted, done.finished) == ("done", 2, 2)
    assert int(world.redis.get("linkrow:depth:acct_a")) == 0


def test_a_refresh_whose_rows_were_submitted_goes_on_to_its_end(world, ledger, arrive) -> None:
    refresh_id = arrive("running")
    world.report(world.lease(max=1)[0])
    book(world, ledger)

    lose(world, ledger)

    progress = world.progress(refresh_id)
    assert (progress.state, progress.submitted, progress.finished) == ("running", 2, 1)
    assert progress.not_submitted == {"fresh_enough": 1}
    assert world.ask().disposition == "coalesced"
    finish(world)
    assert world.progress(refresh_id).state == "done"
    assert world.ask().disposition == "created"


def test_an_end_that_was_lost_with_redis_is_found_by_the_sweep(
    world, ledger, arrive, redis
) -> None:
    refresh_id = arrive("running")
    finish(world)
    for entry_id, fields in redis.xrange("linkrow:outcomes"):
        if fields.get(b"state") == b"done":
            redis.xdel("linkrow:outcomes", entry_id)
    book(world, ledger)

    lose(world, ledger)
    redis.zadd("linkrow:refreshes", {f"acct_a:{refresh_id}": 1}, xx=True)
    world.broker.sweep()
    book(world, ledger)

    assert world.progress(refresh_id).state == "done"
    assert ledger.progress("acct_a", refresh_id).state == "done"


def test_jobs_of_a_canceled_refresh_that_come_back_are_canceled(
    world, ledger, arrive, monkeypatch, submit
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.broker, "_cancel_rows", lambda member, steps: 0)  # the relay is killed
        refresh_id = arrive("canceled")
    book(world, ledger)

    lose(world, ledger)
    assert world.queue().count == 2
    world.broker.sweep()

    assert world.progress(refresh_id).by_conclusion == {"canceled": 2}
    assert world.lease() == []
    with pytest.raises(RefreshIsOver):
        submit(refresh_id, "r_3")


@pytest.mark.parametrize("state", ENDS)
def test_a_refresh_that_was_over_stays_over(world, ledger, arrive, state) -> None:
    refresh_id = arrive(state)
    finish(world)
    book(world, ledger)
    before = ledger.progress("acct_a", refresh_id)

    lose(world, ledger)
    world.broker.sweep()

    assert world.progress(refresh_id) == before
    assert world.lease_to_read() == []
    assert world.redis.hlen("linkrow:cancelings") == 0
    assert world.ask().disposition == "created"


def test_what_was_said_of_sources_is_there_again(world, ledger) -> None:
    world.lease("src_a", "src_b", "src_c")
    ask = SourceRequest(source_id="src_a", kind="sheet", name="Spring", max_age_seconds=60)
    world.broker.make_source(world.caller(), ask)
    world.broker.change_source(world.caller(), "src_a", SourcePatch(paused=True))
    world.broker.delete_source(world.caller(), "src_b")
    before = [shown(world, name) for name in ("src_a", "src_c")]
    book(world, ledger)

    lose(world, ledger)

    assert [shown(world, name) for name in ("src_a", "src_c")] == before
    assert shown(world, "src_b") is None
    with pytest.raises(SourcePaused):
        world.ask("src_a")
    with pytest.raises(UnknownSource):
        world.ask("src_b")
    with pytest.raises(UnknownSource):
        world.ask("src_c", account="acct_b")


def test_a_refresh_signed_ahead_of_time_is_not_taken_twice_through_a_loss(
    world, ledger, redis
) -> None:
    world.lease("src_a")
    caller = world.caller(timestamp=redis.time()[0] + 200)
    ahead = {"nonce": caller.nonce, "timestamp": caller.timestamp}
    world.ask(**ahead)
    book(world, ledger)

    lose(world, ledger)

    with pytest.raises(NonceReplayed):
        world.ask(**ahead)


def test_a_filling_that_is_repeated_queues_a_refresh_once(world, ledger, arrive, redis) -> None:
    arrive("waiting_for_agent")
    book(world, ledger)
    records = list(ledger.asked(since=0))
    redis.flushall()
    world.broker.begin_life("one")

    filling = world.broker._refill("one")
    filling._restore_refreshes(records)
    filling._restore_refreshes(records)
    filling.refill(sources=[("src_a", "acct_a")], quotas=(), unfinished=(), owed=(), asked=records)

    assert world.queue("links.src_a.refresh").count == 1
    assert int(redis.get("linkrow:depth:acct_a")) == 1
