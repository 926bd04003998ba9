"""The clock: what has to happen by itself, and a lost Redis filled from the books."""

import threading

import pytest

from relay.clock import Clock
from relay.errors import LedgerUnavailable
from relay.ledger.ledger import Ledger
from relay.queue.errors import QuotaExceeded, Rebuilding
from relay.queue.terms import Limits
from relay.recorder import Recorder
from wire.models import WritebackReport
from wire.vocab import JobStatus, Writeback


def lose(redis) -> None:
    redis.flushall()


def test_a_new_store_is_opened(redis, world, ledger, new_link) -> None:
    lose(redis)
    with pytest.raises(Rebuilding):
        world.admit(new_link("r_1"))

    Clock(world.broker, ledger).tick()

    assert world.broker.is_ready()
    assert not redis.exists("linkrow:lock:rebuild")


def test_a_tick_takes_back_what_nobody_holds_any_more(world, ledger, new_link) -> None:
    world.admit(new_link("r_1"))
    world.lease()
    world.let_leases_run_out()

    Clock(world.broker, ledger).tick()

    assert len(world.lease(device="dev_2")) == 1


def test_a_lost_store_is_filled_from_the_books(redis, world, ledger, new_link) -> None:
    waiting = world.admit(new_link("r_1"), new_link("r_2"), new_link("r_3")).jobs
    lease = world.lease(max=1)[0]
    world.report(lease)
    Recorder(world.broker, ledger).drain()
    lose(redis)

    Clock(world.broker, ledger).tick()
    redis.set("linkrow:epoch", 0)

    handed = {each.job_id: each.kind for each in world.lease(device="dev_2")}
    assert handed == {
        job.job_id: "writeback" if job.job_id == lease.job_id else "link" for job in waiting
    }


def test_quota_counts_on_after_a_loss(redis, world, ledger, new_link) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(8)))
    Recorder(world.broker, ledger).drain()
    lose(redis)
    Clock(world.broker, ledger).tick()
    redis.set("linkrow:epoch", 0)
    limits = Limits(rows_per_day=10)

    world.admit(new_link("r_8"), new_link("r_9"), limits=limits)

    with pytest.raises(QuotaExceeded):
        world.admit(new_link("r_10"), limits=limits)


def test_what_is_still_in_the_stream_is_booked_before_the_store_opens(
    redis, world, ledger, new_link
) -> None:
    job_id = world.admit(new_link("r_1")).jobs[0].job_id
    world.report(world.lease()[0])
    report = WritebackReport(job_id=job_id, writeback=Writeback.WRITTEN)
    world.broker.note_writebacks(world.caller(device="dev_1"), [report])
    redis.delete("linkrow:epoch")

    Clock(world.broker, ledger).tick()

    assert world.broker.is_ready()
    assert ledger.job("acct_a", job_id).status is JobStatus.DONE
    assert world.lease(device="dev_2") == []


def test_it_does_not_open_a_store_while_another_recorder_books(
    redis, world, ledger, new_link
) -> None:
    other = Recorder(world.broker, ledger)
    other.drain()
    world.admit(new_link("r_1"))
    redis.delete("linkrow:epoch")
    clock = Clock(world.broker, ledger)

    clock.tick()
    assert not world.broker.is_ready()
    assert other.drain()
    clock.tick()

    assert world.broker.is_ready()


def test_only_one_of_several_clocks_rebuilds(redis, world, ledger, new_link) -> None:
    for number in range(20):
        world.admit(new_link(f"r_{number}"))
    Recorder(world.broker, ledger).drain()
    lose(redis)
    clocks = [Clock(world.broker, ledger) for _ in range(4)]
    did: list[bool] = []
    threads = [threading.Thread(target=lambda c=c: did.append(c.rebuild())) for c in clocks]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(did) == 1
    assert redis.llen("rq:queue:links.src_a") == 20
    assert redis.get("linkrow:depth:acct_a") == b"20"


def test_the_store_stays_closed_while_the_books_are_gone(redis, world) -> None:
    lose(redis)
    clock = Clock(world.broker, Ledger.open("postgresql+psycopg://nobody@127.0.0.1:1/none"))

    with pytest.raises(LedgerUnavailable):
        clock.tick()

    assert not world.broker.is_ready()
    assert not redis.exists("linkrow:lock:rebuild")
