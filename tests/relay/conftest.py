"""A broker on a real, empty Redis whose life has begun, and small words for what happens to it."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from rq import Queue
from rq.job import Job

from relay.ledger.ledger import Ledger
from relay.queue.broker import Broker
from relay.queue.terms import Admission, Asked, Caller, Limits, QueueSettings
from tests.relay.whole_relay import Up, processes
from wire.models import (
    Capabilities,
    ErrorDetail,
    Held,
    Hop,
    JobRequest,
    Lease,
    LeaseRequest,
    Outcome,
    RefreshProgress,
    RenewRequest,
    Report,
)
from wire.source_models import RefreshReport, RefreshRequest
from wire.vocab import Conclusion, HopKind, JobStatus, ReadReportState

HERE = Path(__file__).parent
NO_LIMITS = Limits()
LANDED = Outcome(
    status=JobStatus.DONE,
    conclusion=Conclusion.VALID,
    final_url="https://shop.example/",
    http_status=200,
    hops=[Hop(url="https://trk.example/", status=302, kind=HopKind.HTTP, ms=12, ip="192.0.2.1")],
)
NO_ANSWER = Outcome(
    status=JobStatus.FAILED,
    conclusion=Conclusion.TIMEOUT,
    error=ErrorDetail(code="timeout", detail="no answer within 15 seconds"),
)
DEAD_NAME = Outcome(
    status=JobStatus.FAILED,
    conclusion=Conclusion.TLS_ERROR,
    error=ErrorDetail(code="tls_error", detail="the certificate is not right"),
)


def link(row_id: str | None = "r_1", **more: Any) -> JobRequest:
    given = {"tracking_url": "https://trk.example/a", "source_id": "src_a", "row_id": row_id}
    return JobRequest(**(given | more))


@dataclass
class World:
    """One relay's queue, seen by callers and devices of two accounts."""

    redis: Any
    broker: Broker
    now: int  # when requests are signed: a real time, or their nonces would be forgotten at once
    _nonces: Iterator[int] = field(default_factory=itertools.count)

    def caller(self, account: str = "acct_a", device: str | None = None, **more: Any) -> Caller:
        given: dict[str, Any] = {
            "account_id": account,
            "key_id": f"lrk_{account[5:]}",
            "timestamp": self.now,
            "nonce": f"nonce-{next(self._nonces):012d}",
            "device_id": device,
            "body_sha256": "00",
        }
        return Caller(**(given | more))

    def admit(
        self,
        *jobs: JobRequest,
        key: str | None = None,
        limits: Limits = NO_LIMITS,
        caller: Caller | None = None,
    ) -> Admission:
        caller = caller or self.caller()
        return self.broker.admit(
            caller,
            jobs,
            route="POST /v1/jobs",
            limits=limits,
            idempotency_key=caller.nonce if key is None else key,
        )

    def lease(
        self,
        *sources: str,
        device: str = "dev_1",
        max: int = 50,  # noqa: A002 - the wire's word
        account: str = "acct_a",
        **more: Any,
    ) -> list[Lease]:
        ask = LeaseRequest(max=max, sources=list(sources) or ["src_a"], **more)
        return self.broker.lease(self.caller(account, device), ask)

    def report(self, lease: Lease, outcome: Outcome = LANDED, device: str = "dev_1") -> Any:
        reports = [Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=outcome)]
        return self.broker.report(self.caller(device=device), reports)[0]

    def ask(self, source: str = "src_a", *, key: str | None = None, **more: Any) -> Asked:
        """Ask for a refresh."""
        given = {
            name: more.pop(name) for name in tuple(more) if name in RefreshRequest.model_fields
        }
        caller = self.caller(**more)
        return self.broker.ask(
            caller,
            source,
            RefreshRequest(**given),
            idempotency_key=caller.nonce if key is None else key,
        )

    def lease_to_read(self, *sources: str, **more: Any) -> list[Lease]:
        """Leases of an agent that can read sources."""
        return self.lease(*sources, capabilities=Capabilities(refresh=True), **more)

    def read(
        self, lease: Lease, state: str = "read", *, device: str = "dev_1", **more: Any
    ) -> ReadReportState:
        """An agent says how far it is with reading."""
        given = {"job_id": lease.job_id, "lease_id": lease.lease_id, "state": state}
        report = RefreshReport(**(given | more))
        return self.broker.report_reads(self.caller(device=device), [report])[0].state

    def progress(self, refresh_id: str, account: str = "acct_a") -> RefreshProgress:
        found = self.broker.progress(account, refresh_id)
        assert found
        return found

    def renew(
        self, *leases: Lease, device: str = "dev_1", owed: list[str] | None = None
    ) -> list[str]:
        held = [Held(job_id=lease.job_id, lease_id=lease.lease_id) for lease in leases]
        ask = RenewRequest(leases=held, writebacks=owed or [])
        return [each.state for each in self.broker.renew(self.caller(device=device), ask).leases]

    def job(self, job_id: str, account: str = "acct_a") -> Any:
        return self.broker.job(account, job_id)

    def rq(self, job_id: str) -> Job:
        return Job.fetch(job_id, connection=self.redis, serializer="json")

    def queue(self, name: str = "links.src_a") -> Queue:
        return Queue(name, connection=self.redis, serializer="json")

    def let_leases_run_out(self, queue: str = "links.src_a") -> None:
        for member in self.redis.zrange(f"linkrow:leases:{queue}", 0, -1):
            self.redis.zadd(f"linkrow:leases:{queue}", {member: 1})

    def let_retries_fall_due(self, queue: str = "links.src_a") -> None:
        for member in self.redis.zrange(f"rq:scheduled:{queue}", 0, -1):
            self.redis.zadd(f"rq:scheduled:{queue}", {member: 1})

    def let_jobs_expire(self) -> None:
        for member in self.redis.zrange("linkrow:expires", 0, -1):
            self.redis.zadd("linkrow:expires", {member: 1})

    def let_obligations_fall_due(self, source: str = "src_a") -> None:
        for member in self.redis.zrange(f"linkrow:obligations:{source}", 0, -1):
            self.redis.zadd(f"linkrow:obligations:{source}", {member: 1})

    def events(self) -> list[dict[str, str]]:
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in self.redis.xrange("linkrow:outcomes")
        ]

    def endings(self) -> list[tuple[str, str]]:
        return [(e["job_id"], e["conclusion"]) for e in self.events() if e["type"] == "final"]


@pytest.fixture
def world(redis: "redis_py.Redis") -> World:
    broker = Broker(redis, settings=QueueSettings(), chance=lambda: 0.5)
    broker.rebuild(sources=(), quotas=(), unfinished=(), owed=())
    seconds: Any = redis.time()
    redis.set("linkrow:epoch", seconds[0] - 10)
    return World(redis=redis, broker=broker, now=seconds[0])


@pytest.fixture
def new_link() -> Callable[..., JobRequest]:
    return link


@pytest.fixture
def outcomes() -> dict[str, Outcome]:
    return {"landed": LANDED, "no answer": NO_ANSWER, "bad certificate": DEAD_NAME}


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """Empty books, on SQLite and on PostgreSQL in turn."""
    ledger = Ledger.open(database_url)
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def kill_a_recorder(
    redis_url: str, database_url: str, ledger: Ledger, redis: Any
) -> Iterator[Callable[..., int]]:
    """Let a recorder run until a moment of its *batch*-th batch. The signal that ended it."""
    nursery = subprocess.Popen(
        [sys.executable, HERE / "recorder_nursery.py", redis_url, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(HERE.parents[1]), "PATH": ""},
    )

    def kill(moment: str, *, batch: int = 1) -> int:
        assert nursery.stdin
        assert nursery.stdout
        nursery.stdin.write(f"{moment} {batch}\n")
        nursery.stdin.flush()
        ended_by = int(nursery.stdout.readline())
        redis.delete("linkrow:lock:recorder")  # the dead one's lock has run out
        return ended_by

    yield kill
    nursery.communicate()


# A whole relay.


@pytest.fixture
def data(short_tmp: Path, tmp_path: Path) -> Iterator[Path]:
    folder = short_tmp / tmp_path.name
    yield folder
    for process in processes(folder):
        process.kill()


@pytest.fixture
def up(data: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*options: str, **environ: str) -> Up:
        started.append(Up(data, *options, **environ))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()
