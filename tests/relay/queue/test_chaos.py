"""Agents are killed by the dozen and strangers meddle: each job ends once, each row is right."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from relay.queue.broker import Broker
from wire.models import JobRequest

pytestmark = pytest.mark.processes
CREW = Path(__file__).with_name("chaos_crew.py")
ROOT = Path(__file__).parents[3]
JOBS = 300


@pytest.mark.parametrize("seed", [1, 2])
def test_every_job_ends_once_however_many_agents_die(world, new_link, redis_url, seed) -> None:
    broker: Broker = world.broker
    wanted = set()
    for start in range(0, JOBS, 100):
        jobs: list[JobRequest] = [new_link(f"r_{start + n}") for n in range(100)]
        wanted |= {job.job_id for job in world.admit(*jobs).jobs}
    crew = subprocess.Popen(
        [sys.executable, CREW, redis_url, str(seed), "4", "2"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while len(world.endings()) < JOBS or world.redis.zcard("linkrow:unserved"):
            assert crew.poll() is None
            assert time.monotonic() < until, "it does not come to an end"
            broker.sweep()
            time.sleep(0.05)
    finally:
        said, _ = crew.communicate("stop\n", timeout=30)
    world.lease()  # whatever the strangers queued last is put right

    assert json.loads(said)["killed"] > 0
    endings = Counter(job_id for job_id, _ in world.endings())
    written = Counter(e["job_id"] for e in world.events() if e["type"] == "writeback")
    assert set(endings) == set(written) == wanted
    assert set(endings.values()) == set(written.values()) == {1}
    assert world.redis.hgetall("chaos:sheet") == {
        f"r_{n}".encode(): f"https://shop.example/r_{n}".encode() for n in range(JOBS)
    }
    assert world.redis.get("linkrow:depth:acct_a") == b"0"
    assert world.redis.zcard("linkrow:expires") == 0
    assert world.redis.keys("linkrow:leases:*") == []
    assert world.redis.keys("rq:wip:*") == []
    assert world.redis.keys("rq:execution*") == []
    assert world.redis.keys("linkrow:live:*") == []
