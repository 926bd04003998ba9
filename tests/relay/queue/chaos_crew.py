"""A crew for test_chaos.py: agents that kill themselves, and meddlers who mean well.

Started with a Redis URL, a seed and the numbers of agents and meddlers. It forks them and puts a
new agent in the place of each dead one. On its stdin ``pause`` stops the agents where they stand,
``go`` lets them go on, and ``stop`` ends it; each is answered by how many were killed so far.
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

SETTINGS = QueueSettings(
    lease_seconds=1, obligation_seconds=1, max_deliveries=1000, retry_delays=(0.1, 0.1)
)
LANDED = {"status": "done", "conclusion": "valid", "http_status": 200}


def outcome_of(row_id: str) -> Outcome:
    """Every fifth row fails for good, every seventh after three attempts; the others land."""
    number = int(row_id.removeprefix("r_"))
    if number % 5 == 0:
        return Outcome(status="failed", conclusion="tls_error")
    if number % 7 == 0:
        return Outcome(status="failed", conclusion="timeout")
    return Outcome(**LANDED, final_url=f"https://shop.example/{row_id}")


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
            found, is_owed = lease.result or outcome_of(lease.row_id), True
            if lease.result is None:
                if chance.random() < 0.01:
                    time.sleep(1.3)  # past the lease
                report = Report(
                    job_id=lease.job_id,
                    lease_id=lease.lease_id,
                    outcome=found,
                )
                accepted = broker.report(caller(), [report])[0]
                danger(0.01)
                if chance.random() < 0.05:
                    accepted = broker.report(caller(), [report])[0]
                is_owed = accepted.writeback is Writeback.PENDING
            if is_owed:
                words = f"{found.conclusion} {found.final_url}"
                redis.hset("chaos:sheet", lease.row_id, words)
                danger(0.01)
                broker.note_writebacks(
                    caller(), [WritebackReport(job_id=lease.job_id, writeback="written")]
                )


def meddler(url: str, chance: random.Random, name: str) -> None:
    """One who puts something that looks lost into the queue again."""
    queue = Queue("links.src_a", connection=redis_py.Redis.from_url(url), serializer="json")
    while True:
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
    url, seed, agents, meddlers = sys.argv[1], *map(int, sys.argv[2:])
    count = killed = 0
    is_paused = False
    working: set[int] = set()
    meddling = {fork(meddler, url, seed + n, "meddler") for n in range(meddlers)}
    word = ""
    while word != "stop":
        while not is_paused and len(working) < agents:
            count += 1
            working.add(fork(agent, url, seed * 1000 + count, f"dev_{count}"))
        for child in list(working):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                working.discard(child)
                killed += os.WIFSIGNALED(status)
                if not os.WIFSIGNALED(status):
                    sys.exit(f"an agent stopped by itself with {status}")
        if not select.select([sys.stdin], [], [], 0.01)[0]:
            continue
        word = sys.stdin.readline().strip() or "stop"
        is_paused = word == "pause"
        if word == "stop":
            for child in working | meddling:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        else:
            for child in list(working):
                os.kill(child, signal.SIGSTOP if is_paused else signal.SIGCONT)
                if is_paused and os.WIFSIGNALED(os.waitpid(child, os.WUNTRACED)[1]):
                    working.discard(child)
                    killed += 1
        print(json.dumps({"killed": killed}), flush=True)


if __name__ == "__main__":
    main()
