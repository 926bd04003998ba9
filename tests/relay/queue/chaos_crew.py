"""A crew for test_chaos.py: agents that kill themselves, and readers that let RQ clean up.

Started with a Redis URL, a seed and the numbers of agents and viewers. It forks them, puts a new
agent in the place of each dead one, and ends with its stdin; then it says how many were killed.
"""

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import redis as redis_py
from rq import Queue

from relay.queue.broker import Broker
from relay.queue.terms import Caller, QueueSettings
from wire.models import LeaseRequest, Outcome, Report, WritebackReport
from wire.vocab import Writeback

SETTINGS = QueueSettings(lease_seconds=1, obligation_seconds=1, max_deliveries=1000)
LANDED = {"status": "done", "conclusion": "valid", "http_status": 200}


def agent(url: str, chance: random.Random, name: str) -> None:
    redis = redis_py.Redis.from_url(url)
    broker = Broker(redis, settings=SETTINGS)

    def caller() -> Caller:
        return Caller(account_id="acct_a", key_id="lrk_a", timestamp=0, nonce="-", device_id=name)

    def danger(likely: float) -> None:
        if chance.random() < likely:
            os.kill(os.getpid(), signal.SIGKILL)

    while True:
        leases = broker.lease(caller(), LeaseRequest(sources=["src_a"], max=10))
        if not leases:
            time.sleep(0.02)
        for lease in leases:
            danger(0.01)
            if lease.result is None:
                if chance.random() < 0.01:
                    time.sleep(1.3)  # past the lease
                final_url = f"https://shop.example/{lease.row_id}"
                report = Report(
                    job_id=lease.job_id,
                    lease_id=lease.lease_id,
                    outcome=Outcome(**LANDED, final_url=final_url),
                )
                accepted = broker.report(caller(), [report])[0]
                danger(0.01)
                if chance.random() < 0.05:
                    accepted = broker.report(caller(), [report])[0]
                is_owed = accepted.writeback is Writeback.PENDING
            else:
                final_url, is_owed = str(lease.result.final_url), True
            if is_owed:
                redis.hset("chaos:sheet", lease.row_id, final_url)
                danger(0.01)
                broker.note_writebacks(
                    caller(), [WritebackReport(job_id=lease.job_id, writeback="written")]
                )


def viewer(url: str, chance: random.Random, name: str) -> None:
    queue = Queue("links.src_a", connection=redis_py.Redis.from_url(url), serializer="json")
    while True:
        registries = (
            queue.started_job_registry,
            queue.finished_job_registry,
            queue.failed_job_registry,
            queue.scheduled_job_registry,
        )
        for registry in registries:
            registry.get_job_ids()
        # And one that means well: it puts something that looks lost into the queue again.
        ids = queue.finished_job_registry.get_job_ids(0, 50)
        if ids:
            again = chance.choice(ids)
            queue.connection.hset(f"rq:job:{again}", "status", "queued")
            queue.connection.rpush(queue.key, again)


def fork(work: Callable[[str, random.Random, str], None], url: str, seed: int, name: str) -> int:
    child = os.fork()
    if child == 0:
        with suppress(redis_py.exceptions.ConnectionError):
            work(url, random.Random(seed), name)
        os._exit(0)
    return child


def main() -> None:
    url, seed, agents, viewers = sys.argv[1], *map(int, sys.argv[2:])
    count = killed = 0
    working: set[int] = set()
    watching = {fork(viewer, url, seed + n, "viewer") for n in range(viewers)}
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        while len(working) < agents:
            count += 1
            working.add(fork(agent, url, seed * 1000 + count, f"dev_{count}"))
        for child in list(working):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                working.discard(child)
                killed += os.WIFSIGNALED(status)
                if not os.WIFSIGNALED(status):
                    sys.exit(f"an agent stopped by itself with {status}")
    for child in working | watching:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(json.dumps({"killed": killed}))


if __name__ == "__main__":
    main()
