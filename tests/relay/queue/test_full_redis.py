"""A Redis that is full refuses new jobs whole, and takes everything that makes room again."""

from collections.abc import Iterator

import pytest

from relay.ledger.ledger import Ledger
from relay.queue.errors import RedisUnavailable
from relay.recorder import Recorder
from wire.models import ReleaseRequest, WritebackReport
from wire.vocab import ReportState, Writeback


@pytest.fixture
def fill(redis) -> Iterator[object]:
    def full() -> None:
        redis.config_set("maxmemory", 1)  # full, whatever dead clients' buffers give back

    yield full
    redis.config_set("maxmemory", 0)


def test_work_goes_on_to_its_end_while_nothing_new_comes_in(
    world, new_link, outcomes, fill
) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(20)))
    running = world.lease(max=10)
    world.report(running[0], outcomes["no answer"])
    owed = world.report(running[1])
    keys = set(world.redis.keys())
    world.let_retries_fall_due()
    fill()

    caller = world.caller()
    with pytest.raises(RedisUnavailable):
        world.admit(new_link("r_x"), new_link("r_y"), caller=caller)

    assert set(world.redis.keys()) == keys
    world.broker.spend_nonce(world.caller())
    assert world.renew(*running[2:]) == ["renewed"] * 8
    assert len(world.lease(max=11)) == 11
    assert world.report(running[2]).state is ReportState.ACCEPTED
    assert world.report(running[3], outcomes["no answer"]).state is ReportState.RETRY
    assert world.broker.cancel("acct_a", running[4].job_id).conclusion == "canceled"
    noted = world.broker.note_writebacks(
        world.caller(device="dev_1"),
        [WritebackReport(job_id=owed.job_id, writeback=Writeback.WRITTEN)],
    )
    assert noted[0].writeback is Writeback.WRITTEN


def test_a_refresh_goes_on_to_its_end_and_no_other_begins(world, new_link, fill) -> None:
    world.lease("src_a", "src_b", "src_c")
    read, canceled, deleted = (world.ask(name).refresh_id for name in ("src_a", "src_b", "src_c"))
    links = [new_link(f"r_{n}", refresh_id=canceled, source_id="src_b") for n in range(10)]
    world.admit(*links)
    (lease,) = world.lease_to_read("src_a")
    keys = set(world.redis.keys())
    fill()

    with pytest.raises(RedisUnavailable):
        world.ask("src_a", key="late")

    assert set(world.redis.keys()) == keys
    assert world.renew(lease) == ["renewed"]
    assert world.read(lease, "reading", rows=1) == "accepted"
    assert world.read(lease, rows=1) == "accepted"
    assert world.broker.cancel_refresh("acct_a", "src_b", canceled)
    world.broker.delete_source(world.caller(), "src_c")
    world.broker.sweep()
    states = [world.progress(name).state for name in (read, canceled, deleted)]
    assert states == ["done", "canceled", "canceled"]
    assert world.queue("links.src_b").count == 0


def test_what_ran_out_is_taken_back_and_handed_on_while_it_is_full(world, new_link, fill) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(20)))
    running = world.lease(max=10)
    world.report(running[0])
    world.let_obligations_fall_due()
    world.let_leases_run_out()
    fill()

    assert [lease.kind for lease in world.lease(max=1)] == ["writeback"]
    assert world.broker.sweep().leases == 9
    assert len(world.lease(max=3)) == 3
    assert (
        world.broker.release(
            world.caller(device="dev_1"), ReleaseRequest(all=True, sources=["src_a"])
        )
        == 3
    )


def test_the_refused_request_comes_in_with_the_same_nonce_once_there_is_room(
    world, new_link, fill, redis
) -> None:
    caller = world.caller()
    fill()
    with pytest.raises(RedisUnavailable):
        world.admit(new_link(), caller=caller)

    redis.config_set("maxmemory", 0)

    assert world.admit(new_link(), caller=caller).jobs


def test_a_recorder_that_starts_on_a_full_redis_makes_room(world, new_link, fill, tmp_path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    ledger.migrate()
    first = Recorder(world.broker, ledger)
    first.drain()  # the group exists, as in any life that got this far
    first.release()
    job_id = world.admit(new_link()).jobs[0].job_id
    world.report(world.lease()[0])
    fill()

    booked = Recorder(world.broker, ledger)
    count = booked.drain()
    booked.release()

    assert count == 4
    assert ledger.job("acct_a", job_id).conclusion == "valid"
    assert world.broker.backlog() == 0
    ledger.close()
