"""Redis is emptied again and again under signed requests at the quota's edge: overshoot 0."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from relay import clock as clock_module
from relay import recorder as recorder_module
from relay.clock import Clock
from relay.ledger.ledger import Ledger
from relay.ledger.schema import jobs
from relay.queue.broker import Broker
from relay.recorder import Recorder

QUOTA = 660
LOSSES = 20
CALLERS = 6
SECONDS = 100.0
PUT_OFF = {"rebuilding", "stale_timestamp", "redis_unavailable", "ledger_unavailable"}


def eventually(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, f"did not come about: {what}"
        time.sleep(0.01)


def booked(ledger: Ledger) -> set[str]:
    with ledger._begin() as connection:
        return set(connection.execute(sa.select(jobs.c.job_id)).scalars())


class SlowBooks:
    """The ledger as a recorder sees it, which may be held with a batch that it has read."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._free, self._is_held = threading.Event(), threading.Event()
        self._free.set()

    def record(self, *args: Any, **named: Any) -> Any:
        if not self._free.is_set():
            self._is_held.set()
        assert self._free.wait(SECONDS)
        return self._ledger.record(*args, **named)

    @contextmanager
    def held(self, *, unless: Callable[[], bool]) -> Iterator[None]:
        """From when a batch was read, if there is one to come."""
        self._free.clear()
        try:
            eventually(lambda: self._is_held.is_set() or unless(), "a batch is read")
            yield
        finally:
            self._is_held.clear()
            self._free.set()


class Callers:
    """Several callers who submit one row after another, each signed, until they are stopped."""

    def __init__(self, service: Any, job: Callable[..., dict[str, Any]]) -> None:
        self.said: Counter[str] = Counter()
        self.stop = threading.Event()
        self._service, self._job = service, job
        self._threads = [threading.Thread(target=self._call, args=[n]) for n in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call(self, number: int) -> None:
        client = self._service.client.application.test_client()
        row = 0
        while not self.stop.is_set():
            row += 1
            answer = self._submit(client, f"r_{number}_{row}")
            self.said[answer] += 1
            if answer == "quota_exceeded":
                self.stop.wait(0.02)

    def _submit(self, client: Any, row_id: str) -> str:
        service = type(self._service)(
            books=self._service.books, broker=self._service.broker, client=client
        )
        answer = service.submit(self._job(row_id))
        return "taken" if answer.status_code == 202 else str(answer.json["code"])

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(SECONDS)


@pytest.fixture
def books(database_url: str, make_books: Callable[[str], Any]) -> Iterator[Any]:
    books = make_books(database_url).fill(rows_per_day=QUOTA)
    yield books
    books.ledger.close()


@pytest.fixture
def run_beside(books: Any) -> Iterator[Callable[[Callable[[threading.Event], None]], None]]:
    """Run a part of the relay until the test is over."""
    stop, threads = threading.Event(), []

    def run(part: Callable[[threading.Event], None]) -> None:
        threads.append(threading.Thread(target=part, args=[stop]))
        threads[-1].start()

    yield run
    stop.set()
    for thread in threads:
        thread.join(SECONDS)


@pytest.mark.timeout(300)
def test_no_row_more_than_the_quota_is_ever_booked_however_often_redis_is_emptied(
    books, redis, broker: Broker, make_service, job, run_beside, monkeypatch
) -> None:
    monkeypatch.setattr(clock_module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(recorder_module, "_PAUSE_SECONDS", 0.05)
    slow = SlowBooks(books.ledger)
    run_beside(Recorder(broker, slow).run)
    run_beside(Clock(broker, books.ledger).run)
    run_beside(Clock(broker, books.ledger).run)
    callers = Callers(make_service(books, broker), job)
    try:
        for loss in range(LOSSES):
            enough = QUOTA * (loss + 1) // (LOSSES + 2)
            eventually(lambda enough=enough: len(booked(books.ledger)) >= enough, "rows are booked")
            if loss % 2 == 0:
                redis.flushall()
            else:
                with slow.held(unless=lambda: len(booked(books.ledger)) == QUOTA):
                    redis.flushall()
                    eventually(broker.is_ready, "it is open again")
            assert len(booked(books.ledger)) <= QUOTA
        eventually(lambda: len(booked(books.ledger)) >= QUOTA, "the quota is used up")
        redis.flushall()  # and once more with nothing left to take
        refused = callers.said["quota_exceeded"]
        eventually(lambda: callers.said["quota_exceeded"] > refused + CALLERS, "it is refused")
    finally:
        callers.end()

    eventually(lambda: broker.backlog() == 0, "everything is booked")
    assert len(booked(books.ledger)) == QUOTA
    account = books.keys["ours"].account_id
    waiting = redis.lrange("rq:queue:links.src_a", 0, -1)
    assert {name.decode() for name in waiting} == booked(books.ledger)
    assert len(waiting) == QUOTA
    assert redis.get(f"linkrow:depth:{account}") == str(QUOTA).encode()
    assert int(redis.get(f"linkrow:quota:{account}:{redis.time()[0] // 86400}")) == QUOTA
    assert set(callers.said) <= PUT_OFF | {"taken", "quota_exceeded"}
