"""Admit, lease, renew, report, release, cancel, sweep: a job ends once, whatever happens."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from relay.queue.broker import Broker
from relay.queue.errors import (
    AlreadyFinal,
    IdempotencyKeyReused,
    NonceReplayed,
    QueueFull,
    QuotaExceeded,
    Rebuilding,
    RecorderBehind,
    RedisUnavailable,
    SignedBeforeEpoch,
    UnknownSource,
)
from relay.queue.terms import Limits
from wire.models import Capabilities, LeaseRequest, ReleaseRequest, WritebackReport
from wire.vocab import Conclusion, Disposition, JobStatus, ReportState, Tier, Writeback


def test_a_job_goes_in_is_leased_and_ends_with_its_result(world, new_link) -> None:
    admitted = world.admit(new_link(context={"order": 7}))
    job_id = admitted.jobs[0].job_id

    (lease,) = world.lease()
    running = world.job(job_id)
    accepted = world.report(lease)

    assert admitted.jobs[0].disposition is Disposition.CREATED
    assert (lease.job_id, lease.tracking_url, lease.delivery) == (
        job_id,
        "https://trk.example/a",
        1,
    )
    assert running.status is JobStatus.RUNNING
    assert accepted.state is ReportState.ACCEPTED
    ended = world.job(job_id)
    assert ended.conclusion is Conclusion.VALID
    assert ended.context == {"order": 7}
    assert ended.hops[0].ms == 12
    assert (accepted.writeback, accepted.attempts) == (Writeback.PENDING, 1)
    assert (accepted.created_at, accepted.checked_at) == (ended.created_at, ended.checked_at)
    assert accepted.checked_at is not None
    assert world.endings() == [(job_id, "valid")]


def test_the_same_report_again_is_a_duplicate_and_another_lease_is_stale(world, new_link) -> None:
    world.admit(new_link())
    (first,) = world.lease()
    world.let_leases_run_out()
    (second,) = world.lease(device="dev_2")

    late = world.report(first)
    accepted = world.report(second, device="dev_2")
    again = world.report(second, device="dev_2")
    later = world.report(first)

    assert [late.state, accepted.state, again.state, later.state] == [
        "stale",
        "accepted",
        "duplicate",
        "stale",
    ]
    assert again.model_copy(update={"state": accepted.state}) == accepted
    assert late.checked_at is None
    assert second.lease_id.startswith("2-")
    assert len(world.endings()) == 1


def test_a_passing_failure_is_tried_three_times_and_then_stands(world, new_link, outcomes) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    states = []

    for _ in range(3):
        (lease,) = world.lease()
        states.append(world.report(lease, outcomes["no answer"]).state)
        world.let_retries_fall_due()

    assert states == ["retry", "retry", "accepted"]
    assert world.job(job_id).conclusion is Conclusion.TIMEOUT
    assert world.job(job_id).attempts == 3
    assert world.lease() == []


def test_a_lasting_failure_stands_at_once(world, new_link, outcomes) -> None:
    world.admit(new_link())
    (lease,) = world.lease()

    assert world.report(lease, outcomes["bad certificate"]).state is ReportState.ACCEPTED


def test_a_job_that_kills_agents_ends_after_ten_deliveries(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id

    for _ in range(10):
        assert len(world.lease()) == 1
        world.let_leases_run_out()

    assert world.lease() == []
    assert world.job(job_id).conclusion is Conclusion.AGENT_LOST
    assert world.job(job_id).error.code == "agent_lost"
    (owed,) = world.lease()
    assert owed.kind == "writeback"
    assert owed.result.conclusion is Conclusion.AGENT_LOST


def test_the_last_of_ten_agents_that_comes_back_too_late_is_stale(world, new_link) -> None:
    world.admit(new_link())
    for _ in range(10):
        (last,) = world.lease()
        world.let_leases_run_out()
    world.broker.sweep()

    assert world.report(last).state is ReportState.STALE
    assert [ending for _, ending in world.endings()] == ["agent_lost"]


def test_giving_back_counts_and_goes_to_the_front(world, new_link) -> None:
    world.admit(new_link("r_1"), new_link("r_2"))
    (first,) = world.lease(max=1)

    released = world.broker.release(
        world.caller(device="dev_1"), ReleaseRequest(all=True, sources=["src_a"])
    )

    assert released == 1
    assert [lease.row_id for lease in world.lease()] == ["r_1", "r_2"]
    assert world.renew(first) == ["lost"]


def test_a_device_gives_back_only_what_it_holds_where_it_says(world, new_link) -> None:
    world.admit(new_link("r_1"), new_link("r_1", source_id="src_b"))
    mine, other = world.lease("src_a"), world.lease("src_b")
    theirs = world.broker.release(
        world.caller(device="dev_2"), ReleaseRequest(all=True, sources=["src_a", "src_b"])
    )
    ours = world.broker.release(
        world.caller(device="dev_1"), ReleaseRequest(all=True, sources=["src_b"])
    )

    assert (theirs, ours) == (0, 1)
    assert world.renew(*mine, *other) == ["renewed", "lost"]


def test_a_lease_is_kept_by_renewing_and_never_beyond_its_longest_time(world, new_link) -> None:
    world.admit(new_link())
    (lease,) = world.lease()
    world.redis.zadd("linkrow:leases:links.src_a", {f"{lease.job_id}:{lease.lease_id}": 1})

    renewed = world.renew(lease)
    still_mine = world.lease(device="dev_2")
    world.redis.hset(f"rq:job:{lease.job_id}", "lr_leased_at", "1")

    assert renewed == ["renewed"]
    assert still_mine == []
    assert world.renew(lease) == ["lost"]


def test_another_account_sees_and_takes_nothing(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id

    with pytest.raises(UnknownSource):
        world.lease(account="acct_b", device="dev_9")
    with pytest.raises(UnknownSource):
        world.admit(new_link(), caller=world.caller("acct_b"))
    assert world.job(job_id, "acct_b") is None
    assert world.broker.cancel("acct_b", job_id) is None


def test_an_agent_that_asks_for_a_strange_source_claims_none_of_the_others(world, new_link) -> None:
    world.admit(new_link(source_id="src_theirs"), caller=world.caller("acct_b"))

    with pytest.raises(UnknownSource):
        world.lease("src_new", "src_theirs")

    assert not world.redis.exists("linkrow:source:src_new")


def test_a_source_with_much_to_do_does_not_starve_another(world, new_link) -> None:
    world.admit(*(new_link(f"r_{n}", source_id="src_big") for n in range(300)))
    world.admit(new_link("r_1", source_id="src_small"))
    turns = iter(n / 7 % 1 for n in range(1000))
    fair = Broker(world.redis, chance=lambda: next(turns))
    ask = LeaseRequest(max=10, sources=["src_big", "src_small"])

    served = [
        lease.source_id
        for _ in range(10)
        for lease in fair.lease(world.caller(device="dev_1"), ask)
    ]

    assert "src_small" in served


def test_jobs_without_a_source_are_the_accounts(world, new_link) -> None:
    world.admit(new_link(None, source_id=None))

    assert world.lease("src_a") == []
    (lease,) = world.broker.lease(world.caller(device="dev_1"), LeaseRequest(sourceless=True))
    assert lease.source_id is None
    assert world.report(lease).writeback is Writeback.NONE


# The live-row rule.


def test_an_equal_request_for_a_row_joins_the_one_under_way(world, new_link) -> None:
    first = world.admit(new_link(), limits=Limits(rows_per_day=1)).jobs[0]

    second = world.admit(new_link(), limits=Limits(rows_per_day=1)).jobs[0]

    assert (second.job_id, second.disposition) == (first.job_id, Disposition.COALESCED)
    assert len(world.lease()) == 1


def test_twenty_may_join_and_no_more(world, new_link) -> None:
    world.admit(new_link())
    for _ in range(20):
        world.admit(new_link())

    with pytest.raises(QueueFull):
        world.admit(new_link())


@pytest.mark.parametrize(
    "difference",
    [
        pytest.param({"tracking_url": "https://trk.example/b"}, id="another link"),
        pytest.param({"expected_domain": "shop.example"}, id="another expectation"),
        pytest.param({"tier": Tier.PREMIUM}, id="another tier"),
        pytest.param({"profile": "de"}, id="another profile"),
    ],
)
def test_a_different_request_for_a_row_supersedes_even_while_it_runs(
    world, new_link, difference
) -> None:
    old = world.admit(new_link()).jobs[0].job_id
    (lease,) = world.lease()

    new = world.admit(new_link(**difference)).jobs[0]

    assert new.disposition is Disposition.SUPERSEDING
    assert world.job(old).conclusion is Conclusion.SUPERSEDED
    assert world.job(old).writeback is Writeback.NONE
    assert world.renew(lease) == ["canceled"]
    assert world.report(lease).state is ReportState.STALE
    assert world.endings() == [(old, "superseded")]


def test_a_row_whose_job_ended_gets_a_new_one(world, new_link) -> None:
    first = world.admit(new_link()).jobs[0]
    world.report(world.lease()[0])

    second = world.admit(new_link()).jobs[0]

    assert second.disposition is Disposition.CREATED
    assert second.job_id != first.job_id


def test_everyone_who_joined_is_counted_in_their_own_refresh(world, new_link) -> None:
    one, two = "rf_1795200000_aaaaaaaa", "rf_1795200001_bbbbbbbb"
    world.admit(new_link(refresh_id=one))
    world.admit(new_link(refresh_id=two))
    world.admit(new_link(refresh_id=two))
    accepted = world.report(world.lease()[0])
    pending = world.broker.progress("acct_a", two)

    world.broker.note_writebacks(
        world.caller(device="dev_1"),
        [WritebackReport(job_id=accepted.job_id, writeback=Writeback.WRITTEN)],
    )

    assert pending.by_writeback == {Writeback.PENDING: 1}
    for refresh_id in (one, two):
        progress = world.broker.progress("acct_a", refresh_id)
        assert (progress.submitted, progress.finished, progress.state) == (1, 1, "done")
        assert progress.by_conclusion == {Conclusion.VALID: 1}
        assert progress.by_writeback == {Writeback.WRITTEN: 1}


def test_a_superseded_job_leaves_the_queue(world, new_link) -> None:
    world.admit(new_link("r_1"), new_link("r_2"))

    new = world.admit(new_link("r_1", expected_domain="shop.example")).jobs[0].job_id

    assert world.queue().count == 2
    assert world.queue().get_job_ids()[1] == new


def test_in_a_long_queue_what_was_superseded_is_passed_over(world, new_link) -> None:
    world.admit(new_link("r_1"))
    world.redis.rpush("rq:queue:links.src_a", *(f"gone-{n}" for n in range(20_001)))
    new = world.admit(new_link("r_1", expected_domain="shop.example")).jobs[0].job_id

    found: list[str] = []
    for _ in range(30):
        found += [lease.job_id for lease in world.lease()]

    assert found == [new]
    assert world.queue().count == 0


def test_a_row_is_free_again_however_its_job_ended(world, new_link, outcomes) -> None:
    endings = {
        "canceled": lambda job_id: world.broker.cancel("acct_a", job_id),
        "failed": lambda job_id: world.report(world.lease()[0], outcomes["bad certificate"]),
        "expired": lambda job_id: (world.let_jobs_expire(), world.broker.sweep()),
    }
    for row, end in endings.items():
        end(world.admit(new_link(row)).jobs[0].job_id)
        again = world.admit(new_link(row)).jobs[0]
        assert again.disposition is Disposition.CREATED, row
        world.broker.cancel("acct_a", again.job_id)
    assert world.redis.get("linkrow:depth:acct_a") == b"0"


# Who does what: tiers, profiles, expiry.


def test_work_waits_for_an_agent_that_can_do_it(world, new_link) -> None:
    world.admit(new_link("r_1", tier=Tier.PREMIUM), new_link("r_2", profile="de"), new_link("r_3"))

    plain = world.lease()
    able = world.lease(
        capabilities=Capabilities(tiers=[Tier.STANDARD, Tier.PREMIUM], profiles=["de"])
    )

    assert [lease.row_id for lease in plain] == ["r_3"]
    assert sorted(lease.row_id for lease in able) == ["r_1", "r_2"]


@pytest.mark.parametrize("swept_by", ["clock", "lease"])
def test_what_nobody_took_in_time_expires_with_a_sentence(world, new_link, swept_by) -> None:
    job_id = world.admit(new_link(expires_in=60)).jobs[0].job_id
    unable = world.admit(new_link("r_2", tier=Tier.PREMIUM)).jobs[0].job_id
    world.let_jobs_expire()

    if swept_by == "clock":
        assert world.broker.sweep().expired == 2
        assert "premium" in world.job(unable).skip_reason
    else:
        assert world.lease() == []

    job = world.job(job_id)
    assert (job.status, job.conclusion) == (JobStatus.EXPIRED, Conclusion.JOB_EXPIRED)
    assert "no agent" in job.skip_reason
    assert world.queue().count == 0
    assert [lease.kind for lease in world.lease()][:1] == ["writeback"]


def test_what_is_being_worked_on_does_not_expire(world, new_link) -> None:
    world.admit(new_link())
    (lease,) = world.lease()
    world.let_jobs_expire()

    assert world.broker.sweep().expired == 0
    assert world.report(lease).state is ReportState.ACCEPTED


# Cancel.


def test_a_waiting_job_is_canceled_and_nobody_gets_it(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id

    answer = world.broker.cancel("acct_a", job_id)

    assert (answer.status, answer.check_status) == (JobStatus.CANCELED, "skipped")
    assert world.lease() == []
    assert world.queue().count == 0
    with pytest.raises(AlreadyFinal):
        world.broker.cancel("acct_a", job_id)


def test_a_running_job_is_canceled_and_its_report_is_stale(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    (lease,) = world.lease()

    world.broker.cancel("acct_a", job_id)

    assert world.renew(lease) == ["canceled"]
    assert world.report(lease).state is ReportState.STALE
    assert world.endings() == [(job_id, "canceled")]


# Rows to be written.


def test_a_row_left_unwritten_is_handed_to_another_agent_with_its_result(world, new_link) -> None:
    world.admit(new_link())
    first = world.report(world.lease()[0])
    ended = world.job(first.job_id)
    early = world.lease(device="dev_2")
    world.let_obligations_fall_due()

    (handed,) = world.lease(device="dev_2")
    noted = world.broker.note_writebacks(
        world.caller(device="dev_2"),
        [WritebackReport(job_id=first.job_id, writeback=Writeback.WRITTEN)],
    )

    assert early == []
    assert handed.kind == "writeback"
    assert handed.result == ended
    assert noted[0].writeback is Writeback.WRITTEN
    assert world.job(first.job_id).writeback is Writeback.WRITTEN
    assert world.endings() == [(first.job_id, "valid")]


def test_the_first_word_on_a_row_stays(world, new_link) -> None:
    world.admit(new_link())
    job_id = world.report(world.lease()[0]).job_id
    say = [
        WritebackReport(job_id=job_id, writeback=Writeback.CONFLICT, detail="another link now"),
        WritebackReport(job_id=job_id, writeback=Writeback.WRITTEN),
    ]

    noted = world.broker.note_writebacks(world.caller(device="dev_1"), say)

    assert [each.writeback for each in noted] == [Writeback.CONFLICT, Writeback.CONFLICT]
    assert world.job(job_id).writeback_detail == "another link now"
    assert [e["writeback"] for e in world.events() if e["type"] == "writeback"] == ["conflict"]


def test_a_busy_agent_keeps_its_rows_by_renewing(world, new_link) -> None:
    world.admit(new_link())
    job_id = world.report(world.lease()[0]).job_id
    world.let_obligations_fall_due()

    world.renew(owed=[job_id])

    assert world.lease(device="dev_2") == []


def test_a_row_that_nobody_serves_for_a_week_is_given_up(world, new_link) -> None:
    world.admit(new_link())
    job_id = world.report(world.lease()[0]).job_id
    world.redis.zadd("linkrow:unserved", {job_id: 1})

    swept = world.broker.sweep()

    assert swept.unserved == 1
    assert world.job(job_id).writeback is Writeback.FAILED
    assert world.lease() == []


# The gate in the script.


def test_one_request_is_let_in_once_and_its_nonce_is_kept_long_enough(world, new_link) -> None:
    caller = world.caller()
    world.admit(new_link(), caller=caller)

    with pytest.raises(NonceReplayed):
        world.admit(new_link(), caller=caller)
    with pytest.raises(NonceReplayed):
        world.broker.spend_nonce(caller)
    kept = world.redis.ttl(f"linkrow:nonce:{caller.key_id}:{caller.nonce}")
    assert 355 <= kept <= 360


def test_a_refused_request_has_spent_its_nonce(world, new_link) -> None:
    caller = world.caller()
    with pytest.raises(QuotaExceeded) as refusal:
        world.admit(new_link(), caller=caller, limits=Limits(rows_per_day=0))

    with pytest.raises(NonceReplayed):
        world.admit(new_link(), caller=caller)
    assert 0 < refusal.value.retry_after <= 86400


def test_a_fresh_store_refuses_what_was_signed_before_it(world) -> None:
    with pytest.raises(SignedBeforeEpoch):
        world.broker.spend_nonce(world.caller(timestamp=world.now - 11))
    world.broker.spend_nonce(world.caller(timestamp=world.now - 10))


def test_a_lost_store_takes_nothing_and_spends_no_nonce(world, new_link) -> None:
    world.redis.delete("linkrow:epoch")
    caller = world.caller()
    with pytest.raises(Rebuilding):
        world.admit(new_link(), caller=caller)

    world.redis.set("linkrow:epoch", 1)

    assert world.admit(new_link(), caller=caller).jobs


def test_a_recorder_that_is_behind_stops_intake_and_spends_no_nonce(world, new_link) -> None:
    for n in range(world.broker.settings.backlog_limit // 100_000 + 1):
        world.redis.xadd("linkrow:outcomes", {"n": n})
    strict = type(world.broker)(world.redis, settings=type(world.broker.settings)(backlog_limit=1))
    caller = world.caller()

    with pytest.raises(RecorderBehind):
        strict.admit(caller, [new_link()], route="r", idempotency_key="k", limits=Limits())
    assert world.admit(new_link(), caller=caller).jobs


def test_the_same_key_and_body_get_the_first_answer(world, new_link) -> None:
    first = world.admit(new_link("r_1"), new_link("r_2"), key="order-42")
    world.report(world.lease(max=1)[0])

    again = world.admit(new_link("r_1"), new_link("r_2"), key="order-42")

    assert again.replayed
    assert again.jobs == first.jobs
    assert len(world.lease()) == 1


def test_the_same_key_with_another_body_is_refused(world, new_link) -> None:
    world.admit(new_link(), key="order-42")

    with pytest.raises(IdempotencyKeyReused):
        world.admit(new_link(), key="order-42", caller=world.caller(body_sha256="11"))


def test_a_request_is_taken_whole_or_not_at_all(world, new_link) -> None:
    world.admit(new_link(source_id="src_b"), caller=world.caller("acct_b"))

    with pytest.raises(UnknownSource):
        world.admit(new_link("r_1"), new_link("r_2", source_id="src_b"))
    with pytest.raises(QuotaExceeded):
        world.admit(new_link("r_1"), new_link("r_2"), limits=Limits(rows_per_day=1))
    with pytest.raises(QueueFull):
        world.admit(new_link("r_1"), new_link("r_2"), limits=Limits(max_depth=1))

    assert world.lease() == []


def test_depth_falls_when_jobs_end(world, new_link) -> None:
    one = Limits(max_depth=1)
    world.admit(new_link("r_1"), limits=one)
    with pytest.raises(QueueFull):
        world.admit(new_link("r_2"), limits=one)
    world.report(world.lease()[0])

    assert world.admit(new_link("r_2"), limits=one).jobs


def test_a_resumed_refresh_names_the_same_jobs(world, new_link) -> None:
    refresh = "rf_1795200000_aaaaaaaa"
    first = world.admit(new_link("r_1", refresh_id=refresh), key="batch-1")
    world.report(world.lease()[0])

    world.redis.delete(f"rq:job:{first.jobs[0].job_id}")  # the books have it, Redis let it go
    again = world.admit(new_link("r_1", refresh_id=refresh), key="batch-2")

    assert again.jobs[0].job_id == first.jobs[0].job_id
    assert again.jobs[0].disposition is Disposition.REPLAYED
    assert again.jobs[0].status is JobStatus.DONE
    assert world.lease() == []


def race(count: int, act) -> list[object]:
    start = threading.Barrier(count)

    def one(n: int) -> object:
        start.wait()
        try:
            return act(n)
        except Exception as error:  # noqa: BLE001
            return type(error)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_of_fifty_equal_requests_at_once_exactly_one_is_let_in(world, new_link) -> None:
    caller = world.caller()

    answers = race(50, lambda n: world.admit(new_link(), caller=caller, key="k"))

    assert answers.count(NonceReplayed) == 49
    assert len(world.lease()) == 1


def test_fifty_requests_at_once_with_one_key_make_one_job(world, new_link) -> None:
    answers = race(50, lambda n: world.admit(new_link(), key="order-42"))

    assert len({answer.jobs[0].job_id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert len(world.lease()) == 1


def test_a_quota_is_never_overshot(world, new_link) -> None:
    race(50, lambda n: world.admit(new_link(f"r_{n}"), limits=Limits(rows_per_day=20)))

    assert len(world.lease()) == 20


def test_two_devices_never_get_the_same_job(world, new_link) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(200)))

    taken = race(20, lambda n: world.lease(device=f"dev_{n}", max=20))

    ids = [lease.job_id for leases in taken for lease in leases]
    assert len(ids) == len(set(ids)) == 200


# Redis itself.


def test_a_full_redis_takes_no_jobs_but_still_takes_results(world, new_link) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(20)))
    leases = world.lease()
    caller = world.caller()
    world.redis.config_set("maxmemory", 1)  # full, whatever dead clients' buffers give back
    try:
        with pytest.raises(RedisUnavailable):
            world.admit(new_link("r_x"), caller=caller)
        states = {world.report(lease).state for lease in leases}
    finally:
        world.redis.config_set("maxmemory", 0)

    assert states == {ReportState.ACCEPTED}
    assert world.admit(new_link("r_x"), caller=caller).jobs


def test_scripts_survive_a_script_flush(world, new_link) -> None:
    world.admit(new_link("r_1"))
    world.redis.script_flush()

    assert world.admit(new_link("r_2")).jobs
    assert len(world.lease()) == 2


def test_a_waiting_agent_is_woken_by_work(world, new_link) -> None:
    ask = LeaseRequest(sources=["src_a"], wait_seconds=20)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.broker.lease_waiting, world.caller(device="dev_1"), ask)
        while not world.redis.client_list(_type="normal") or not any(
            client["cmd"] == "blpop" for client in world.redis.client_list()
        ):
            assert not waiting.done()
        world.admit(new_link())

        assert len(waiting.result(10)) == 1


def test_a_waiting_caller_is_told_of_the_end(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    (lease,) = world.lease()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.broker.wait_final, "acct_a", job_id, 20)
        while not world.redis.pubsub_numsub(f"linkrow:final:{job_id}")[0][1]:
            assert not waiting.done()
        world.report(lease)

        assert waiting.result(10).status is JobStatus.DONE
