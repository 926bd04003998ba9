"""Redis loses everything at the worst moments: the quota holds, and no booked job is stranded."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from relay import clock as clock_module
from relay.clock import Clock
from relay.errors import LedgerUnavailable, OfAnotherLife
from relay.ledger.ledger import Ledger
from relay.ledger.schema import jobs
from relay.queue.errors import NonceReplayed, QuotaExceeded
from relay.queue.refill import Overtaken
from relay.queue.terms import Limits
from relay.recorder import Recorder
from wire.models import LeaseRequest, WritebackReport
from wire.vocab import Writeback

QUOTA = 10
SECONDS = 60


class Gate:
    """Where somebody waits until the test lets them go on."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def wait_here(self, *_: object) -> None:
        self._reached.set()
        assert self._open.wait(SECONDS)

    def wait_until_reached(self) -> None:
        assert self._reached.wait(SECONDS)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def aside() -> Iterator[Callable[..., "Future[Any]"]]:
    """Do something beside the test."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


@pytest.fixture
def open_again(redis) -> Callable[[Clock], None]:
    def rebuild(clock: Clock) -> None:
        assert clock.rebuild()
        redis.set("linkrow:epoch", 0)  # what a test signs may be a second old

    return rebuild


@pytest.fixture
def fill_up(world, new_link) -> Callable[[str], int]:
    """Admit jobs one by one until the quota says no. How many that were."""

    def fill(name: str) -> int:
        for taken in range(10 * QUOTA):
            try:
                world.admit(new_link(f"r_{name}_{taken}"), limits=Limits(rows_per_day=QUOTA))
            except QuotaExceeded:
                return taken
        raise AssertionError("there is no quota")

    return fill


def eventually(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def booked(ledger: Ledger) -> set[str]:
    with ledger._begin() as connection:
        return set(connection.execute(sa.select(jobs.c.job_id)).scalars())


def waiting(redis) -> list[str]:
    return sorted(name.decode() for name in redis.lrange("rq:queue:links.src_a", 0, -1))


def test_a_batch_read_before_the_loss_is_not_booked_after_the_count(
    world, redis, ledger, new_link, aside, open_again, fill_up
) -> None:
    gate, recorder = Gate(), Recorder(world.broker, ledger)
    recorder._ledger = before(ledger, "record", gate.wait_here)
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    late = aside(recorder.drain)
    gate.wait_until_reached()

    redis.flushall()
    open_again(Clock(world.broker, ledger))
    assert fill_up("new") == QUOTA
    gate.open()
    with pytest.raises(OfAnotherLife):
        late.result(SECONDS)

    redis.delete("linkrow:lock:recorder")
    Recorder(world.broker, ledger).drain()
    assert len(booked(ledger)) == QUOTA
    assert sorted(booked(ledger)) == waiting(redis)


def test_the_count_waits_for_a_batch_that_is_being_booked(
    world, redis, ledger, database_url, new_link, aside, open_again, fill_up
) -> None:
    gate, elsewhere, recorder = Gate(), Ledger.open(database_url), Recorder(world.broker, ledger)
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    with in_the_middle_of(ledger, "INSERT INTO", gate.wait_here):
        late = aside(recorder.drain)
        gate.wait_until_reached()
        redis.flushall()
        rebuilt = aside(open_again, Clock(world.broker, elsewhere))
        eventually(lambda: redis.exists("linkrow:life"))
        for _ in range(30):  # a rebuild that does not wait opens the store in less
            assert not world.broker.is_ready()
            time.sleep(0.01)
        gate.open()
        late.result(SECONDS)
    rebuilt.result(SECONDS)
    elsewhere.close()

    assert fill_up("new") == QUOTA - 3
    recorder.drain()
    assert len(booked(ledger)) == QUOTA
    assert sorted(booked(ledger)) == waiting(redis)


def test_what_was_booked_before_the_loss_is_acknowledged_to_nobody_after_it(
    world, redis, ledger, new_link, aside, open_again
) -> None:
    gate, recorder = Gate(), Recorder(world.broker, ledger)
    old = world.admit(new_link("r_old")).jobs[0].job_id
    taken = [entry_id for entry_id, _ in redis.xrange("linkrow:outcomes")]
    recorder._broker = before(world.broker, "forget", gate.wait_here)
    late = aside(recorder.step, block_ms=None)
    gate.wait_until_reached()

    redis.flushall()
    open_again(Clock(world.broker, ledger))
    new = world.admit(new_link("r_new")).jobs[0].job_id
    ((_, event),) = redis.xrange("linkrow:outcomes")
    redis.delete("linkrow:outcomes")
    redis.xadd("linkrow:outcomes", event, id=taken[-1])  # as it may be within a millisecond
    gate.open()
    late.result(SECONDS)

    redis.delete("linkrow:lock:recorder")
    Recorder(world.broker, ledger).drain()
    assert booked(ledger) == {old, new}
    assert world.job(old).status == "queued"


def test_a_second_loss_in_the_middle_of_a_rebuild_opens_nothing_by_halves(
    world, redis, ledger, new_link, fill_up
) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    Recorder(world.broker, ledger).drain()
    redis.flushall()
    clock = Clock(world.broker, while_read(ledger, "owed", redis.flushall))

    assert clock.rebuild() is False
    assert not world.broker.is_ready()
    Clock(world.broker, ledger).tick()

    redis.set("linkrow:epoch", 0)
    assert fill_up("new") == QUOTA - 3
    assert len(waiting(redis)) == QUOTA


def test_a_rebuild_that_slept_while_another_one_opened_takes_nothing_back(
    world, redis, ledger, new_link, aside, open_again, fill_up
) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    Recorder(world.broker, ledger).drain()
    redis.flushall()
    gate = Gate()
    slow = aside(Clock(world.broker, while_read(ledger, "admitted_on", gate.wait_here)).rebuild)
    gate.wait_until_reached()

    redis.delete("linkrow:lock:rebuild")  # it has run out
    open_again(Clock(world.broker, ledger))
    taken = fill_up("new")
    gate.open()

    assert slow.result(SECONDS) is False
    assert taken == QUOTA - 3
    assert fill_up("more") == 0
    assert len(waiting(redis)) == QUOTA


@pytest.mark.parametrize(
    "step", ["all_sources", "admitted_on", "refresh_counts", "unfinished", "owed"]
)
def test_an_overtaken_rebuild_stops_at_its_next_step(
    world, redis, ledger, new_link, step: str
) -> None:
    world.admit(new_link("r_1", refresh_id="rf_1795200000_aaaaaaaa"))
    Recorder(world.broker, ledger).drain()
    redis.flushall()

    def overtake() -> None:
        redis.set("linkrow:life", "another")

    assert Clock(world.broker, while_read(ledger, step, overtake)).rebuild() is False

    left = {key.decode() for key in redis.scan_iter()}
    assert "linkrow:epoch" not in left
    assert ("rq:queue:links.src_a" in left) == (step == "owed")
    assert ("linkrow:source:src_a" in left) == (step != "all_sources")
    assert redis.get("linkrow:life") == b"another"


def test_an_open_store_is_not_rebuilt(world, redis) -> None:
    with pytest.raises(Overtaken):
        world.broker.begin_life("mine")
    with pytest.raises(Overtaken):
        world.broker.rebuild(sources=(), quotas=[("acct_a", 0)], unfinished=(), owed=())

    assert redis.get("linkrow:quota:acct_a:0") is None
    assert world.broker.life() == ""


def test_the_lock_of_a_rebuild_lives_as_long_as_the_rebuild(
    world, redis, ledger, monkeypatch
) -> None:
    monkeypatch.setattr(clock_module, "_LOCK_SECONDS", 1.5)
    redis.flushall()

    def until_renewed() -> None:
        for _ in range(2):
            eventually(lambda: redis.pttl("linkrow:lock:rebuild") < 1100)
            eventually(lambda: redis.pttl("linkrow:lock:rebuild") > 1100)
        assert Clock(world.broker, ledger).rebuild() is False

    assert Clock(world.broker, while_read(ledger, "owed", until_renewed)).rebuild()
    assert not redis.exists("linkrow:lock:rebuild")


def test_a_row_that_nobody_can_read_keeps_no_other_from_waiting_and_counts(
    world, redis, ledger, new_link, open_again, fill_up
) -> None:
    ids = [job.job_id for job in world.admit(*(new_link(f"r_{n}") for n in range(3))).jobs]
    Recorder(world.broker, ledger).drain()
    with ledger._begin() as connection:
        connection.execute(
            jobs.update().where(jobs.c.job_id == ids[1]).values(request='{"tracking_url":')
        )
    redis.flushall()

    open_again(Clock(world.broker, ledger))

    assert waiting(redis) == sorted([ids[0], ids[2]])
    assert fill_up("new") == QUOTA - 3


def test_a_refresh_whose_rows_joined_anothers_jobs_is_counted_to_its_end(
    world, redis, ledger, new_link, open_again
) -> None:
    first, second = "rf_1795200000_aaaaaaaa", "rf_1795200000_bbbbbbbb"

    def write(job_id: str) -> None:
        word = WritebackReport(job_id=job_id, writeback=Writeback.WRITTEN)
        world.broker.note_writebacks(world.caller(device="dev_1"), [word])

    def settle() -> None:
        for lease in world.lease(max=1):
            if lease.kind == "link":
                world.report(lease)
            write(lease.job_id)

    world.admit(*(new_link(f"r_{n}", refresh_id=first) for n in range(4)))
    joined = world.admit(*(new_link(f"r_{n}", refresh_id=second) for n in range(5))).jobs
    settle()
    world.report(world.lease(max=1)[0])  # its row is not written yet
    before_it = [world.broker.progress("acct_a", refresh) for refresh in (first, second)]
    Recorder(world.broker, ledger).drain()
    redis.flushall()

    open_again(Clock(world.broker, ledger))

    assert [job.disposition for job in joined] == ["coalesced"] * 4 + ["created"]
    assert [world.broker.progress("acct_a", each) for each in (first, second)] == before_it
    assert world.redis.hget(f"rq:job:{joined[2].job_id}", "lr_followers") == b"1"
    for _ in range(4):
        settle()
    for refresh, rows in ((first, 4), (second, 5)):
        progress = world.broker.progress("acct_a", refresh)
        assert (progress.state, progress.submitted, progress.finished) == ("done", rows, rows)
        assert progress.by_writeback == {Writeback.WRITTEN: rows}


def test_what_a_fast_clock_signed_is_not_admitted_again_after_a_loss(
    world, redis, ledger, new_link
) -> None:
    ahead = redis.time()[0] + 250
    caller = world.caller(timestamp=ahead, key_id="lrk_fast")
    world.admit(new_link(None, source_id=None), caller=caller, key="once")
    (lease,) = world.broker.lease(
        world.caller(device="dev_1"), LeaseRequest(max=1, sources=[], sourceless=True)
    )
    world.report(lease)
    Recorder(world.broker, ledger).drain()
    redis.flushall()
    assert Clock(world.broker, ledger).rebuild()

    with pytest.raises(NonceReplayed):
        world.admit(new_link(None, source_id=None), caller=caller, key="once")

    assert 0 < redis.ttl(f"linkrow:nonce:lrk_fast:{caller.nonce}") <= 250 + 360
    assert redis.keys("rq:job:*") == []


def test_midnight_in_the_middle_of_a_rebuild_counts_no_day_twice(
    world, redis, ledger, new_link, open_again, fill_up
) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    Recorder(world.broker, ledger).drain()
    today = redis.time()[0] // 86400
    redis.flushall()

    world.broker.rebuild(
        sources=(), quotas=[("acct_a", QUOTA)], unfinished=(), owed=(), day=today - 1
    )

    redis.set("linkrow:epoch", 0)
    assert fill_up("new") == QUOTA


def test_books_put_back_from_a_copy_go_on_with_the_redis_there_is(
    world, redis, ledger, new_link, open_again
) -> None:
    redis.flushall()
    open_again(Clock(world.broker, ledger))
    assert ledger.begin_life("of the copy", instead_of=ledger.life())
    job_id = world.admit(new_link("r_1")).jobs[0].job_id
    recorder = Recorder(world.broker, ledger)
    with pytest.raises(OfAnotherLife):
        recorder.drain()
    assert world.broker.backlog()

    Clock(world.broker, ledger).tick()

    assert recorder.drain()
    assert ledger.job("acct_a", job_id)


# PostgreSQL's connections are cut by its operator.


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(postgres_url)
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def cut(postgres_url: str) -> Iterator[Callable[[], int]]:
    """End every connection to the ledger. How many there were."""
    database, host = postgres_url.split("@/")[1].split("?host=")
    with psycopg.connect(f"host={host} user=linkrow dbname=postgres", autocommit=True) as operator:

        def end() -> int:
            return len(
                operator.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [database],
                ).fetchall()
            )

        yield end


@pytest.mark.parametrize("table", ["sources", "count(*)", "writeback = 'pending'"])
def test_a_rebuild_cut_off_from_the_books_opens_nothing_and_is_done_again(
    world, redis, on_postgres, cut, new_link, fill_up, table: str
) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(3)))
    Recorder(world.broker, on_postgres).drain()
    redis.flushall()
    clock = Clock(world.broker, on_postgres)

    with in_the_middle_of(on_postgres, table, cut), pytest.raises(LedgerUnavailable):
        clock.tick()
    assert not world.broker.is_ready()
    assert not redis.exists("linkrow:lock:rebuild")
    clock.tick()

    redis.set("linkrow:epoch", 0)
    assert fill_up("new") == QUOTA - 3
    assert len(waiting(redis)) == QUOTA


def test_a_recorder_whose_connections_are_cut_again_and_again_books_everything_once(
    world, redis, on_postgres, cut, new_link, aside
) -> None:
    ids = [
        job.job_id
        for batch in range(60)
        for job in world.admit(*(new_link(f"r_{batch}_{n}") for n in range(50))).jobs
    ]
    recorder, cuts = Recorder(world.broker, on_postgres), []

    def cut_now(*_: object) -> None:
        if len(cuts) < 10:
            cuts.append(cut())

    def run() -> None:
        while world.broker.backlog():
            try:
                recorder.drain()
            except LedgerUnavailable:
                continue

    with on_commit(on_postgres, cut_now):
        aside(run).result(SECONDS)

    assert len(cuts) == 10
    assert booked(on_postgres) == set(ids)
    with on_postgres._begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM unreadable_events")) == 0


# What happens in between.


def before(thing: Any, method: str, happens: Callable[..., object]) -> Any:
    """*thing*, in whose life something happens each time before *method* is called."""

    class Watched:
        def __getattr__(self, name: str) -> Any:
            found = getattr(thing, name)
            if name != method:
                return found

            def call(*args: object, **named: object) -> object:
                happens()
                return found(*args, **named)

            return call

    return Watched()


def while_read(ledger: Ledger, method: str, happens: Callable[[], object]) -> Any:
    """*ledger*, in whose life something happens when what *method* answers is read."""

    class Watched:
        def __getattr__(self, name: str) -> Any:
            found = getattr(ledger, name)
            if name != method:
                return found

            def call(*args: object, **named: object) -> Iterator[object]:
                happens()
                yield from found(*args, **named)

            return call

    return Watched()


@contextmanager
def on_commit(ledger: Ledger, happens: Callable[..., object]) -> Iterator[None]:
    """*happens* when a transaction has said everything and is about to be committed."""
    sa.event.listen(ledger._engine, "commit", happens)
    try:
        yield
    finally:
        sa.event.remove(ledger._engine, "commit", happens)


@contextmanager
def in_the_middle_of(ledger: Ledger, words: str, happens: Callable[[], object]) -> Iterator[None]:
    """*happens* when a statement with *words* is about to be executed."""

    def look(connection: object, cursor: object, statement: str, *_: object) -> None:
        if words in statement:
            happens()

    sa.event.listen(ledger._engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        sa.event.remove(ledger._engine, "before_cursor_execute", look)
