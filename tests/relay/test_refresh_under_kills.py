"""A whole relay is killed piece by piece while sources are refreshed: each refresh ends once."""

import json
import random
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.relay.whole_relay import Caller, Up, child, eventually, is_back, row
from wire.signing import new_nonce

pytestmark = [pytest.mark.processes, pytest.mark.timeout(360)]
REFRESHES = 8
ROWS = 5
SECONDS = 110
LANDED = {
    "status": "done", "conclusion": "valid", "final_url": "https://shop.example/",
    "http_status": 200,
}  # fmt: skip


class Agent:
    """Asks for refreshes of one source, one after the other, and does all that they need."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.asked: list[str] = []
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._caller.insist("/v1/sources", {"source_id": "src_a", "kind": "file"})
            for number in range(REFRESHES):
                self._refresh(number)
        except BaseException as error:
            self.failure = error
            raise

    def _refresh(self, number: int) -> None:
        insist = self._caller.insist
        key = new_nonce()
        answer = insist("/v1/sources/src_a/refresh", {}, idempotency_key=key)
        refresh_id = answer["refresh"]["refresh_id"]
        assert refresh_id not in self.asked
        self.asked.append(refresh_id)
        rows = [row(f"{number}_{n}") | {"refresh_id": refresh_id} for n in range(ROWS)]
        while True:
            progress = insist(f"/v1/sources/src_a/refreshes/{refresh_id}")
            if progress["state"] == "done":
                return
            assert progress["state"] in ("waiting_for_agent", "reading", "running"), progress
            ask = {"sources": ["src_a"], "capabilities": {"refresh": True}, "wait_seconds": 1}
            for lease in insist("/v1/agent/lease", ask)["leases"]:
                self._work(lease, rows, key)

    def _work(self, lease: dict[str, Any], rows: list[Any], key: str) -> None:
        insist = self._caller.insist
        held = {"job_id": lease["job_id"], "lease_id": lease["lease_id"]}
        if lease["kind"] == "refresh":
            for n, each in enumerate(rows):
                insist("/v1/jobs", {"jobs": [each]}, idempotency_key=f"{key}-{n}")
            insist("/v1/agent/refreshes", {"refreshes": [held | {"state": "read", "rows": ROWS}]})
            return
        if lease["kind"] == "link":
            insist("/v1/agent/results", {"results": [held | {"outcome": LANDED}]})
        word = {"job_id": lease["job_id"], "writeback": "written"}
        insist("/v1/agent/writebacks", {"writebacks": [word]})

    def has_come_to(self, count: int) -> bool:
        return len(self.asked) >= count or not self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(2 * SECONDS)
        assert not self._thread.is_alive()
        assert self.failure is None


@pytest.mark.parametrize("victim", ["entry serve", "entry recorder", "entry clock", "redis-server"])
def test_each_refresh_is_done_and_booked_once_however_often_it_is_killed(
    up: Callable[..., Up], data: Path, victim: str
) -> None:
    relay = up(LINKROW_LEASE_SECONDS="3", LINKROW_OBLIGATION_SECONDS="3")
    caller = Caller(relay, relay.wait_until_ready(SECONDS))
    moments = random.Random(20261121)
    agent = Agent(caller)
    for number in range(1, REFRESHES):
        eventually(lambda number=number: agent.has_come_to(number), SECONDS)
        threading.Event().wait(moments.random() / 5)  # somewhere in the middle of it
        fallen = child(data, victim)
        fallen.kill()
        eventually(lambda gone=fallen.pid: is_back(data, victim, gone), SECONDS)
    agent.join()

    with relay.redis() as redis:
        eventually(lambda: redis.xlen("linkrow:outcomes") == 0, SECONDS)
        assert int(redis.get(f"linkrow:depth:{caller.account}")) == 0
        assert redis.zcard("linkrow:refreshes") == 0
        assert redis.keys("linkrow:reading:*") == []
    with closing(sqlite3.connect(data / "ledger.sqlite3")) as ledger:
        booked = ledger.execute("SELECT refresh_id, state, rows, counts FROM refreshes").fetchall()
        jobs = ledger.execute(
            "SELECT refresh_id, count(*) FROM jobs WHERE writeback = 'written' GROUP BY refresh_id"
        ).fetchall()
        unreadable = ledger.execute("SELECT count(*) FROM unreadable_events").fetchall()
    assert sorted(name for name, *_ in booked) == sorted(agent.asked)
    assert {(state, rows) for _, state, rows, _ in booked} == {("done", ROWS)}
    wanted = {"submitted": ROWS, "finished": ROWS, "conclusion:valid": ROWS,
              "writeback:written": ROWS}  # fmt: skip
    assert [json.loads(counts) for *_, counts in booked] == [wanted] * REFRESHES
    assert sorted(jobs) == sorted((name, ROWS) for name in agent.asked)
    assert unreadable == [(0,)]
