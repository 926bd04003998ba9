"""Hand in so many jobs, signed, in batches of 500, to the real service over HTTP."""

import sys
from concurrent.futures import ThreadPoolExecutor

import redis as redis_py

from bench.relay import running_relay
from bench.timed import Timed
from connector.relay_client import RelayClient
from wire.models import JobRequest

BATCH, SENDERS = 500, 2


def batch(first: int, size: int) -> list[JobRequest]:
    return [
        JobRequest(
            tracking_url=f"https://trk.example/click?campaign=spring&affiliate=4711&offer={n}",
            expected_domain="shop.example",
            source_id="src_bench",
            row_id=f"r_{n:07d}",
        )
        for n in range(first, first + size)
    ]


def hand_in(client: RelayClient, count: int) -> Timed:
    """So many jobs; the time it took, without making them up and without the first request."""
    client.submit(batch(0, 1), idempotency_key="warm-up")
    batches = [batch(first, min(BATCH, count - first)) for first in range(0, count, BATCH)]
    with ThreadPoolExecutor(SENDERS) as pool, Timed() as timed:
        answers = pool.map(
            lambda jobs: client.submit(jobs, idempotency_key=f"from-{jobs[0].row_id}"), batches
        )
        taken = sum(len(answer.jobs) for answer in answers)
    if taken != count:
        raise RuntimeError(f"{taken} of {count} jobs were taken")
    return timed


def main() -> None:
    count = int(sys.argv[1])
    with running_relay() as relay, redis_py.Redis(unix_socket_path=relay.redis_socket) as redis:
        client = relay.client()
        timed = hand_in(client, count)
        client.close()
        print(count, redis.llen("rq:queue:links.src_bench"))
    timed.say()


if __name__ == "__main__":
    main()
