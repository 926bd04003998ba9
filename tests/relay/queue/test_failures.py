"""The failure table where the queue alone decides: each fault once, and the job still ends once.

docs/queue.md lists every row with its test. The same faults between real processes and over a bad
network are in tests/faults and tests/e2e.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from rq import Queue, SimpleWorker

from relay.queue.broker import Broker
from relay.queue.errors import QueueFull, RedisUnavailable
from relay.queue.terms import Limits, QueueSettings
from wire.models import Held, Lease, LeaseRequest, Outcome, ReleaseRequest, Report, WritebackReport
from wire.vocab import Conclusion, Disposition, JobStatus, ReportState, Tier, Writeback

LANDED = Outcome(
    status="done", conclusion="valid", final_url="https://shop.example/", http_status=200
)

# Replies that are lost.


def test_a_lease_whose_answer_was_lost_comes_back_as_the_next_delivery(world, new_job) -> None:
    one = new_job()
    lost = one.runs()

    meanwhile = world.lease()
    world.let_leases_run_out()
    (again,) = world.lease()

    assert meanwhile == []
    assert (again.job_id, again.delivery) == (lost.job_id, 2)
    assert again.lease_id != lost.lease_id
    assert world.report(again).state is ReportState.ACCEPTED
    assert world.endings() == [(one.job_id, "valid")]


def test_an_agent_that_starts_anew_need_not_wait_for_a_lease_it_never_heard_of(
    world, new_job
) -> None:
    one = new_job()
    one.is_given_back()

    (again,) = world.lease()

    assert (again.job_id, again.delivery) == (one.job_id, 2)
    assert world.report(again).state is ReportState.ACCEPTED


def test_a_release_whose_answer_was_lost_gives_back_once(world, new_job) -> None:
    new_job()
    (lease,) = world.lease()
    back = ReleaseRequest(leases=[Held(job_id=lease.job_id, lease_id=lease.lease_id)])

    counts = [world.broker.release(world.caller(device="dev_1"), back) for _ in range(2)]

    assert counts == [1, 0]
    assert world.queue().get_job_ids() == [lease.job_id]


def test_a_cancel_or_supersede_that_met_a_report_on_its_way_leaves_one_ending(
    world, new_job
) -> None:
    canceled, superseded = new_job("src_a"), new_job("src_b")
    leases = [canceled.runs(), superseded.runs()]
    canceled.is_canceled()
    superseded.is_superseded()

    late = [world.report(lease).state for lease in leases]
    again = [world.report(lease).state for lease in leases]

    assert late == again == [ReportState.STALE] * 2
    assert world.endings() == [
        (canceled.job_id, "canceled"),
        (superseded.job_id, "superseded"),
    ]


@pytest.mark.parametrize("name", ["canceled in back-off", "superseded in back-off"])
def test_what_ended_in_its_back_off_is_never_tried_again(world, new_job, states, name) -> None:
    one = new_job()
    next(state for state in states if state.name == name).happens(one)
    world.let_retries_fall_due()

    world.broker.sweep()

    assert world.lease() == []
    assert [job_id for job_id, _ in world.endings()] == [one.job_id]


# Late and doubled reports.


def test_a_report_that_stands_twice_in_one_batch_is_taken_once(world, new_job) -> None:
    one = new_job()
    lease = one.runs()
    world.report(lease)
    two = new_job("src_b")
    second = two.runs()
    report = Report(
        job_id=second.job_id,
        lease_id=second.lease_id,
        outcome={
            "status": "done",
            "conclusion": "valid",
            "final_url": "https://shop.example/",
            "http_status": 200,
        },
    )

    answers = world.broker.report(world.caller(device="dev_1"), [report, report])

    accepted, again = answers
    assert (accepted.state, again.state) == ("accepted", "duplicate")
    assert again.model_copy(update={"state": accepted.state}) == accepted
    assert world.endings() == [(one.job_id, "valid"), (two.job_id, "valid")]
    assert world.redis.get("linkrow:depth:acct_a") == b"0"


def test_a_report_of_an_earlier_attempt_is_stale_while_the_next_one_waits_and_runs(
    world, new_job, outcomes
) -> None:
    one = new_job()
    first = one.runs()
    world.report(first, outcomes["no answer"])
    waiting = world.report(first).state
    world.let_retries_fall_due()
    second = one.runs("dev_2")
    running = world.report(first).state

    assert [waiting, running] == [ReportState.STALE] * 2
    assert world.report(second, device="dev_2").state is ReportState.ACCEPTED
    assert world.endings() == [(one.job_id, "valid")]


# Jobs that kill their agents.


def swept(one) -> None:
    one.runs()
    one.world.let_leases_run_out(one.queue.name)
    one.world.broker.sweep()


def found_dead_by_the_next_lease(one) -> None:
    one.runs()
    one.world.let_leases_run_out(one.queue.name)
    one.world.lease()  # finds it dead, and takes it again
    one.world.let_leases_run_out(one.queue.name)
    one.world.broker.sweep()


def given_back_by_name(one) -> None:
    lease = one.runs()
    back = ReleaseRequest(leases=[Held(job_id=lease.job_id, lease_id=lease.lease_id)])
    one.world.broker.release(one.world.caller(device="dev_1"), back)


def agent_restarted(one) -> None:
    one.is_given_back()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(swept, id="the clock's sweep"),
        pytest.param(found_dead_by_the_next_lease, id="the next agent's lease"),
        pytest.param(given_back_by_name, id="given back"),
        pytest.param(agent_restarted, id="an agent that starts again"),
    ],
)
def test_ten_deliveries_end_a_job_on_whatever_path_it_comes_back(world, new_job, path) -> None:
    one = new_job()

    for _ in range(10):
        if not world.endings():
            path(one)

    assert world.redis.hget(f"rq:job:{one.job_id}", "lr_deliveries") == b"10"
    assert world.endings() == [(one.job_id, "agent_lost")]
    assert world.job(one.job_id).status is JobStatus.FAILED
    assert world.redis.keys("linkrow:leases:*") == []
    assert world.redis.keys("linkrow:held:*") == []
    assert [lease.kind for lease in world.lease()] == ["writeback"]


def test_deliveries_add_up_over_different_paths_and_attempts(world, new_job, outcomes) -> None:
    one = new_job()
    for path in (swept, given_back_by_name, agent_restarted) * 2:
        path(one)
    world.report(one.runs(), outcomes["no answer"])
    world.let_retries_fall_due()
    swept(one)
    world.report(one.runs(), outcomes["no answer"])
    world.let_retries_fall_due()

    before = world.endings()
    swept(one)

    assert before == []
    assert world.endings() == [(one.job_id, "agent_lost")]


def test_what_a_stray_worker_fails_again_and_again_ends_when_its_time_is_over(
    world, new_job
) -> None:
    one = new_job()
    stray = SimpleWorker([one.queue], connection=world.redis, serializer="json")
    for _ in range(12):
        stray.work(burst=True, logging_level="CRITICAL")
        world.broker.sweep()
        assert one.queue.get_job_ids() == [one.job_id]
    stray.work(burst=True, logging_level="CRITICAL")

    one.expires()

    assert world.endings() == [(one.job_id, "job_expired")]
    assert one.queue.failed_job_registry.get_job_ids() == []
    assert world.rq(one.job_id).get_status() == "finished"


# Strangers.


def test_whatever_ended_is_never_handed_out_again_however_a_stranger_queues_it(
    world, new_job, end
) -> None:
    one = new_job()
    end.happens(one)
    before = world.rq(one.job_id).get_status()
    count = len(world.endings())

    one.queue.enqueue_job(world.rq(one.job_id))
    one.queue.push_job_id(one.job_id, at_front=True)

    assert [lease.job_id for lease in world.lease() if lease.kind == "link"] == []
    assert world.rq(one.job_id).get_status() == before
    assert one.queue.count == 0
    assert len(world.endings()) == count
    assert world.redis.ttl(f"rq:job:{one.job_id}") > 0


def test_rq_empty_costs_an_account_its_depth_only_until_the_jobs_time_is_over(
    world, new_link
) -> None:
    five = Limits(max_depth=5)
    world.admit(*(new_link(f"r_{n}") for n in range(5)), limits=five)
    (running,) = world.lease(max=1)
    world.queue().empty()
    world.rq(running.job_id).delete()
    with pytest.raises(QueueFull):
        world.admit(new_link("r_9"), limits=five)

    world.let_jobs_expire()
    world.broker.sweep()
    world.broker.sweep()

    assert world.redis.get("linkrow:depth:acct_a") == b"0"
    assert len(world.endings()) == len(set(world.endings())) == 5
    assert len(world.admit(*(new_link(f"r_{n}") for n in range(5)), limits=five).jobs) == 5
    assert [e["account_id"] for e in world.events() if e["type"] == "final"] == ["acct_a"] * 5


def test_a_queue_deleted_in_rq_brings_nothing_back_and_its_running_jobs_still_end(
    world, new_link
) -> None:
    world.admit(new_link("r_1"), new_link("r_2"))
    (running,) = world.lease(max=1)

    Queue("links.src_a", connection=world.redis, serializer="json").delete()

    assert world.lease(device="dev_2") == []
    assert world.report(running).state is ReportState.ACCEPTED
    world.let_jobs_expire()
    world.broker.sweep()
    assert sorted(ending for _, ending in world.endings()) == ["canceled", "valid"]
    assert world.redis.get("linkrow:depth:acct_a") == b"0"


@pytest.mark.parametrize(
    "name", ["waiting", "running", "in back-off", "given back", "landed", "failed", "expired"]
)
def test_what_is_canceled_through_rq_is_canceled_unless_it_had_ended(
    world, new_job, states, name
) -> None:
    one = new_job()
    state = next(state for state in states if state.name == name)
    state.happens(one)

    world.rq(one.job_id).cancel()
    world.broker.sweep()

    end = state.conclusion or "canceled"
    assert world.job(one.job_id).conclusion == end
    assert world.endings() == [(one.job_id, end)]
    assert [lease for lease in world.lease() if lease.kind == "link"] == []
    assert world.redis.get("linkrow:depth:acct_a") == b"0"
    shown = state.rq if state.conclusion else "canceled"
    assert world.rq(one.job_id).get_status() == shown
    for registry in ("finished", "failed", "canceled", "scheduled"):
        members = world.redis.zrange(f"rq:{registry}:{one.queue.name}", 0, -1, withscores=True)
        assert [m for m, _ in members] == ([one.job_id.encode()] if registry == shown else [])
        assert all(score <= world.now + 2 * 86400 for _, score in members)
    assert world.redis.keys("rq:wip:*") == []


def test_the_holder_of_what_is_canceled_through_rq_is_told(world, new_job) -> None:
    one = new_job()
    lease = one.runs()
    world.rq(one.job_id).cancel()
    world.broker.sweep()

    assert world.renew(lease) == ["canceled"]
    assert world.report(lease).state is ReportState.STALE
    assert "RQ" in world.job(one.job_id).skip_reason


def test_a_strangers_entry_among_the_expiries_stops_no_sweep(world, new_job) -> None:
    one = new_job()
    world.redis.zadd("linkrow:expires", {"garbage": 1, ":": 1, "a:b:c": 1, "☃": 1})

    one.expires()

    assert world.job(one.job_id).status is JobStatus.EXPIRED
    assert world.redis.zcard("linkrow:expires") == 0


# Time.


def test_what_waits_in_its_back_off_does_not_expire_under_a_coming_attempt(
    world, new_job, outcomes
) -> None:
    one = new_job()
    world.report(one.runs(), outcomes["no answer"])

    one.expires()

    assert world.endings() == []
    world.let_retries_fall_due()
    assert world.report(one.runs()).state is ReportState.ACCEPTED


def test_a_retry_reaches_an_agent_that_already_waits_without_any_clock(
    world, new_link, outcomes
) -> None:
    hasty = Broker(world.redis, settings=QueueSettings(retry_delays=(0.3, 0.3)))
    world.admit(new_link())
    (lease,) = world.lease()
    ask = LeaseRequest(sources=["src_a"], wait_seconds=25)
    report = Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=outcomes["no answer"])

    state = hasty.report(world.caller(device="dev_1"), [report])[0].state
    again = hasty.lease_waiting(world.caller(device="dev_2"), ask)

    assert state is ReportState.RETRY
    assert [(one.job_id, one.attempt) for one in again] == [(lease.job_id, 2)]


def test_a_dead_lease_reaches_an_agent_that_already_waits_without_any_clock(
    world, new_link
) -> None:
    brief = Broker(world.redis, settings=QueueSettings(lease_seconds=1))
    world.admit(new_link())
    ask = LeaseRequest(sources=["src_a"], wait_seconds=25)
    (lost,) = brief.lease(world.caller(device="dev_1"), ask)

    with ThreadPoolExecutor(1) as pool:
        (again,) = pool.submit(brief.lease_waiting, world.caller(device="dev_2"), ask).result(90)

    assert (again.job_id, again.delivery) == (lost.job_id, 2)


@pytest.mark.parametrize("year", [2001, 2099])
def test_relays_whose_clocks_are_years_apart_agree_on_every_deadline(
    world, new_job, outcomes, year
) -> None:
    odd = Broker(world.redis, clock=lambda: datetime(year, 1, 1, tzinfo=UTC))
    one = new_job()
    ask = LeaseRequest(sources=["src_a"])
    (lease,) = odd.lease(world.caller(device="dev_1"), ask)

    kept = world.broker.lease(world.caller(device="dev_2"), ask)
    swept = odd.sweep(), world.broker.sweep()
    report = Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=outcomes["no answer"])
    odd.report(world.caller(device="dev_1"), [report])
    early = world.broker.lease(world.caller(device="dev_2"), ask)

    assert kept == early == []
    assert [(each.leases, each.expired) for each in swept] == [(0, 0), (0, 0)]
    world.let_retries_fall_due()
    assert world.report(one.runs()).state is ReportState.ACCEPTED


# The row's side.


def test_a_row_superseded_while_its_result_was_being_written_keeps_both_obligations_apart(
    world, new_job
) -> None:
    one = new_job()
    one.ends()
    newer = world.admit(one.request.model_copy(update={"tier": Tier.PREMIUM})).jobs[0]

    noted = world.broker.note_writebacks(
        world.caller(device="dev_1"),
        [WritebackReport(job_id=one.job_id, writeback=Writeback.WRITTEN)],
    )

    assert newer.disposition is Disposition.CREATED
    assert noted[0].writeback is Writeback.WRITTEN
    assert world.job(one.job_id).conclusion is Conclusion.VALID
    assert world.job(newer.job_id).status is JobStatus.QUEUED


# Keys that a stranger spoilt.


def test_a_spoilt_result_stream_costs_no_job_its_ending(world, new_link) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    leases = world.lease()
    world.redis.set(f"rq:results:{leases[1].job_id}", "not a stream")

    answers = world.broker.report(world.caller(device="dev_1"), [landed(each) for each in leases])

    assert [answer.state for answer in answers] == ["accepted"] * 3
    assert len(world.endings()) == 3


def test_a_spoilt_key_of_rqs_is_told_and_the_whole_batch_is_still_written(world, new_link) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    leases = world.lease()
    world.redis.set("rq:finished:links.src_a", "not a sorted set")
    reports = [landed(each) for each in leases]

    with pytest.raises(RedisUnavailable, match="WRONGTYPE"):
        world.broker.report(world.caller(device="dev_1"), reports)
    world.redis.delete("rq:finished:links.src_a")
    again = world.broker.report(world.caller(device="dev_1"), reports)

    assert [answer.state for answer in again] == ["duplicate"] * 3
    assert len(world.endings()) == 3
    assert world.redis.get("linkrow:depth:acct_a") == b"0"
    assert world.redis.zcard("linkrow:obligations:src_a") == 3
    assert world.redis.keys("linkrow:leases:*") == []


def test_a_spoilt_job_among_those_that_wait_costs_no_other_its_place(world, new_link) -> None:
    names = [job.job_id for job in world.admit(*(new_link(f"r_{n}") for n in range(4))).jobs]
    world.redis.set(f"rq:job:{names[1]}", "not a hash")

    with pytest.raises(RedisUnavailable, match="WRONGTYPE"):
        world.lease()
    rest = world.lease()
    world.let_leases_run_out()
    first = world.lease()

    assert [lease.job_id for lease in rest] == names[2:]
    assert names[0] in [lease.job_id for lease in first]


def landed(lease: Lease) -> Report:
    return Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=LANDED)
