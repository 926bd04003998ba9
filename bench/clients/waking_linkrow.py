"""How long from handing a job in until an idle agent has it, over HTTP, so many times."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import redis as redis_py

from bench.clients.intake_linkrow import batch
from bench.relay import running_relay
from bench.timed import Timed
from wire.models import LeaseRequest

count = int(sys.argv[1])


def wait() -> tuple[float, str]:
    ask = LeaseRequest(max=1, sources=["src_bench"], wait_seconds=25)
    (lease,) = agent.lease(ask).leases
    return time.perf_counter(), lease.job_id


with (
    running_relay() as relay,
    redis_py.Redis(unix_socket_path=relay.redis_socket) as redis,
    ThreadPoolExecutor(1) as pool,
):
    portal, agent = relay.client(), relay.client()
    right = 0
    with Timed() as timed:
        for number in range(-1, count):  # the first one warms everything up
            waiting = pool.submit(wait)
            while not any(each["cmd"] == "blpop" for each in redis.client_list()):
                time.sleep(0.002)
            began = time.perf_counter()
            sent = portal.submit(batch(number + 1, 1), idempotency_key=f"wake-{number}")
            ended, job_id = waiting.result()
            if number >= 0:
                timed.waits.append(ended - began)
                right += job_id == sent.jobs[0].job_id
    portal.close()
    agent.close()
print(right)
timed.say()
