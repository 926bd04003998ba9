"""The recorder is killed at every step of its work, and the books are right all the same."""

import itertools
from pathlib import Path

import pytest
import sqlalchemy as sa

from relay.ledger.ledger import Ledger
from relay.ledger.schema import jobs
from relay.recorder import Recorder
from wire.models import WritebackReport
from wire.vocab import Writeback

pytestmark = pytest.mark.processes
HERE = Path(__file__).parent
MOMENTS = ("read", "committed", "forgotten", "acknowledged")
ROUNDS = 20


def test_nothing_is_lost_or_doubled_however_often_it_is_killed(
    world, new_link, ledger, kill_a_recorder, redis, outcomes
) -> None:
    seen: dict[str, str] = {}
    row = itertools.count()
    for _, moment in zip(range(ROUNDS), itertools.cycle(MOMENTS), strict=False):
        admitted = world.admit(*(new_link(f"r_{next(row)}") for _ in range(3)))
        for lease, outcome in zip(world.lease(), ("landed", "bad certificate"), strict=False):
            job = world.report(lease, outcomes[outcome])
            seen[job.job_id] = outcomes[outcome].conclusion
            world.broker.note_writebacks(
                world.caller(device="dev_1"),
                [WritebackReport(job_id=job.job_id, writeback=Writeback.WRITTEN)],
            )
        world.broker.cancel("acct_a", admitted.jobs[-1].job_id)
        assert kill_a_recorder(moment) == 9

    Recorder(world.broker, ledger).drain()

    events = world.broker.backlog()
    pending = redis.xpending("linkrow:outcomes", "recorder")["pending"]
    assert (events, pending) == (0, 0)
    with ledger._begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(jobs)) == 3 * ROUNDS
    assert len(seen) >= ROUNDS
    for job_id, conclusion in seen.items():
        booked = ledger.job("acct_a", job_id)
        assert (booked.conclusion, booked.writeback) == (conclusion, Writeback.WRITTEN)
    unfinished = {job.job_id for job in ledger.unfinished()}
    for key in redis.scan_iter("rq:job:*"):
        job_id = key.decode().removeprefix("rq:job:")
        assert (job_id in unfinished) == (redis.ttl(key) == -1), "ended jobs go in a minute"


def test_two_recorders_are_never_at_it_together(world, new_link, ledger) -> None:
    world.admit(new_link("r_1"))
    first, second = (Recorder(world.broker, ledger) for _ in range(2))
    assert first.drain()
    world.admit(new_link("r_2"))

    assert second.drain() == 0
    first.release()
    assert second.drain() >= 1


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"type": "final"}, id="half an event"),
        pytest.param({"snowman": "☃"}, id="no event"),
        pytest.param({b"\xff": b"\xfe\x00"}, id="no text"),
        pytest.param(
            {"type": "final", "job_id": "x", "account_id": "a", "at": "1", "status": "done",
             "conclusion": "valid", "outcome": "", "skip_reason": "", "attempts": "9" * 30,
             "device_id": "", "writeback": "none"},
            id="a number no column holds",
        ),
        pytest.param(
            {"type": "writeback", "job_id": "x", "account_id": "a", "at": "nan",
             "writeback": "written", "detail": "", "device_id": ""},
            id="no time",
        ),
        pytest.param(
            {"type": "admitted", "account_id": "a", "key_id": "k", "device_id": "",
             "timestamp": "1", "nonce": "n", "body_sha256": "", "at": "1",
             "jobs": '[{"job_id":"\\ud800","request":{"tracking_url":"https://a.example/"}}]'},
            id="half a character",
        ),
        pytest.param(
            {"type": "source", "source_id": "s" * 5000 + "\0", "account_id": "a", "at": "1",
             "device_id": "d" * 5000},
            id="a name too long",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_booked_is_set_aside_and_blocks_nothing(
    world, new_link, ledger, redis, fields
) -> None:
    before = world.admit(new_link("r_1")).jobs[0].job_id
    redis.xadd("linkrow:outcomes", fields)
    after = world.admit(new_link("r_2")).jobs[0].job_id

    Recorder(world.broker, ledger).drain()

    assert world.broker.backlog() == 0
    assert ledger.job("acct_a", before)
    assert ledger.job("acct_a", after)


def test_one_job_that_cannot_be_booked_costs_its_request_no_other(
    world, new_link, ledger, redis
) -> None:
    ids = [job.job_id for job in world.admit(*(new_link(f"r_{n}") for n in range(5))).jobs]
    ((entry_id, event),) = [
        (entry_id, fields)
        for entry_id, fields in redis.xrange("linkrow:outcomes")
        if fields[b"type"] == b"admitted"
    ]
    redis.xdel("linkrow:outcomes", entry_id)
    broken = event[b"jobs"].replace(ids[2].encode(), b"\\ud800")
    redis.xadd("linkrow:outcomes", event | {b"jobs": broken})

    Recorder(world.broker, ledger).drain()

    assert world.broker.backlog() == 0
    assert [ledger.job("acct_a", job_id) is not None for job_id in ids] == [
        True, True, False, True, True,
    ]  # fmt: skip
    with ledger._begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM unreadable_events")) == 1


def test_the_books_wait_while_the_database_is_gone(
    world, new_link, ledger, database_url: str
) -> None:
    job_id = world.admit(new_link("r_1")).jobs[0].job_id
    gone = Ledger.open("postgresql+psycopg://nobody@127.0.0.1:1/none")
    recorder = Recorder(world.broker, gone)

    with pytest.raises(Exception, match="does not answer"):
        recorder.drain()
    recorder.release()

    assert world.broker.backlog()
    assert world.job(job_id)
    Recorder(world.broker, ledger).drain()
    assert ledger.job("acct_a", job_id)
