"""What a job costs in Redis, state by state: ``python -m bench.queue_memory [--jobs N] [--json]``.

A private Redis is filled by the product's own broker and drained by its own recorder, once with
Redis' default encodings and once with the settings the private Redis is started with. A state's
figure is everything there is for such a job: its hash, its places in lists and registries, its
share of nonces, idempotency records and events.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis as redis_py

from relay.embedded import EmbeddedRedis
from relay.errors import RedisNotFound
from relay.ledger.ledger import Ledger
from relay.queue.broker import Broker
from relay.queue.terms import Caller, Limits, QueueSettings
from relay.recorder import Recorder
from wire.models import Hop, JobRequest, LeaseRequest, Outcome, Report, WritebackReport
from wire.vocab import Conclusion, HopKind, JobStatus, Writeback

BATCH = 100
LINK = "https://trk.example/click?campaign=spring&affiliate=4711&offer="  # and 7 digits: 70
DEFAULTS = {"stream-node-max-bytes": 4096, "hash-max-{}-value": 64}
OK, NO_REDIS = 0, 3


def memory(redis: Any) -> int:
    """What the data takes: buffers towards the disk and towards clients come and go.

    What a server says of its clients' buffers is up to a second old, so they are closed instead.
    """
    deadline = time.monotonic() + 60
    redis.connection_pool.disconnect()
    redis.client_kill_filter(_type="normal", skipme=True)  # whoever was not in the pool
    while (info := redis.info())["connected_clients"] > 1:
        if time.monotonic() > deadline:
            raise TimeoutError("other clients")
        time.sleep(0.01)
    return int(info["used_memory"] - info["mem_aof_buffer"])


def until_forgotten(redis: Any, broker: Broker) -> None:
    """Wait for the second that booked jobs are kept here (a minute in real life)."""
    deadline = time.monotonic() + 60
    for pattern in ("rq:job:*", "rq:results:*", "rq:finished:*"):
        while next(redis.scan_iter(pattern, count=10_000), None) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(pattern)
            time.sleep(0.1)
            broker.sweep()


def states(redis: Any, folder: Path, jobs: int) -> Iterator[str]:
    """Take *jobs* jobs through their lives, and stop in every state with its name."""
    broker = Broker(redis, settings=QueueSettings(forget_seconds=1, lease_seconds=600))
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.sqlite3'}")
    ledger.migrate()
    recorder = Recorder(broker, ledger)
    broker.rebuild(sources=(), quotas=(), unfinished=(), owed=())

    def caller(batch: int) -> Caller:
        return Caller(
            account_id="acct_0123456789abcdef",
            key_id="lrk_0123456789abcdef",
            timestamp=redis.time()[0],
            nonce=f"{batch:032d}",
            body_sha256=f"{batch:064x}",
            device_id="dev_0123456789abcdef",
        )

    def admit(first: int) -> None:
        broker.admit(
            caller(first),
            [
                JobRequest(
                    tracking_url=f"{LINK}{n:07d}",
                    expected_domain="shop.example",
                    source_id="src_0123456789abcdef",
                    row_id=f"row-{n:08d}",
                )
                for n in range(first, first + BATCH)
            ],
            route="POST /v1/jobs",
            idempotency_key=f"batch-{first}",
            limits=Limits(),
        )

    yield "empty"
    for first in range(0, jobs, BATCH):
        admit(first)
    yield "queued, not yet booked"
    recorder.drain()
    yield "queued"
    ask = LeaseRequest(max=BATCH, sources=["src_0123456789abcdef"])
    leases = [lease for _ in range(0, jobs, BATCH) for lease in broker.lease(caller(0), ask)]
    if len(leases) != jobs:
        raise RuntimeError(f"{len(leases)} of {jobs} jobs were leased")
    yield "running"
    for first in range(0, jobs, BATCH):
        broker.report(
            caller(0),
            [
                Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=landed(lease))
                for lease in leases[first : first + BATCH]
            ],
        )
    yield "finished, not yet booked"
    recorder.drain()
    until_forgotten(redis, broker)
    yield "finished and booked, row not yet written"
    for first in range(0, jobs, BATCH):
        broker.note_writebacks(
            caller(0),
            [
                WritebackReport(job_id=lease.job_id, writeback=Writeback.WRITTEN)
                for lease in leases[first : first + BATCH]
            ],
        )
    recorder.drain()
    yield "finished, booked and written (for a day)"
    recorder.release()
    ledger.close()


def landed(lease: Any) -> Outcome:
    """A walk of two hops to a page."""
    second = f"https://go.example/r/{lease.row_id}?to=shop"
    final = f"https://www.shop.example/products/{lease.row_id}?utm_source=partner"
    steps = ((lease.tracking_url, 302), (second, 301), (final, 200))
    return Outcome(
        status=JobStatus.DONE,
        conclusion=Conclusion.VALID,
        final_url=final,
        http_status=200,
        hops=[
            Hop(url=url, status=status, kind=HopKind.HTTP, ms=48, ip="192.0.2.10")
            for url, status in steps
        ],
    )


def measure(jobs: int, *, is_private: bool) -> dict[str, Any]:
    """Bytes per job in each state, and how many keys there are for each."""
    with tempfile.TemporaryDirectory(prefix="linkrow-bench-") as name:
        server = EmbeddedRedis(Path(name))
        server.start()
        redis: Any = redis_py.Redis.from_url(server.url)
        try:
            redis.config_set("appendfsync", "no")  # the disk is not what is measured
            version = redis.info("server")["redis_version"]
            if not is_private:
                packed = "listpack" if int(version.split(".")[0]) >= 7 else "ziplist"
                for setting, value in DEFAULTS.items():
                    redis.config_set(setting.format(packed), value)
            (warm := Path(name) / "warm").mkdir()
            for _ in states(redis, warm, BATCH):
                """Scripts are compiled and tables grown once, not per job."""
            redis.flushall()
            figures: dict[str, dict[str, float]] = {}
            zero = keys = 0
            for state in states(redis, Path(name), jobs):
                if state == "empty":
                    zero, keys = memory(redis), redis.dbsize()
                    continue
                figures[state] = {
                    "bytes": round((memory(redis) - zero) / jobs),
                    "keys": round((redis.dbsize() - keys) / jobs, 2),
                }
            return {"redis": version, "per_job": figures}
        finally:
            redis.close()
            server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.queue_memory")
    parser.add_argument("--jobs", type=int, default=10_000, help="a multiple of 100")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.jobs < BATCH or options.jobs % BATCH:
        parser.error("--jobs must be a multiple of 100")
    try:
        default = measure(options.jobs, is_private=False)
        private = measure(options.jobs, is_private=True)
    except RedisNotFound as error:
        print(f"bench: {error}", file=sys.stderr)
        return NO_REDIS
    found = {"jobs": options.jobs, "default": default, "private": private}
    if options.json:
        print(json.dumps(found, indent=2))
        return OK
    print(f"Redis {private['redis']}, bytes per job of {options.jobs} (keys)")
    for state, figures in private["per_job"].items():
        usual = default["per_job"][state]
        print(
            f"{state:<42} default {usual['bytes']:>6} ({usual['keys']:.2f})"
            f"   private {figures['bytes']:>6} ({figures['keys']:.2f})"
        )
    return OK


if __name__ == "__main__":
    sys.exit(main())
