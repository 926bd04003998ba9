"""Every state a job of ours can be in, what lies in Redis, and rq-dashboard to look at both."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from rq import Queue

from relay.records import JobRecord
from wire.models import ErrorDetail, Outcome, ReleaseRequest, Report, WritebackReport
from wire.vocab import Conclusion, JobStatus, Tier, Writeback

NO_ANSWER = Outcome(
    status=JobStatus.FAILED,
    conclusion=Conclusion.TIMEOUT,
    error=ErrorDetail(code="timeout", detail="no answer within 15 seconds"),
)
BAD_CERTIFICATE = Outcome(
    status=JobStatus.FAILED,
    conclusion=Conclusion.TLS_ERROR,
    error=ErrorDetail(code="tls_error", detail="the certificate is not right"),
)
NOT_FOUND = Outcome(
    status=JobStatus.DONE,
    conclusion=Conclusion.HTTP_4XX,
    final_url="https://shop.example/gone",
    http_status=404,
)
REFUSED = Outcome(status=JobStatus.INVALID, conclusion=Conclusion.UNSAFE_TARGET)
LEFT_OUT = Outcome(status=JobStatus.SKIPPED, conclusion=Conclusion.PAUSED_BY_OPERATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One waiting job of a world, alone in its source; and what may happen to it."""

    world: Any
    source: str
    job_id: str
    request: Any

    @property
    def queue(self) -> Queue:
        return self.world.queue(f"links.{self.source}")

    def waits(self) -> None:
        pass

    def runs(self, device: str = "dev_1") -> Any:
        return self.world.lease(self.source, device=device)[0]

    def runs_on(self) -> None:
        self.world.renew(self.runs())

    def ends(self, *outcome: Outcome) -> None:
        self.world.report(self.runs(), *outcome)

    def is_skipped(self) -> None:
        """No agent may say so on the wire (yet): only the scripts are ready for it."""
        lease = self.runs()
        report = Report.model_construct(
            job_id=self.job_id, lease_id=lease.lease_id, outcome=LEFT_OUT
        )
        self.world.broker.report(self.world.caller(device="dev_1"), [report])

    def is_written(self) -> None:
        self.ends()
        word = WritebackReport(job_id=self.job_id, writeback=Writeback.WRITTEN)
        self.world.broker.note_writebacks(self.world.caller(device="dev_1"), [word])

    def is_given_back(self) -> None:
        self.runs()
        everything = ReleaseRequest(all=True, sources=[self.source])
        self.world.broker.release(self.world.caller(device="dev_1"), everything)

    def is_lost(self) -> None:
        self.runs()
        self.world.let_leases_run_out(f"links.{self.source}")
        self.world.broker.sweep()

    def is_lost_and_runs_again(self) -> None:
        self.is_lost()
        self.runs("dev_2")

    def is_lost_ten_times(self) -> None:
        for _ in range(10):
            self.is_lost()

    def is_canceled(self) -> None:
        self.world.broker.cancel("acct_a", self.job_id)

    def is_superseded(self) -> None:
        self.world.admit(self.request.model_copy(update={"tier": Tier.PREMIUM}))

    def runs_and(self, then: Callable[["Job"], None]) -> None:
        self.runs()
        then(self)

    def backs_off_and(self, then: Callable[["Job"], None]) -> None:
        self.ends(NO_ANSWER)
        then(self)

    def expires(self) -> None:
        for member in self.world.redis.zrange("linkrow:expires", 0, -1):
            if member.endswith(self.job_id.encode()):
                self.world.redis.zadd("linkrow:expires", {member: 1})
        self.world.broker.sweep()

    def is_restored(self) -> None:
        """Redis loses it, and the books bring it back."""
        key = f"rq:job:{self.job_id}"
        born = float(self.world.redis.hget(key, "lr_created_at"))
        self.world.redis.delete(key, self.queue.key, f"linkrow:live:{self.source}")
        epoch = self.world.redis.getdel("linkrow:epoch")
        book = JobRecord(
            job_id=self.job_id,
            account_id="acct_a",
            request=self.request,
            status=JobStatus.QUEUED,
            created_at=born,
        )
        self.world.broker.rebuild(sources=(), quotas=(), unfinished=[book], owed=())
        self.world.redis.set("linkrow:epoch", epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where RQ and we are to show a job to which something happened."""

    name: str
    happens: Callable[[Job], None]
    rq: str
    status: str
    conclusion: str | None = None


STATES = [
    State(name=name, happens=happens, rq=rq, status=status, conclusion=(*said, None)[0])
    for name, happens, rq, status, *said in (
        ("waiting", Job.waits, "queued", "queued"),
        ("running", Job.runs, "started", "running"),
        ("running on", Job.runs_on, "started", "running"),
        ("in back-off", lambda job: job.ends(NO_ANSWER), "scheduled", "queued"),
        ("given back", Job.is_given_back, "queued", "queued"),
        ("back after a lost lease", Job.is_lost, "queued", "queued"),
        ("running after a lost lease", Job.is_lost_and_runs_again, "started", "running"),
        ("restored after a lost Redis", Job.is_restored, "queued", "queued"),
        ("landed", Job.ends, "finished", "done", "valid"),
        ("landed and written", Job.is_written, "finished", "done", "valid"),
        ("not found", lambda job: job.ends(NOT_FOUND), "finished", "done", "http_4xx"),
        ("failed", lambda job: job.ends(BAD_CERTIFICATE), "failed", "failed", "tls_error"),
        ("lost by ten agents", Job.is_lost_ten_times, "failed", "failed", "agent_lost"),
        ("invalid", lambda job: job.ends(REFUSED), "finished", "invalid", "unsafe_target"),
        ("skipped", Job.is_skipped, "finished", "skipped", "paused_by_operator"),
        ("canceled", Job.is_canceled, "canceled", "canceled", "canceled"),
        (
            "canceled while it ran",
            lambda job: job.runs_and(Job.is_canceled),
            "canceled",
            "canceled",
            "canceled",
        ),
        (
            "canceled in back-off",
            lambda job: job.backs_off_and(Job.is_canceled),
            "canceled",
            "canceled",
            "canceled",
        ),
        ("superseded", Job.is_superseded, "canceled", "canceled", "superseded"),
        (
            "superseded while it ran",
            lambda job: job.runs_and(Job.is_superseded),
            "canceled",
            "canceled",
            "superseded",
        ),
        (
            "superseded in back-off",
            lambda job: job.backs_off_and(Job.is_superseded),
            "canceled",
            "canceled",
            "superseded",
        ),
        ("expired", Job.expires, "finished", "expired", "job_expired"),
    )
]


@pytest.fixture
def new_job(world, new_link) -> Callable[..., Job]:
    """Admit a job and say what may happen to it."""

    def new_job(source: str = "src_a", **more: Any) -> Job:
        request = new_link(source_id=source, **more)
        (admitted,) = world.admit(request).jobs
        return Job(world=world, source=source, job_id=admitted.job_id, request=request)

    return new_job


@pytest.fixture(params=STATES, ids=lambda state: state.name)
def state(request: pytest.FixtureRequest) -> State:
    """Each state in turn."""
    found: State = request.param
    return found


@pytest.fixture(
    params=[state for state in STATES if state.conclusion], ids=lambda state: state.name
)
def end(request: pytest.FixtureRequest) -> State:
    """Each state that is an end in turn."""
    found: State = request.param
    return found


@pytest.fixture
def states() -> list[State]:
    """All states at once."""
    return STATES


READ: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda redis, key: redis.get(key),
    b"hash": lambda redis, key: redis.hgetall(key),
    b"list": lambda redis, key: redis.lrange(key, 0, -1),
    b"set": lambda redis, key: redis.smembers(key),
    b"zset": lambda redis, key: redis.zrange(key, 0, -1, withscores=True),
    b"stream": lambda redis, key: redis.xrange(key),
}


@pytest.fixture
def everything(world) -> Callable[[], dict[bytes, Any]]:
    """What lies in Redis, and whether it goes by itself. Wake tokens go within a minute anyway.

    Not by DUMP: a hash that is being rehashed looks different each time.
    """

    def everything() -> dict[bytes, Any]:
        redis = world.redis
        keys = [key for key in redis.keys("*") if not key.startswith(b"linkrow:wake:")]
        return {key: (READ[redis.type(key)](redis, key), redis.ttl(key) == -1) for key in keys}

    return everything


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def dashboard(redis_url: str) -> Iterator[Callable[..., str]]:
    """The dashboard as its manual starts it; ``ask(path)`` is a GET, ``ask(path, b"")`` a POST."""
    base = f"http://127.0.0.1:{free_port()}"
    command = "from rq_dashboard.cli import main; main()"
    options = ["--bind", "127.0.0.1", "--port", base.rpartition(":")[2], "--redis-url", redis_url]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", command, *options, "--json"],
            stdout=said,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if "PROXY" not in name.upper()},
        )

        def ask(path: str, body: bytes | None = None) -> str:
            request = urllib.request.Request(base + path, data=body)
            with opener.open(request, timeout=60) as answer:
                return str(answer.read().decode())

        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    ask("/0/data/workers.json")
                    break
                except urllib.error.URLError:
                    said.seek(0)
                    assert process.poll() is None, said.read()
                    assert time.monotonic() < deadline, "rq-dashboard did not start"
                    time.sleep(0.05)
            yield ask
        finally:
            process.kill()
            process.wait()
