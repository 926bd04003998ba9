"""The recorder: what happened is booked once, whatever is killed when."""

import pytest
import sqlalchemy as sa

from relay.clock import Clock
from relay.ledger.schema import jobs, unreadable_events
from relay.recorder import Recorder
from wire.models import WritebackReport
from wire.vocab import Conclusion, JobStatus, Writeback

LANDED = (
    '{"status":"done","conclusion":"valid","final_url":"https://other.example/","http_status":200}'
)


def test_what_happens_to_jobs_is_booked(world, new_link, ledger) -> None:
    recorder = Recorder(world.broker, ledger)
    admitted = world.admit(*(new_link(f"r_{n}") for n in range(5)))
    recorder.drain()
    queued = ledger.job("acct_a", admitted.jobs[0].job_id)
    for lease in world.lease():
        accepted = world.report(lease)
        world.broker.note_writebacks(
            world.caller(device="dev_1"),
            [WritebackReport(job_id=accepted.job_id, writeback=Writeback.WRITTEN)],
        )

    recorder.drain()

    assert queued.status is JobStatus.QUEUED
    for job in admitted.jobs:
        booked = ledger.job("acct_a", job.job_id)
        assert (booked.status, booked.conclusion) == (JobStatus.DONE, Conclusion.VALID)
        assert booked.writeback is Writeback.WRITTEN
        assert booked.answer() == world.job(job.job_id)
    assert world.broker.backlog() == 0


def test_the_first_ending_stays_and_a_replay_takes_nothing_back(
    world, new_link, ledger, redis
) -> None:
    recorder = Recorder(world.broker, ledger)
    job_id = world.admit(new_link("r_1")).jobs[0].job_id
    world.report(world.lease()[0])
    happened = redis.xrange("linkrow:outcomes")
    report = WritebackReport(job_id=job_id, writeback=Writeback.WRITTEN)
    world.broker.note_writebacks(world.caller(device="dev_1"), [report])
    recorder.drain()
    booked = ledger.job("acct_a", job_id)

    for _, fields in happened:
        redis.xadd("linkrow:outcomes", fields)
        if fields[b"type"] == b"final":
            other = {b"status": b"failed", b"conclusion": b"timeout", b"outcome": b""}
            redis.xadd("linkrow:outcomes", fields | other)
    late = {"type": "writeback", "job_id": job_id, "account_id": "acct_a", "at": "1"}
    redis.xadd(
        "linkrow:outcomes", late | {"writeback": "conflict", "detail": "late", "device_id": ""}
    )
    recorder.drain()

    assert ledger.job("acct_a", job_id) == booked
    assert booked.conclusion is Conclusion.VALID
    assert booked.writeback is Writeback.WRITTEN


def the_same_recorder(arrives, recorder, world, ledger, redis, kill_a_recorder) -> None:
    recorder.drain()
    arrives()
    recorder.drain()


def the_same_batch(arrives, recorder, world, ledger, redis, kill_a_recorder) -> None:
    arrives()
    recorder.drain()


def another_recorder(arrives, recorder, world, ledger, redis, kill_a_recorder) -> None:
    recorder.drain()
    recorder.release()
    arrives()
    Recorder(world.broker, ledger).drain()


def one_that_was_killed_before_it_acknowledged(
    arrives, recorder, world, ledger, redis, kill_a_recorder
) -> None:
    assert kill_a_recorder("committed") == 9
    arrives()
    assert kill_a_recorder("committed", batch=2) == 9
    recorder.drain()


def the_next_life_of_redis(arrives, recorder, world, ledger, redis, kill_a_recorder) -> None:
    recorder.drain()
    redis.flushall()
    assert Clock(world.broker, ledger).rebuild()
    arrives()
    recorder.drain()


@pytest.mark.processes
@pytest.mark.parametrize(
    "meets",
    [
        the_same_batch,
        the_same_recorder,
        another_recorder,
        one_that_was_killed_before_it_acknowledged,
        the_next_life_of_redis,
    ],
    ids=lambda each: each.__name__.replace("_", " "),
)
def test_a_contradictory_ending_changes_nothing_whoever_meets_it(
    world, new_link, outcomes, ledger, redis, kill_a_recorder, meets
) -> None:
    job_id = world.admit(new_link("r_1")).jobs[0].job_id
    world.report(world.lease()[0], outcomes["bad certificate"])
    first = world.job(job_id)
    (event,) = (each for each in world.events() if each["type"] == "final")
    other = {"status": "done", "conclusion": "valid", "outcome": LANDED, "attempts": "7"}
    word = {"job_id": job_id, "account_id": "acct_a", "at": "1", "device_id": "", "detail": ""}

    def arrives() -> None:
        redis.xadd("linkrow:outcomes", event | other)
        for writeback in ("written", "conflict"):
            redis.xadd("linkrow:outcomes", word | {"type": "writeback", "writeback": writeback})
            redis.xadd("linkrow:outcomes", event | other | {"writeback": "pending"})

    meets(arrives, Recorder(world.broker, ledger), world, ledger, redis, kill_a_recorder)

    assert world.broker.backlog() == 0
    booked = ledger.job("acct_a", job_id).answer()
    assert booked.writeback is Writeback.WRITTEN
    assert booked.model_copy(update={"writeback": first.writeback}) == first
    with ledger._begin() as connection:
        assert connection.execute(sa.select(unreadable_events.c.why)).scalars().all() == []


def test_who_signed_a_job_stands_in_the_books(world, new_link, ledger) -> None:
    caller = world.caller(device="dev_7", body_sha256="ab" * 32)
    job_id = world.admit(new_link("r_1"), caller=caller).jobs[0].job_id
    Recorder(world.broker, ledger).drain()

    with ledger._begin() as connection:
        row = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id)).mappings().one()

    assert (row["key_id"], row["signed_at"], row["nonce"]) == (
        caller.key_id,
        caller.timestamp,
        caller.nonce,
    )
    assert (row["body_sha256"], row["admitted_by"]) == ("ab" * 32, "dev_7")
