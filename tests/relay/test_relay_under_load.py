"""Signed requests to a whole relay whose recorder or Redis is stopped or killed under them."""

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.relay.whole_relay import Caller, Up, child, eventually, is_back, row
from wire.signing import new_nonce

pytestmark = [pytest.mark.processes, pytest.mark.timeout(360)]
LIMIT = 100
KILLS = 6
CALLERS = 3
ROWS = 4
SECONDS = 110


Books = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(params=["sqlite", "postgres"])
def books(request: pytest.FixtureRequest, data: Path) -> tuple[dict[str, str], Books]:
    """The relay's settings for its ledger, and how the test reads it."""
    if request.param == "sqlite":

        def read(query: str) -> list[tuple[Any, ...]]:
            path = f"file:{data / 'ledger.sqlite3'}?mode=ro"
            with closing(sqlite3.connect(path, uri=True, timeout=30)) as ledger:
                return ledger.execute(query).fetchall()

        return {}, read
    url = str(request.getfixturevalue("postgres_url"))
    database, host = url.split("@/")[1].split("?host=")

    def ask(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(f"host={host} user=linkrow dbname={database}") as ledger:
            return ledger.execute(query).fetchall()

    return {"LINKROW_DATABASE_URL": url}, ask


# The backlog limit.


@contextmanager
def asleep(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def whole_state(redis: Any) -> dict[bytes, bytes]:
    """All of Redis but what moves by itself."""
    keys = [key for key in redis.scan_iter(count=10_000) if b":lock:" not in key]
    return {key: redis.dump(key) for key in keys}


def test_a_recorder_that_stands_still_stops_the_intake_whole_and_lets_it_go_on(
    up: Callable[..., Up], data: Path
) -> None:
    relay = up(LINKROW_BACKLOG_LIMIT=str(LIMIT))
    caller = Caller(relay, relay.wait_until_ready(SECONDS))
    taken: list[str] = []
    with relay.redis() as redis, asleep(child(data, "entry recorder")):
        for _ in range(2 * LIMIT):
            body, headers = caller.sign(
                "/v1/jobs", {"jobs": [row(len(taken))]}, idempotency_key=new_nonce()
            )
            status, told, answer = caller.send("/v1/jobs", body, headers)
            if status != 202:
                break
            taken.append(answer["jobs"][0]["job_id"])
        before = whole_state(redis)
        batch = {"jobs": [row(f"late_{n}") for n in range(50)]}
        late, signed = caller.sign("/v1/jobs", batch, idempotency_key=new_nonce())
        refusals = [caller.send("/v1/jobs", late, signed) for _ in range(2)]

        assert len(taken) == LIMIT  # and one event for their source
        for refused, how, why in [(status, told, answer), *refusals]:
            assert (refused, why["code"]) == (503, "recorder_behind")
            assert how["Content-Type"] == "application/problem+json"
            assert int(how["Retry-After"]) >= 1
        assert whole_state(redis) == before
        agent = {"max": 5, "sources": ["src_a"]}
        status, _, leased = caller.post("/v1/agent/lease", agent)
        assert (status, len(leased["leases"])) == (200, 5)

        child(data, "entry recorder").resume()
        eventually(lambda: redis.xlen("linkrow:outcomes") == 0, SECONDS)
        status, _, answer = caller.send("/v1/jobs", late, signed)  # bit by bit the same request

        assert status == 202, answer
        taken += [job["job_id"] for job in answer["jobs"]]
        eventually(lambda: redis.xlen("linkrow:outcomes") == 0, SECONDS)
    with closing(sqlite3.connect(data / "ledger.sqlite3")) as ledger:
        booked = [name for (name,) in ledger.execute("SELECT job_id FROM jobs")]
    assert sorted(booked) == sorted(taken)


# Kills.


class Load:
    """Callers who submit rows and a device that takes some of them, without a pause."""

    def __init__(self, caller: Caller) -> None:
        self.submitted: list[str] = []
        self.ended: list[str] = []
        self._caller, self._stop = caller, threading.Event()
        works = [*([self._submit] * CALLERS), self._work]
        self._threads = [threading.Thread(target=self._run, args=[work]) for work in works]
        self.failures: list[BaseException] = []
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            while not self._stop.is_set():
                work()
        except BaseException as error:
            self.failures.append(error)
            raise

    def _submit(self) -> None:
        key = new_nonce()
        rows = [row(f"{key}_{n}") for n in range(ROWS)]
        answer = self._caller.insist("/v1/jobs", {"jobs": rows}, idempotency_key=key)
        self.submitted += [job["job_id"] for job in answer["jobs"]]

    def _work(self) -> None:
        ask = {"max": 3, "sources": ["src_a"], "wait_seconds": 1}
        leases = self._caller.insist("/v1/agent/lease", ask)["leases"]
        landed = {"status": "done", "conclusion": "valid", "final_url": "https://shop.example/",
                  "http_status": 200}  # fmt: skip
        links = [lease for lease in leases if lease["kind"] == "link"]
        results = [
            {"job_id": each["job_id"], "lease_id": each["lease_id"], "outcome": landed}
            for each in links
        ]
        if results:
            said = self._caller.insist("/v1/agent/results", {"results": results})["results"]
            self.ended += [
                each["job_id"] for each in said if each["state"] in ("accepted", "duplicate")
            ]
        words = [{"job_id": each["job_id"], "writeback": "written"} for each in leases]
        if words:
            self._caller.insist("/v1/agent/writebacks", {"writebacks": words})

    def more(self, count: int) -> None:
        """Until so many more rows were taken."""
        enough = len(self.submitted) + count
        eventually(lambda: len(self.submitted) >= enough or bool(self.failures), SECONDS)
        assert not self.failures

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)


@pytest.mark.parametrize("victim", ["entry recorder", "redis-server"])
def test_every_row_taken_is_there_once_however_often_it_is_killed(
    up: Callable[..., Up], data: Path, books: tuple[dict[str, str], Books], victim: str
) -> None:
    settings, read = books
    relay = up(**settings)
    caller = Caller(relay, relay.wait_until_ready(SECONDS))
    moments = random.Random(20261121)
    load = Load(caller)
    try:
        for _ in range(KILLS):
            load.more(moments.randrange(1, 25))
            fallen = child(data, victim)
            fallen.kill()
            eventually(lambda gone=fallen.pid: is_back(data, victim, gone), SECONDS)
        load.more(20)
    finally:
        load.end()
    assert not load.failures

    with relay.redis() as redis:
        eventually(lambda: redis.xlen("linkrow:outcomes") == 0, SECONDS)
        assert redis.config_get("appendfsync") == {"appendfsync": "always"}
        waiting = [name.decode() for name in redis.lrange("rq:queue:links.src_a", 0, -1)]
        running = [name.decode().split(":")[0] for name in redis.zrange(
            "linkrow:leases:links.src_a", 0, -1)]  # fmt: skip
        charged = sum(int(redis.get(key)) for key in redis.scan_iter("linkrow:quota:*"))
        depth = int(redis.get(f"linkrow:depth:{caller.account}"))
    booked = dict(read("SELECT job_id, status FROM jobs"))
    assert len(load.submitted) == len(set(load.submitted))
    assert sorted(booked) == sorted(load.submitted)
    assert charged == len(booked)
    ended = {job_id for job_id, status in booked.items() if status == "done"}
    assert ended == set(load.ended)
    assert sorted([*waiting, *running]) == sorted(set(booked) - ended)
    assert depth == len(booked) - len(ended)
    assert read("SELECT count(*) FROM unreadable_events") == [(0,)]
