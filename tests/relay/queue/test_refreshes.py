"""A refresh from its request to its end: one per source, read by agents that can, never stuck."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from relay.queue.errors import (
    AlreadyFinal,
    IdempotencyKeyReused,
    NonceReplayed,
    RefreshIsOver,
    RefreshRunning,
    SourcePaused,
    UnknownSource,
)
from relay.queue.terms import QueueSettings
from wire.models import Capabilities, ErrorDetail, LeaseRequest, ReleaseRequest, WritebackReport
from wire.source_models import RefreshRequest, SourcePatch, SourceRequest
from wire.vocab import JobKind, RefreshScope, Writeback

REFRESH_QUEUE = "links.src_a.refresh"


@pytest.fixture(autouse=True)
def source(world) -> str:
    """A source that an agent has announced."""
    world.lease("src_a")
    return "src_a"


@pytest.fixture
def submit(world, new_link) -> Any:
    """Submit rows for a refresh."""

    def submit(refresh_id: str, *rows: str, **more: Any) -> list[str]:
        links = [new_link(row, refresh_id=refresh_id, **more) for row in rows]
        return [job.job_id for job in world.admit(*links).jobs]

    return submit


def write(world: Any, job_id: str, word: Writeback = Writeback.WRITTEN) -> None:
    report = WritebackReport(job_id=job_id, writeback=word)
    world.broker.note_writebacks(world.caller(device="dev_1"), [report])


def told(world: Any, refresh_id: str) -> list[str]:
    """The states that the books are told, in order."""
    return [
        event.get("state", event["type"])
        for event in world.events()
        if event.get("refresh_id") == refresh_id
    ]


# Its life.


def test_a_refresh_waits_is_read_runs_and_is_done_when_every_row_is_written(world, submit) -> None:
    asked = world.ask(scope="stale", max_age_seconds=60)
    seen = [world.progress(asked.refresh_id).state]
    (lease,) = world.lease_to_read()
    seen.append(world.progress(asked.refresh_id).state)
    assert world.read(lease, "reading", rows=2, not_submitted={"fresh_enough": 1}) == "accepted"
    job_id, _ = submit(asked.refresh_id, "r_1", "r_2")
    assert world.read(lease, rows=3, not_submitted={"fresh_enough": 1}) == "accepted"
    seen.append(world.progress(asked.refresh_id).state)
    first, second = world.lease()
    world.report(first)
    world.report(second)
    write(world, first.job_id)
    seen.append(world.progress(asked.refresh_id).state)
    write(world, second.job_id, Writeback.CONFLICT)

    progress = world.progress(asked.refresh_id)
    assert (asked.disposition, seen) == (
        "created",
        ["waiting_for_agent", "reading", "running", "running"],
    )
    assert (lease.kind, lease.source_id, lease.tracking_url) == (JobKind.REFRESH, "src_a", "")
    assert lease.refresh.model_dump() == {
        "refresh_id": asked.refresh_id,
        "scope": RefreshScope.STALE,
        "max_age_seconds": 60,
        "row_ids": [],
    }
    assert (progress.state, progress.source_id, progress.scope) == ("done", "src_a", "stale")
    assert (progress.rows, progress.submitted, progress.finished) == (3, 2, 2)
    assert progress.by_conclusion == {"valid": 2}
    assert progress.by_writeback == {"written": 1, "conflict": 1}
    assert progress.not_submitted == {"fresh_enough": 1}
    assert progress.created_at <= progress.ended_at
    assert progress.error is None
    assert told(world, asked.refresh_id) == ["asked", "running", "done"]
    assert job_id in {first.job_id, second.job_id}


def test_a_refresh_without_a_row_to_check_is_done_when_the_source_is_read(world) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()

    world.read(lease, rows=0)

    assert world.progress(asked.refresh_id).state == "done"
    assert told(world, asked.refresh_id) == ["asked", "running", "done"]


def test_results_that_come_before_the_source_is_read_do_not_end_it(world, submit) -> None:
    asked = world.ask()
    (reading,) = world.lease_to_read()
    submit(asked.refresh_id, "r_1")
    (lease,) = world.lease()
    world.report(lease)
    write(world, lease.job_id)

    assert world.progress(asked.refresh_id).state == "reading"
    world.read(reading)
    assert world.progress(asked.refresh_id).state == "done"


def test_a_source_that_cannot_be_read_fails_its_refresh_with_the_agents_words(world) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()

    error = ErrorDetail(code="sheet_not_shared", detail="share it with robot@example")
    world.read(lease, "failed", error=error)

    progress = world.progress(asked.refresh_id)
    assert (progress.state, progress.error) == ("failed", error)
    assert world.ask().disposition == "created"


def test_what_an_agent_waits_for_while_it_reads_is_shown_until_it_goes_on(world) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()
    waits = ErrorDetail(code="quota_exceeded", detail="60 calls a minute")

    world.read(lease, "reading", error=waits)
    shown = world.progress(asked.refresh_id)
    world.read(lease, "reading")

    assert (shown.state, shown.error) == ("reading", waits)
    assert world.progress(asked.refresh_id).error is None


def test_a_run_that_no_relay_was_asked_for_is_counted_as_before(world, submit) -> None:
    submit("rf_1795200000_aaaaaaaa", "r_1")
    running = world.progress("rf_1795200000_aaaaaaaa")
    world.report(world.lease()[0])

    done = world.progress("rf_1795200000_aaaaaaaa")
    assert (running.state, done.state) == ("running", "done")
    assert (done.source_id, done.scope, done.created_at, done.ended_at) == (None,) * 4


# Who reads it.


def test_only_an_agent_that_can_read_sources_is_handed_a_refresh_and_before_its_links(
    world, new_link
) -> None:
    world.admit(new_link("r_1"))
    world.ask()

    assert [lease.kind for lease in world.lease()] == ["link"]
    world.broker.release(world.caller(device="dev_1"), ReleaseRequest(all=True, sources=["src_a"]))
    assert [lease.kind for lease in world.lease_to_read(max=2)] == ["refresh", "link"]


def test_a_refresh_is_read_by_nobody_who_does_not_serve_its_source(world) -> None:
    world.ask()

    assert world.lease_to_read("src_b") == []
    with pytest.raises(UnknownSource):
        world.lease_to_read("src_a", account="acct_b")


def test_reading_may_take_as_long_as_it_takes(world, redis) -> None:
    world.ask()
    (lease,) = world.lease_to_read()
    redis.hset(f"rq:job:{lease.job_id}", "lr_leased_at", world.now - 100_000)

    assert world.renew(lease) == ["renewed"]


def test_a_refresh_whose_agent_died_waits_again_and_the_dead_ones_word_is_stale(world) -> None:
    asked = world.ask()
    (lost,) = world.lease_to_read()
    world.let_leases_run_out(REFRESH_QUEUE)

    world.broker.sweep()
    state = world.progress(asked.refresh_id).state
    (again,) = world.lease_to_read(device="dev_2")

    assert state == "waiting_for_agent"
    assert (again.job_id, again.delivery) == (lost.job_id, 2)
    assert world.renew(lost) == ["lost"]
    assert world.read(lost) == "stale"
    assert world.progress(asked.refresh_id).state == "reading"
    assert world.read(again, device="dev_2") == "accepted"
    assert world.read(again, device="dev_2") == "duplicate"


def test_a_dead_lease_is_handed_on_even_where_no_clock_runs(world) -> None:
    world.ask()
    world.lease_to_read()
    world.let_leases_run_out(REFRESH_QUEUE)

    assert len(world.lease_to_read(device="dev_2")) == 1


def test_a_refresh_that_is_given_back_waits_again(world) -> None:
    asked = world.ask()
    world.lease_to_read()

    everything = ReleaseRequest(all=True, sources=["src_a"])
    assert world.broker.release(world.caller(device="dev_1"), everything) == 1

    assert world.progress(asked.refresh_id).state == "waiting_for_agent"
    assert len(world.lease_to_read()) == 1


def test_a_refresh_that_ten_agents_lost_is_failed_and_its_source_is_free(world) -> None:
    asked = world.ask()
    for _ in range(10):
        world.lease_to_read()
        world.let_leases_run_out(REFRESH_QUEUE)
        world.broker.sweep()

    progress = world.progress(asked.refresh_id)
    assert (progress.state, progress.error.code) == ("failed", "agent_lost")
    assert "none finished" in progress.error.detail
    assert world.ask().disposition == "created"


def test_a_refresh_that_nobody_takes_in_time_fails_with_the_name_of_who_was_waited_for(
    world, monkeypatch
) -> None:
    monkeypatch.setattr(world.broker, "_announced", {})  # a minute later
    world.lease("src_a", device="dev_new")
    asked = world.ask(expires_in=60)
    world.let_jobs_expire()

    world.broker.sweep()

    progress = world.progress(asked.refresh_id)
    assert (progress.state, progress.error.code) == ("failed", "job_expired")
    assert "src_a" in progress.error.detail
    assert "dev_new announced it last" in progress.error.detail
    assert world.lease_to_read() == []
    assert world.ask().disposition == "created"


def test_an_agent_that_comes_too_late_is_handed_nothing(world) -> None:
    asked = world.ask(expires_in=60)
    world.let_jobs_expire()

    assert world.lease_to_read() == []
    assert world.progress(asked.refresh_id).error.code == "job_expired"


def test_a_refresh_that_is_read_does_not_expire(world) -> None:
    asked = world.ask(expires_in=60)
    world.lease_to_read()
    world.let_jobs_expire()

    world.broker.sweep()

    assert world.progress(asked.refresh_id).state == "reading"


# One per source.


@pytest.mark.parametrize(
    ("running", "asked", "joins"),
    [
        ({}, {}, True),
        ({}, {"scope": "failed"}, True),
        ({}, {"scope": "rows", "row_ids": ["r_1"]}, True),
        ({"scope": "failed"}, {"scope": "failed"}, True),
        ({"scope": "failed"}, {}, False),
        ({"scope": "stale", "max_age_seconds": 60}, {"scope": "stale"}, False),
        ({"scope": "stale"}, {"scope": "stale", "max_age_seconds": 86400}, True),
        (
            {"scope": "rows", "row_ids": ["r_1", "r_2"]},
            {"scope": "rows", "row_ids": ["r_2", "r_1"]},
            True,
        ),
        ({"scope": "rows", "row_ids": ["r_1"]}, {"scope": "rows", "row_ids": ["r_2"]}, False),
    ],
)
@pytest.mark.parametrize("state", ["waiting_for_agent", "reading", "running"])
def test_a_second_refresh_joins_the_one_that_covers_it_and_is_refused_by_another(
    world, submit, running, asked, joins, state
) -> None:
    first = world.ask(**running)
    if state != "waiting_for_agent":
        (lease,) = world.lease_to_read()
        submit(first.refresh_id, "r_1")
        if state == "running":
            world.read(lease)
    assert world.progress(first.refresh_id).state == state

    if joins:
        second = world.ask(**asked)
        assert (second.refresh_id, second.disposition) == (first.refresh_id, "coalesced")
    else:
        with pytest.raises(RefreshRunning) as refused:
            world.ask(**asked)
        assert refused.value.refresh_id == first.refresh_id
    assert world.queue(REFRESH_QUEUE).count == (state == "waiting_for_agent")


def test_of_twenty_who_ask_at_once_one_makes_a_refresh_and_all_others_join_it(world) -> None:
    callers = [world.caller() for _ in range(20)]

    def ask(caller: Any) -> Any:
        return world.broker.ask(caller, "src_a", RefreshRequest(), idempotency_key=caller.nonce)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, callers))

    assert len({answer.refresh_id for answer in answers}) == 1
    assert sorted(answer.disposition for answer in answers) == ["coalesced"] * 19 + ["created"]
    assert world.queue(REFRESH_QUEUE).count == 1
    assert len(told(world, answers[0].refresh_id)) == 1


def test_the_same_request_twice_is_the_first_answer_even_after_its_refresh_is_over(world) -> None:
    first = world.ask(key="monday")
    world.read(world.lease_to_read()[0])

    again = world.ask(key="monday")

    assert (again.refresh_id, again.disposition) == (first.refresh_id, "replayed")
    with pytest.raises(IdempotencyKeyReused):
        world.ask(key="monday", body_sha256="11")
    with pytest.raises(IdempotencyKeyReused):
        world.ask("src_b", key="monday")
    assert world.ask(key="tuesday").disposition == "created"


def test_a_request_that_was_refused_leaves_its_key_free_and_its_nonce_spent(world) -> None:
    running = world.ask(scope="failed")
    caller = world.caller()
    with pytest.raises(RefreshRunning):
        world.ask(key="monday", nonce=caller.nonce)
    with pytest.raises(NonceReplayed):
        world.ask(key="monday", nonce=caller.nonce)

    world.broker.cancel_refresh("acct_a", "src_a", running.refresh_id)
    assert world.ask(key="monday").disposition == "created"


def test_a_source_nobody_knows_another_accounts_and_a_paused_one_are_not_refreshed(world) -> None:
    with pytest.raises(UnknownSource):
        world.ask("src_nobody")
    with pytest.raises(UnknownSource):
        world.ask("src_a", account="acct_b")
    world.broker.change_source(world.caller(), "src_a", SourcePatch(paused=True))
    with pytest.raises(SourcePaused):
        world.ask()

    world.broker.change_source(world.caller(), "src_a", SourcePatch(paused=False))
    assert world.ask().disposition == "created"


def test_stale_without_an_age_is_the_sources_own(world) -> None:
    world.broker.change_source(world.caller(), "src_a", SourcePatch(max_age_seconds=7200))
    world.ask(scope="stale")

    assert world.lease_to_read()[0].refresh.max_age_seconds == 7200


# Taken back.


def test_a_refresh_that_is_canceled_ends_with_its_jobs_and_its_agent_is_told(world, submit) -> None:
    asked = world.ask()
    (reading,) = world.lease_to_read()
    running, waiting = submit(asked.refresh_id, "r_1", "r_2")
    (lease,) = world.lease(max=1)

    assert world.broker.cancel_refresh("acct_a", "src_a", asked.refresh_id)

    assert world.progress(asked.refresh_id).state == "canceled"
    assert world.renew(reading, lease) == ["canceled", "canceled"]
    assert world.read(reading) == "canceled"
    assert [world.job(each).status for each in (running, waiting)] == ["canceled", "canceled"]
    assert world.lease() == []
    assert world.ask().disposition == "created"
    with pytest.raises(AlreadyFinal):
        world.broker.cancel_refresh("acct_a", "src_a", asked.refresh_id)


def test_a_batch_of_a_refresh_that_is_over_is_refused_whole_and_an_earlier_ones_retry_is_not(
    world, new_link
) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()
    batch = new_link("r_1", refresh_id=asked.refresh_id)
    first = world.admit(batch, key="batch-1")
    world.broker.cancel_refresh("acct_a", "src_a", asked.refresh_id)

    with pytest.raises(RefreshIsOver) as refused:
        world.admit(new_link("r_x"), new_link("r_2", refresh_id=asked.refresh_id))

    assert (refused.value.state, refused.value.refresh_id) == ("canceled", asked.refresh_id)
    assert world.lease() == []
    assert world.admit(batch, key="batch-1").jobs[0].job_id == first.jobs[0].job_id
    assert world.renew(lease) == ["canceled"]


def test_a_job_that_somebody_else_asked_for_too_goes_on(world, submit, new_link) -> None:
    asked = world.ask()
    world.lease_to_read()
    mine, shared = submit(asked.refresh_id, "r_1", "r_2")
    world.admit(new_link("r_2"))
    theirs = world.admit(new_link("r_3")).jobs[0].job_id
    submit(asked.refresh_id, "r_3")

    world.broker.cancel_refresh("acct_a", "src_a", asked.refresh_id)

    assert world.job(mine).status == "canceled"
    assert {lease.job_id for lease in world.lease()} == {shared, theirs}


def test_the_clock_cancels_what_a_killed_relay_left_of_a_canceled_refresh(
    world, submit, monkeypatch
) -> None:
    asked = world.ask()
    world.lease_to_read()
    jobs = submit(asked.refresh_id, *(f"r_{n}" for n in range(900)))
    monkeypatch.setattr(world.broker, "_cancel_rows", lambda member, steps: 0)
    world.broker.cancel_refresh("acct_a", "src_a", asked.refresh_id)
    monkeypatch.undo()
    assert {world.job(job_id).status for job_id in jobs} == {"queued"}

    world.broker.sweep()

    assert {world.job(job_id).status for job_id in jobs} == {"canceled"}
    assert world.redis.hlen("linkrow:cancelings") == 0
    assert world.progress(asked.refresh_id).by_conclusion == {"canceled": 900}


def test_a_sweep_cancels_no_more_than_it_may_and_the_next_ones_go_on(
    world, submit, monkeypatch
) -> None:
    monkeypatch.setattr("relay.queue.refreshing._ROWS_AT_ONCE", 50)
    monkeypatch.setattr("relay.queue.refreshing._STEPS_AT_ONCE", 4)
    jobs = []
    for source in ("src_a", "src_b"):
        world.lease(source)
        asked = world.ask(source)
        world.lease_to_read(source)
        rows = [f"r_{n}" for n in range(600)]
        jobs += submit(asked.refresh_id, *rows, source_id=source)
        world.broker.cancel_refresh("acct_a", source, asked.refresh_id)

    def left() -> int:
        waiting = (f"links.{source}" for source in ("src_a", "src_b"))
        return sum(world.queue(name).count for name in waiting)

    seen = [left()]
    while seen[-1] and len(seen) < 50:
        world.broker.sweep()
        seen.append(left())

    assert seen[-1] == 0
    assert all(0 < before - after < 500 for before, after in pairwise(seen))
    assert {world.job(job_id).status for job_id in jobs} == {"canceled"}
    assert world.redis.hlen("linkrow:cancelings") == 0


def test_another_source_or_account_cannot_cancel_it(world) -> None:
    asked = world.ask()

    assert not world.broker.cancel_refresh("acct_a", "src_b", asked.refresh_id)
    assert not world.broker.cancel_refresh("acct_b", "src_a", asked.refresh_id)
    assert world.progress(asked.refresh_id).state == "waiting_for_agent"


def test_a_source_that_is_deleted_takes_its_refresh_with_it_and_is_not_there_any_more(
    world, submit
) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()
    (job_id,) = submit(asked.refresh_id, "r_1")

    world.broker.delete_source(world.caller(), "src_a")
    world.broker.sweep()

    assert world.progress(asked.refresh_id).state == "canceled"
    assert world.job(job_id).status == "canceled"
    assert world.renew(lease) == ["canceled"]
    with pytest.raises(UnknownSource):
        world.ask()
    with pytest.raises(UnknownSource):
        world.broker.change_source(world.caller(), "src_a", SourcePatch(name="x"))


@pytest.mark.parametrize("again", ["announced", "made"])
def test_a_deleted_source_comes_back_when_it_is_announced_or_made_again(world, again) -> None:
    world.broker.delete_source(world.caller(), "src_a")

    if again == "announced":
        world.lease("src_a")
    else:
        world.broker.make_source(world.caller(), SourceRequest(source_id="src_a"))

    assert world.ask().disposition == "created"


def test_another_account_brings_no_deleted_source_back(world) -> None:
    world.broker.delete_source(world.caller(), "src_a")

    world.broker.announce("acct_b", ["src_a"])
    with pytest.raises(UnknownSource):
        world.lease("src_a", account="acct_b")

    assert world.broker.sources_now("acct_a", [], one="src_a") == {}
    assert world.broker.sources_now("acct_b", [], one="src_a") == {}


# Never stuck.


@pytest.mark.parametrize("state", ["waiting_for_agent", "reading"])
@pytest.mark.parametrize("mended_by", ["asking", "the sweep"])
def test_a_refresh_whose_job_somebody_deleted_blocks_its_source_no_longer(
    world, redis, state, mended_by
) -> None:
    asked = world.ask(scope="failed")
    if state == "reading":
        world.lease_to_read()
    world.rq(
        world.queue(REFRESH_QUEUE).get_job_ids()[0]
        if state != "reading"
        else next(
            member.decode().partition(":")[0]
            for member in redis.zrange(f"linkrow:leases:{REFRESH_QUEUE}", 0, -1)
        )
    ).delete()

    if mended_by == "the sweep":
        redis.zadd("linkrow:refreshes", {f"acct_a:{asked.refresh_id}": 1}, xx=True)
        world.broker.sweep()
    else:
        assert world.ask().disposition == "created"

    assert world.progress(asked.refresh_id).state == "canceled"
    assert world.ask().disposition == ("created" if mended_by == "the sweep" else "coalesced")


def test_a_refresh_whose_jobs_somebody_deleted_ends_when_they_would_have_expired(
    world, submit, redis
) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()
    submit(asked.refresh_id, "r_1", "r_2")
    world.read(lease)
    world.report(world.lease(max=1)[0])
    key = f"linkrow:refresh:acct_a:{asked.refresh_id}"
    world.queue().empty()

    redis.zadd("linkrow:refreshes", {f"acct_a:{asked.refresh_id}": 1}, xx=True)
    world.broker.sweep()
    before = world.progress(asked.refresh_id).state
    redis.expire(key, redis.ttl(key) - 26 * 3600)
    redis.zadd("linkrow:refreshes", {f"acct_a:{asked.refresh_id}": 1}, xx=True)
    world.broker.sweep()

    progress = world.progress(asked.refresh_id)
    assert (before, progress.state, progress.error.code) == ("running", "failed", "jobs_missing")
    assert progress.error.detail.startswith("1 of its jobs")


def test_a_refresh_whose_jobs_expire_after_a_long_pause_of_the_clock_has_not_lost_them(
    world, submit, redis
) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()
    submit(asked.refresh_id, "r_1", "r_2")
    world.read(lease)
    key = f"linkrow:refresh:acct_a:{asked.refresh_id}"
    redis.expire(key, redis.ttl(key) - 26 * 3600)
    redis.zadd("linkrow:refreshes", {f"acct_a:{asked.refresh_id}": 1}, xx=True)
    world.let_jobs_expire()

    for _ in range(2):
        world.broker.sweep()
    for row in world.lease():
        write(world, row.job_id)

    progress = world.progress(asked.refresh_id)
    assert (progress.state, progress.by_conclusion) == ("done", {"job_expired": 2})


def test_a_refresh_whose_rows_are_not_written_yet_waits_for_them(world, submit, redis) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()
    submit(asked.refresh_id, "r_1")
    world.read(lease)
    world.report(world.lease()[0])
    key = f"linkrow:refresh:acct_a:{asked.refresh_id}"
    redis.expire(key, redis.ttl(key) - 26 * 3600)
    redis.zadd("linkrow:refreshes", {f"acct_a:{asked.refresh_id}": 1}, xx=True)

    world.broker.sweep()

    assert world.progress(asked.refresh_id).state == "running"
    world.broker.settings = QueueSettings(unserved_seconds=0)
    redis.zadd("linkrow:unserved", {redis.zrange("linkrow:unserved", 0, 0)[0]: 1})
    world.broker.sweep()
    assert world.progress(asked.refresh_id).state == "done"
    assert world.progress(asked.refresh_id).by_writeback == {"failed": 1}


def test_a_refresh_that_somebody_canceled_through_rq_is_canceled_here(world, submit) -> None:
    asked = world.ask()
    (lease,) = world.lease_to_read()
    (job_id,) = submit(asked.refresh_id, "r_1")
    world.rq(lease.job_id).cancel()

    world.broker.sweep()

    assert world.progress(asked.refresh_id).state == "canceled"
    assert world.job(job_id).status == "canceled"


def test_of_a_refresh_that_redis_forgot_nothing_comes_back_but_its_job(world, redis) -> None:
    asked = world.ask()
    redis.delete(f"linkrow:refresh:acct_a:{asked.refresh_id}")

    (lease,) = world.lease_to_read()
    assert world.read(lease, "reading", rows=1) == "accepted"
    everything = ReleaseRequest(all=True, sources=["src_a"])
    world.broker.release(world.caller(device="dev_1"), everything)
    assert world.read(world.lease_to_read()[0], rows=1) == "accepted"

    assert redis.keys("linkrow:refresh:*") == []
    assert world.broker.progress("acct_a", asked.refresh_id) is None
    assert world.ask().disposition == "created"


def test_depth_counts_a_refresh_until_its_job_has_ended(world, redis) -> None:
    world.ask()
    asked_for = int(redis.get("linkrow:depth:acct_a"))
    world.read(world.lease_to_read()[0])

    assert (asked_for, int(redis.get("linkrow:depth:acct_a"))) == (1, 0)


# Who waits for it.


@pytest.mark.parametrize("end", ["done", "canceled", "failed", "run"])
def test_who_waits_for_a_refresh_is_told_when_it_is_over(world, submit, end) -> None:
    refresh_id = "rf_1795200000_aaaaaaaa" if end == "run" else world.ask().refresh_id
    leases = world.lease_to_read()
    submit(refresh_id, "r_1")
    with world.redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(f"linkrow:over:acct_a:{refresh_id}")
        channel.get_message(timeout=60)  # the subscription itself

        if end == "canceled":
            world.broker.cancel_refresh("acct_a", "src_a", refresh_id)
        elif end == "failed":
            world.read(leases[0], "failed", error=ErrorDetail(code="x", detail=""))
        else:
            for lease in leases:
                world.read(lease)
            (row,) = world.lease()
            world.report(row)
            write(world, row.job_id)

        assert channel.get_message(timeout=60)["data"].decode() == ("done" if end == "run" else end)
    assert world.broker.wait_over("acct_a", refresh_id, 600).state in ("done", end)


def test_an_agent_that_waits_for_work_is_woken_by_a_refresh_that_was_asked_for_or_came_back(
    world, redis
) -> None:
    asleep = "linkrow:wake:src_a"
    redis.delete(asleep)

    world.ask()
    asked = redis.delete(asleep)
    world.lease_to_read()
    world.broker.release(world.caller(device="dev_1"), ReleaseRequest(all=True, sources=["src_a"]))

    assert (asked, redis.llen(asleep)) == (1, 1)


def test_who_waits_for_a_refresh_that_is_not_over_is_told_how_it_stands(world) -> None:
    asked = world.ask()

    assert world.broker.wait_over("acct_a", asked.refresh_id, 0.01).state == "waiting_for_agent"
    assert world.broker.wait_over("acct_a", "rf_1795200000_bbbbbbbb", 100) is None


# What it costs those who do without.


def calls(world: Any, act: Any) -> int:
    """How many commands Redis carries out for *act*."""
    world.redis.config_resetstat()
    act()
    stats = world.redis.info("commandstats")
    return sum(each["calls"] for name, each in stats.items() if "info" not in name)


def test_sources_without_a_refresh_cost_a_lease_one_question_each_and_no_more(world) -> None:
    ten, twenty = ([f"src_{n}" for n in range(count)] for count in (10, 20))
    world.lease(*twenty)

    of_ten, of_twenty, of_a_reader = (
        calls(world, lambda: world.lease(*ten)),
        calls(world, lambda: world.lease(*twenty)),
        calls(world, lambda: world.lease_to_read(*twenty)),
    )

    assert of_a_reader == of_twenty
    # Whose it is, what is owed to it twice (now, and when next), and whether anything waits.
    assert of_twenty - of_ten == 4 * 10


def test_sources_are_noted_as_seen_once_a_minute_however_often_they_are_announced(
    world, monkeypatch
) -> None:
    now = datetime.now(UTC)
    monkeypatch.setattr(world.broker, "_clock", lambda: now)
    for _ in range(5):
        world.lease("src_x", "src_y")
    first = [event for event in world.events() if event["type"] == "seen"]
    now += timedelta(seconds=61)
    world.lease("src_x")

    seen = [event["sources"] for event in world.events() if event["type"] == "seen"]
    assert len(first) == 2  # src_a, in every test, and these
    assert seen[1:] == ['["src_x","src_y"]', '["src_x"]']


# An agent that serves a source and cannot work on it just now.


def ask_for_refreshes_only(world: Any, *sources: str, account: str = "acct_a") -> list[Any]:
    ask = LeaseRequest(refresh_only=list(sources), capabilities=Capabilities(refresh=True))
    return world.broker.lease(world.caller(account, "dev_1"), ask)


def test_of_a_source_for_refreshes_only_no_link_and_no_row_is_handed_out(world, new_link) -> None:
    world.admit(new_link("r_1"))
    asked = world.ask()

    (lease,) = ask_for_refreshes_only(world, "src_a")

    assert (lease.kind, lease.refresh.refresh_id) == (JobKind.REFRESH, asked.refresh_id)
    assert ask_for_refreshes_only(world, "src_a") == []
    assert [each.kind for each in world.lease("src_a")] == [JobKind.LINK]
    why = {"code": "sheet_not_shared", "detail": "the sheet is not shared with Linkrow"}
    assert world.read(lease, "failed", error=why) == "accepted"
    assert world.progress(asked.refresh_id).state == "failed"


def test_a_source_for_refreshes_only_is_its_accounts_alone(world) -> None:
    world.ask()

    with pytest.raises(UnknownSource):
        ask_for_refreshes_only(world, "src_a", account="acct_b")
