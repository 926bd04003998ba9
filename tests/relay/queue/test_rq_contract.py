"""What our scripts write is what RQ reads, in every state; and what RQ writes does us no harm."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest
from rq import Queue, SimpleWorker, Worker
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer

from relay.queue.rq_form import FUNCTION, encode_data
from wire.vocab import Conclusion, JobStatus, ReportState


def registries(queue: Queue) -> dict[str, list[str]]:
    """Every registry of *queue*, read the way ``rq info`` does: cleaning up on the way."""
    found = {
        "queued": queue.get_job_ids(),
        "started": queue.started_job_registry.get_job_ids(),
        "scheduled": queue.scheduled_job_registry.get_job_ids(),
        "finished": queue.finished_job_registry.get_job_ids(),
        "failed": queue.failed_job_registry.get_job_ids(),
        "canceled": queue.canceled_job_registry.get_job_ids(),
        "deferred": queue.deferred_job_registry.get_job_ids(),
    }
    return {name: ids for name, ids in found.items() if ids}


def land(world: Any, new_link: Any, outcomes: Any) -> None:
    world.report(world.lease()[0])


def fail(world: Any, new_link: Any, outcomes: Any) -> None:
    world.report(world.lease()[0], outcomes["bad certificate"])


def cancel(world: Any, new_link: Any, outcomes: Any) -> None:
    world.broker.cancel("acct_a", world.queue().get_job_ids()[0])


def test_rq_sees_a_job_in_one_place_and_reads_its_state(world, new_job, state) -> None:
    one = new_job(row_id="r_1")

    state.happens(one)

    assert registries(world.queue()) == {state.rq: [one.job_id]}
    job = world.rq(one.job_id)
    assert job.get_status() == state.rq
    asked = {
        "queued": job.is_queued,
        "started": job.is_started,
        "scheduled": job.is_scheduled,
        "finished": job.is_finished,
        "failed": job.is_failed,
        "canceled": job.is_canceled,
    }
    assert [name for name, is_so in asked.items() if is_so] == [state.rq]
    assert job.get_position() == (0 if state.rq == "queued" else None)
    assert (job.origin, job.func_name) == ("links.src_a", FUNCTION)
    assert job.args[0]["row_id"] == "r_1"
    assert job.get_call_string().startswith(f"{FUNCTION}(")
    assert "trk.example" not in job.description
    assert job.enqueued_at == job.created_at
    assert (job.ended_at is not None) == (state.conclusion is not None)
    assert len(job.get_executions()) == (state.rq == "started")
    assert world.job(one.job_id).status == state.status
    assert world.job(one.job_id).conclusion == state.conclusion


def test_rq_fetches_a_job_in_every_way_it_has(world, new_job, state) -> None:
    one = new_job()
    state.happens(one)
    queue = one.queue

    one_by_one = Job.fetch(one.job_id, connection=world.redis, serializer="json")
    many = Job.fetch_many([one.job_id, "nobody"], connection=world.redis, serializer="json")

    assert Job.exists(one.job_id, connection=world.redis)
    assert many[0] == one_by_one == queue.fetch_job(one.job_id)
    assert many[0].to_dict() == one_by_one.to_dict()
    assert many[1] is None
    assert queue in Queue.all(connection=world.redis)
    assert queue.count == len(queue.jobs) == (state.rq == "queued")
    assert Worker.all(connection=world.redis) == Worker.all(queue=queue) == []
    for name, registry in {
        "started": queue.started_job_registry,
        "scheduled": queue.scheduled_job_registry,
        "finished": queue.finished_job_registry,
        "failed": queue.failed_job_registry,
        "canceled": queue.canceled_job_registry,
        "deferred": queue.deferred_job_registry,
    }.items():
        assert (one_by_one in registry) == (name == state.rq)
        assert registry.count == registry.get_job_count(cleanup=False) == (name == state.rq)
        if name == state.rq and name != "started":
            assert registry.get_expiration_time(one_by_one) > one_by_one.created_at


def test_rq_reads_the_result_of_what_ended_and_none_of_what_did_not(world, new_job, state) -> None:
    one = new_job()

    state.happens(one)

    job = world.rq(one.job_id)
    result = job.latest_result()
    if state.rq == "finished":
        assert result.type is Result.Type.SUCCESSFUL
        assert job.return_value()["conclusion"] == state.conclusion
    elif state.rq == "failed":
        assert result.type is Result.Type.FAILED
        assert result.exc_string.startswith(state.conclusion)
        assert job.return_value() is None
    else:
        assert result is None
        assert job.return_value() is None
    assert len(job.results()) == (result is not None)


def test_reading_and_rqs_own_clean_up_change_nothing(world, new_job, everything, state) -> None:
    one = new_job()
    state.happens(one)
    before = everything()

    for _ in range(2):
        registries(one.queue)
        one.queue.intermediate_queue.cleanup(
            SimpleWorker([one.queue], connection=world.redis), one.queue
        )

    assert everything() == before
    assert world.job(one.job_id).status == state.status


def rq_info(redis_url: str, *more: str) -> str:
    shown = subprocess.run(
        [sys.executable, "-m", "rq.cli", "info", "-u", redis_url, *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_rq_info_shows_every_state_and_changes_nothing(
    new_job, new_link, everything, states, redis_url
) -> None:
    for n, state in enumerate(states):
        state.happens(new_job(f"src_{n}"))
    before = everything()

    raw = rq_info(redis_url, "--raw").splitlines()
    rest = [rq_info(redis_url, *more) for more in ((), ("--only-workers",), ("--by-queue",))]

    assert everything() == before
    for n, state in enumerate(states):
        counts = Counter([state.rq])
        assert (
            f"queue links.src_{n} {counts['queued']}, {counts['started']} executing, "
            f"{counts['finished']} finished, {counts['failed']} failed" in raw
        ), state.name
    assert f"{len(rest[0].split('jobs total')[0].splitlines()) - 1} queues" in rest[0]
    assert "0 workers" in rest[1]


def test_a_new_job_is_stored_exactly_as_rq_stores_its_own(world, new_link) -> None:
    request = new_link(context={"a": [1, "ü"]}, expected_domain="shop.example")
    job_id = world.admit(request).jobs[0].job_id
    stored = {
        name.decode(): value
        for name, value in world.redis.hgetall(f"rq:job:{job_id}").items()
        if not name.startswith(b"lr_")
    }

    theirs = Queue("links.src_a", connection=world.redis, serializer="json").create_job(
        FUNCTION,
        args=(request.model_dump(mode="json", exclude_defaults=True),),
        job_id=job_id,
        description="row r_1",
        timeout=3600,
        result_ttl=-1,
    )
    theirs.created_at = theirs.enqueued_at = world.rq(job_id).created_at
    wanted = {
        name: value if isinstance(value, bytes) else str(value).encode()
        for name, value in theirs.to_dict().items()
    } | {"status": b"queued"}

    assert stored.pop("data") != b""
    wanted.pop("data")
    assert stored == wanted
    assert json.loads(world.rq(job_id).data) == json.loads(theirs.data)


def test_the_data_is_what_rqs_json_serializer_makes_of_it() -> None:
    import zlib

    payload = json.loads(zlib.decompress(encode_data('{"tracking_url":"https://a.example/ü"}')))

    assert payload == [FUNCTION, None, [{"tracking_url": "https://a.example/ü"}], {}]
    assert JSONSerializer.loads(json.dumps(payload).encode()) == payload


def test_rq_reads_the_running_one_with_its_holder_and_heartbeat(world, new_link) -> None:
    world.admit(new_link())
    (lease,) = world.lease(device="dev_7")

    job = world.rq(lease.job_id)
    (execution,) = job.get_executions()

    assert (job.worker_name, execution.worker_name) == ("dev_7", "dev_7")
    assert execution.id == lease.lease_id
    assert job.started_at is not None
    assert job.started_at == job.last_heartbeat


def test_rq_reads_a_result_and_why_one_failed(world, new_link, outcomes) -> None:
    good = world.admit(new_link("r_1")).jobs[0].job_id
    land(world, new_link, outcomes)
    bad = world.admit(new_link("r_2")).jobs[0].job_id
    fail(world, new_link, outcomes)

    result = world.rq(good).latest_result()
    failure = world.rq(bad).latest_result()

    assert result.type is Result.Type.SUCCESSFUL
    assert world.rq(good).return_value() == {
        "conclusion": "valid",
        "final_url": "https://shop.example/",
    }
    assert failure.type is Result.Type.FAILED
    assert "certificate" in failure.exc_string
    assert result.execution_id.startswith("1-")


def test_nothing_is_left_of_a_run_that_ended(world, new_link) -> None:
    world.admit(new_link())
    land(world, new_link, None)

    assert world.redis.keys("rq:execution*") == []
    assert world.redis.keys("linkrow:leases:*") == []
    assert world.redis.keys("linkrow:held:*") == []
    assert world.redis.keys("linkrow:live:*") == []
    assert world.redis.zcard("linkrow:expires") == 0
    assert world.redis.get("linkrow:depth:acct_a") == b"0"


def test_rq_info_counts_what_waits_and_what_runs(world, new_link, redis_url) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(5)))
    world.lease(max=2)

    assert "queue links.src_a 3, 2 executing" in rq_info(redis_url, "--raw")


# What strangers do.


def test_a_viewer_after_the_lease_ran_out_takes_nothing_away(world, new_link) -> None:
    world.admit(new_link())
    (lease,) = world.lease()
    (seen,) = world.redis.zrange("rq:wip:links.src_a", 0, -1, withscores=True)
    world.let_leases_run_out()

    assert seen[1] >= world.now + world.broker.settings.lease_seconds + 3600
    assert StartedJobRegistry(queue=world.queue()).count == 1
    assert world.report(lease).state is ReportState.ACCEPTED


def test_rqs_backstop_after_an_hour_without_a_sweep_loses_nothing(world, new_link) -> None:
    world.admit(new_link())
    (lease,) = world.lease()
    world.let_leases_run_out()
    world.redis.zadd("rq:wip:links.src_a", {f"{lease.job_id}:{lease.lease_id}": 1})
    registries(world.queue())
    assert world.rq(lease.job_id).get_status() == "failed"

    world.broker.sweep()

    assert registries(world.queue()) == {"queued": [lease.job_id]}
    assert world.redis.ttl(f"rq:job:{lease.job_id}") == -1
    (again,) = world.lease()
    assert again.delivery == 2
    assert world.report(lease).state is ReportState.STALE
    assert world.report(again).state is ReportState.ACCEPTED


def test_rqs_backstop_does_not_take_a_job_from_its_holder(world, new_link) -> None:
    world.admit(new_link())
    (lease,) = world.lease()
    world.redis.zadd("rq:wip:links.src_a", {f"{lease.job_id}:{lease.lease_id}": 1})
    registries(world.queue())

    world.broker.sweep()

    assert world.rq(lease.job_id).get_status() == "started"
    assert world.lease(device="dev_2") == []
    assert world.report(lease).state is ReportState.ACCEPTED
    assert registries(world.queue()) == {"finished": [lease.job_id]}


@pytest.mark.parametrize("ending", [land, fail, cancel])
def test_what_a_stranger_queues_again_after_its_end_is_never_handed_out(
    world, new_link, outcomes, ending
) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    ending(world, new_link, outcomes)
    before = world.rq(job_id).get_status()
    world.redis.hset(f"rq:job:{job_id}", "status", "queued")
    world.redis.rpush("rq:queue:links.src_a", job_id, job_id)
    world.redis.persist(f"rq:job:{job_id}")

    assert [lease for lease in world.lease() if lease.kind == "link"] == []
    assert world.rq(job_id).get_status() == before
    assert list(registries(world.queue()).values()) == [[job_id]]
    assert 0 < world.redis.ttl(f"rq:job:{job_id}") <= 86400
    assert len(world.endings()) == 1


def test_a_failed_job_that_an_operator_requeues_in_rq_stays_as_it_ended(
    world, new_link, outcomes
) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    fail(world, new_link, outcomes)
    world.queue().failed_job_registry.requeue(job_id)

    assert world.lease() == []
    assert registries(world.queue()) == {"failed": [job_id]}
    assert world.job(job_id).status is JobStatus.FAILED


def test_what_a_stranger_queues_while_it_runs_stays_with_its_holder(world, new_link) -> None:
    world.admit(new_link())
    (lease,) = world.lease()
    world.redis.hset(f"rq:job:{lease.job_id}", "status", "queued")
    world.redis.rpush("rq:queue:links.src_a", lease.job_id)

    assert world.lease(device="dev_2") == []
    assert world.rq(lease.job_id).get_status() == "started"
    assert world.report(lease).state is ReportState.ACCEPTED


def test_an_id_that_stands_twice_in_the_queue_is_handed_out_once(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    world.redis.rpush("rq:queue:links.src_a", job_id)

    assert [lease.job_id for lease in world.lease()] == [job_id]
    assert world.lease(device="dev_2") == []


def test_a_stray_rq_worker_fails_a_job_and_the_relay_takes_it_back(world, new_link, caplog) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    stray = SimpleWorker([world.queue()], connection=world.redis, serializer=JSONSerializer)

    stray.work(burst=True, logging_level="CRITICAL")
    seen = world.rq(job_id)
    status, why = seen.get_status(), seen.latest_result().exc_string
    world.broker.sweep()

    assert status == "failed"
    assert "belong to Linkrow's agents" in why
    assert registries(world.queue()) == {"queued": [job_id]}
    (lease,) = world.lease()
    assert world.report(lease).state == "accepted"
    assert world.job(job_id).conclusion is Conclusion.VALID


def test_what_a_stray_worker_lost_between_pop_and_start_expires(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    world.redis.lpop("rq:queue:links.src_a")
    world.redis.hset(f"rq:job:{job_id}", "status", "started")
    world.let_jobs_expire()

    assert world.broker.sweep().expired == 1
    assert world.job(job_id).status is JobStatus.EXPIRED
    assert world.endings() == [(job_id, "job_expired")]


def test_rq_empty_on_a_leased_job_makes_its_report_stale_and_frees_its_row(world, new_link) -> None:
    world.admit(new_link("r_1"), new_link("r_2"))
    (lease,) = world.lease(max=1)
    world.queue().empty()
    world.rq(lease.job_id).delete()

    assert world.report(lease).state is ReportState.STALE
    assert world.renew(lease) == ["lost"]
    world.let_leases_run_out()
    world.broker.sweep()
    assert world.lease() == []
    assert world.redis.keys("linkrow:leases:*") == []
    world.let_jobs_expire()
    world.broker.sweep()
    assert [ending for _, ending in world.endings()] == ["canceled", "canceled"]
    again = world.admit(new_link("r_1"), new_link("r_2")).jobs
    assert [job.disposition for job in again] == ["created", "created"]
    assert len(world.lease()) == 2


def test_a_queue_with_nothing_in_it_disappears_from_rqs_list(world, new_link) -> None:
    world.admit(new_link())
    land(world, new_link, None)
    world.broker.sweep()
    assert world.queue() in Queue.all(connection=world.redis)

    world.broker.forget([job_id for job_id, _ in world.endings()])
    world.redis.zadd("rq:finished:links.src_a", {world.endings()[0][0]: 1})
    world.broker.sweep()

    assert Queue.all(connection=world.redis) == []
    world.admit(new_link("r_2"))
    assert Queue.all(connection=world.redis) == [world.queue()]


def test_ended_jobs_leave_rqs_registries_when_they_are_forgotten(world, new_link) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    land(world, new_link, None)

    world.broker.forget([job_id])

    assert 0 < world.redis.ttl(f"rq:job:{job_id}") <= 60
    assert 0 < world.redis.ttl(f"rq:results:{job_id}") <= 60
    assert world.redis.zscore("rq:finished:links.src_a", job_id) <= time.time() + 61
    assert world.redis.ttl(f"linkrow:done:{job_id}") > 3600
    assert world.redis.ttl(f"linkrow:obligation:{job_id}") == -1


def test_what_the_ledger_let_go_is_gone_though_redis_would_hardly_find_it(world, new_link) -> None:
    """Among many keys that live long, Redis' own search for expired ones finds almost nothing."""
    with world.redis.pipeline(transaction=False) as pipe:
        for number in range(20_000):
            pipe.set(f"linkrow:done:fence-{number}", "1-aaaaaaaa done", ex=86_400)
        pipe.execute()
    world.admit(*(new_link(None) for _ in range(200)))
    for lease in world.lease(max=200):
        world.report(lease)
    unbooked, *booked = [job_id for job_id, _ in world.endings()]
    world.broker.forget(booked)
    there = world.redis.dbsize()
    world.redis.zadd("rq:finished:links.src_a", dict.fromkeys([unbooked, *booked], 1))
    for job_id in booked:
        world.redis.pexpire(f"rq:job:{job_id}", 1)
        world.redis.pexpire(f"rq:results:{job_id}", 1)
    over = world.redis.time()[1]
    while abs(world.redis.time()[1] - over) < 5_000:
        pass  # the last of them has expired

    world.broker.sweep()

    assert len(booked) == 199
    assert there - world.redis.dbsize() >= 2 * len(booked)
    assert world.redis.exists(f"rq:job:{unbooked}", f"rq:results:{unbooked}") == 2


def test_three_viewers_at_once_change_nothing_while_jobs_go_through(
    world, new_link, redis_url
) -> None:
    import redis as redis_py

    stop = threading.Event()
    troubles: list[BaseException] = []

    def view() -> None:
        client = redis_py.Redis.from_url(redis_url)
        queue = Queue("links.src_a", connection=client, serializer="json")
        while not stop.is_set():
            try:
                registries(queue)
                Job.fetch_many(queue.get_job_ids(), connection=client, serializer="json")
            except BaseException as error:  # noqa: BLE001
                troubles.append(error)
        client.close()

    viewers = [threading.Thread(target=view) for _ in range(3)]
    for viewer in viewers:
        viewer.start()
    try:
        wanted = [
            job.job_id
            for n in range(0, 200, 50)
            for job in world.admit(*(new_link(f"r_{n + k}") for k in range(50))).jobs
        ]
        abandoned = world.lease(max=40)
        world.let_leases_run_out()
        while leases := world.lease(max=20):
            for lease in leases:
                world.report(lease)
        late = {world.report(lease).state for lease in abandoned}
    finally:
        stop.set()
        for viewer in viewers:
            viewer.join()

    assert troubles == []
    assert sorted(job_id for job_id, _ in world.endings()) == sorted(wanted)
    assert late == {ReportState.STALE}
    assert sorted(registries(world.queue())) == ["finished"]
