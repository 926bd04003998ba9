"""A refresh is a job of RQ in every state, and what RQ's tools do to it does it no harm."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from rq import Queue, SimpleWorker
from rq.results import Result
from rq.serializers import JSONSerializer

from relay.queue.rq_form import REFRESH
from tests.relay.queue.test_rq_contract import registries, rq_info
from tests.relay.queue.viewers import Viewer, look_with_rq, look_with_rq_info
from wire.models import ErrorDetail

QUEUE = "links.src_a.refresh"


@dataclass
class Refresh:
    """One refresh of a world and its job."""

    world: Any
    refresh_id: str
    job_id: str

    def waits(self) -> None:
        pass

    def is_read(self) -> Any:
        return self.world.lease_to_read()[0]

    def was_read(self) -> None:
        self.world.read(self.is_read(), rows=7)

    def fails(self) -> None:
        why = ErrorDetail(code="sheet_not_shared", detail="share it")
        self.world.read(self.is_read(), "failed", error=why)

    def is_lost(self) -> None:
        self.is_read()
        self.world.let_leases_run_out(QUEUE)
        self.world.broker.sweep()

    def is_lost_ten_times(self) -> None:
        for _ in range(10):
            self.is_lost()

    def expires(self) -> None:
        self.world.let_jobs_expire()
        self.world.broker.sweep()

    def is_canceled(self) -> None:
        assert self.world.broker.cancel_refresh("acct_a", "src_a", self.refresh_id)

    def is_canceled_while_it_is_read(self) -> None:
        self.is_read()
        self.is_canceled()


STATES: dict[str, tuple[Callable[[Refresh], Any], str, str]] = {
    "waiting": (Refresh.waits, "queued", "waiting_for_agent"),
    "reading": (Refresh.is_read, "started", "reading"),
    "lost": (Refresh.is_lost, "queued", "waiting_for_agent"),
    "read": (Refresh.was_read, "finished", "done"),
    "failed": (Refresh.fails, "failed", "failed"),
    "lost by ten": (Refresh.is_lost_ten_times, "failed", "failed"),
    "expired": (Refresh.expires, "finished", "failed"),
    "canceled": (Refresh.is_canceled, "canceled", "canceled"),
    "canceled while it was read": (Refresh.is_canceled_while_it_is_read, "canceled", "canceled"),
}


@pytest.fixture
def refresh(world) -> Refresh:
    world.lease("src_a")
    asked = world.ask(scope="rows", row_ids=["r_1"])
    (job_id,) = world.queue(QUEUE).get_job_ids()
    return Refresh(world=world, refresh_id=asked.refresh_id, job_id=job_id)


@pytest.mark.parametrize(("happens", "rq", "state"), STATES.values(), ids=STATES.keys())
def test_rq_sees_it_in_one_place_and_reads_all_of_it(
    world, refresh, everything, redis_url, happens, rq, state
) -> None:
    happens(refresh)
    before = everything()

    assert registries(world.queue(QUEUE)) == {rq: [refresh.job_id]}
    job = world.rq(refresh.job_id)
    assert job.get_status() == rq
    assert (job.origin, job.func_name) == (QUEUE, REFRESH)
    assert job.args[0] == {"refresh_id": refresh.refresh_id, "scope": "rows", "row_ids": ["r_1"]}
    assert job.description == f"refresh {refresh.refresh_id}"
    assert (job.ended_at is not None) == (rq in ("finished", "failed", "canceled"))
    assert len(job.get_executions()) == (rq == "started")
    assert world.queue(QUEUE) in Queue.all(connection=world.redis)
    result = job.latest_result()
    if rq == "finished":
        assert result.type is Result.Type.SUCCESSFUL
        assert job.return_value() in ({"rows": 7}, {"conclusion": "job_expired"})
    elif rq == "failed":
        assert result.type is Result.Type.FAILED
        assert result.exc_string.startswith(("sheet_not_shared: share it", "agent after agent"))
    else:
        assert result is None
    shown = rq_info(redis_url, "--raw")
    counts = [int(rq == each) for each in ("queued", "started", "finished", "failed")]
    assert (
        f"queue {QUEUE} {counts[0]}, {counts[1]} executing, {counts[2]} finished, "
        f"{counts[3]} failed" in shown
    )
    assert everything() == before
    assert world.progress(refresh.refresh_id).state == state


def test_it_is_stored_exactly_as_rq_stores_its_own(world, refresh) -> None:
    stored = {
        name.decode(): value
        for name, value in world.redis.hgetall(f"rq:job:{refresh.job_id}").items()
        if not name.startswith(b"lr_")
    }
    theirs = Queue(QUEUE, connection=world.redis, serializer="json").create_job(
        REFRESH,
        args=(world.rq(refresh.job_id).args[0],),
        job_id=refresh.job_id,
        description=f"refresh {refresh.refresh_id}",
        timeout=3600,
        result_ttl=-1,
    )
    theirs.created_at = theirs.enqueued_at = world.rq(refresh.job_id).created_at
    wanted = {
        name: value if isinstance(value, bytes) else str(value).encode()
        for name, value in theirs.to_dict().items()
    } | {"status": b"queued"}

    stored.pop("data")
    wanted.pop("data")
    assert stored == wanted


def test_a_stock_worker_that_took_it_gives_it_back(world, refresh) -> None:
    worker = SimpleWorker([world.queue(QUEUE)], connection=world.redis, serializer=JSONSerializer)
    worker.work(burst=True, max_jobs=1)
    assert "belong to Linkrow's agents" in world.rq(refresh.job_id).latest_result().exc_string

    world.broker.sweep()

    assert world.progress(refresh.refresh_id).state == "waiting_for_agent"
    assert refresh.is_read().job_id == refresh.job_id


def test_rqs_backstop_takes_it_from_nobody_who_reads(world, refresh) -> None:
    lease = refresh.is_read()
    world.redis.zadd(f"rq:wip:{QUEUE}", {f"{lease.job_id}:{lease.lease_id}": 1})
    registries(world.queue(QUEUE))
    assert world.rq(lease.job_id).get_status() == "failed"

    world.broker.sweep()

    assert world.rq(lease.job_id).get_status() == "started"
    assert world.progress(refresh.refresh_id).state == "reading"
    assert world.read(lease) == "accepted"


@pytest.mark.parametrize("end", ["read", "failed", "canceled", "expired"])
def test_one_that_a_stranger_queues_again_after_its_end_is_read_by_nobody(
    world, refresh, end
) -> None:
    happens, rq, state = STATES[end]
    happens(refresh)
    world.redis.hset(f"rq:job:{refresh.job_id}", "status", "queued")
    world.redis.rpush(f"rq:queue:{QUEUE}", refresh.job_id)
    world.redis.set("linkrow:reading:src_a", refresh.refresh_id)

    assert world.lease_to_read() == []

    assert world.rq(refresh.job_id).get_status() == rq
    assert world.progress(refresh.refresh_id).state == state


def test_one_that_is_queued_twice_is_read_once(world, refresh) -> None:
    world.redis.rpush(f"rq:queue:{QUEUE}", refresh.job_id)

    assert len(world.lease_to_read()) == 1
    assert world.lease_to_read(device="dev_2") == []


@pytest.mark.processes
def test_those_who_look_without_a_pause_take_no_refresh_from_anybody(
    world, refresh, redis_url, outcomes
) -> None:
    refresh.is_canceled()
    rq = Queue(QUEUE, connection=world.redis, serializer="json")
    ends = []
    with (
        Viewer("rq", lambda: look_with_rq(rq)) as first,
        Viewer("rq info", lambda: look_with_rq_info(redis_url, QUEUE)) as second,
    ):
        until = time.monotonic() + 80
        while time.monotonic() < until and (len(ends) < 40 or min(first.looks, second.looks) < 2):
            refresh_id = world.ask().refresh_id
            (lost,) = world.lease_to_read()
            world.let_leases_run_out(QUEUE)
            (lease,) = world.lease_to_read(device="dev_2")
            assert (world.renew(lost), world.read(lost)) == (["lost"], "stale")
            assert world.read(lease, "reading", device="dev_2") == "accepted"
            assert world.read(lease, device="dev_2") == "accepted"
            ends.append(world.progress(refresh_id).state)

    assert min(first.looks, second.looks) >= 2
    assert set(ends) == {"done"}
    told = [event for event in world.events() if event.get("state") == "done"]
    assert len(told) == len(ends)


def test_nothing_is_left_of_one_that_ended_but_what_is_told_of_it(world, refresh) -> None:
    refresh.was_read()

    assert world.redis.keys("rq:execution*") == []
    assert world.redis.keys("linkrow:leases:*") == []
    assert world.redis.keys("linkrow:held:*") == []
    assert world.redis.keys("linkrow:reading:*") == []
    assert world.redis.zcard("linkrow:expires") == 0
    assert world.redis.zcard("linkrow:refreshes") == 0
