"""When Redis or the ledger is gone: a refusal that says so, and nothing half-done."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from relay.queue.broker import Broker
from relay.services import connect
from wire.problems import Problem


class OwnRedis:
    """A Redis of one test's own, to be killed and brought back with what it kept."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self.url = f"unix://{folder}/own.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {
            "port": "0",
            "unixsocket": f"{self._folder}/own.sock",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        self._process = subprocess.Popen(
            [self._binary, *(word for name, v in settings.items() for word in (f"--{name}", v))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        while True:
            try:
                with redis_py.Redis.from_url(self.url) as client:
                    client.ping()
                return
            except redis_py.exceptions.RedisError:
                assert time.monotonic() < until
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def own_redis(redis_binary: str, short_tmp: Path) -> Iterator[OwnRedis]:
    folder = short_tmp / f"own-{time.monotonic_ns()}"
    folder.mkdir()
    redis = OwnRedis(redis_binary, folder)
    redis.start()
    yield redis
    redis.kill()


@pytest.fixture
def broker(own_redis: OwnRedis, begin: Callable[[Broker], None]) -> Iterator[Broker]:
    """Connected as the service is."""
    client = connect(own_redis.url)
    broker = Broker(client)
    begin(broker)
    yield broker
    client.close()


def refused(answer: Any) -> str:
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    return Problem.model_validate_json(answer.data).code


_READ = (
    b'{"refreshes":[{"job_id":"00000000-0000-5000-8000-000000000000",'
    b'"lease_id":"1-aaaaaaaa","state":"read"}]}'
)
CALLS = [
    ("POST", "/v1/jobs", "ours", b'{"tracking_url":"https://a.example/"}'),
    ("GET", "/v1/jobs", "ours", b""),
    ("GET", "/v1/jobs/00000000-0000-5000-8000-000000000000?wait=5", "ours", b""),
    ("POST", "/v1/jobs/00000000-0000-5000-8000-000000000000/cancel", "ours", b""),
    ("GET", "/v1/sources/src_a/refreshes/rf_1795200000_abcdefgh", "ours", b""),
    ("GET", "/v1/sources/src_a/refreshes/rf_1795200000_abcdefgh?wait=5", "ours", b""),
    ("GET", "/v1/sources/src_a/refreshes", "ours", b""),
    ("POST", "/v1/sources/src_a/refreshes/rf_1795200000_abcdefgh/cancel", "ours", b""),
    ("POST", "/v1/sources/src_a/refresh", "ours", b"{}"),
    ("POST", "/v1/sources", "ours", b"{}"),
    ("GET", "/v1/sources", "ours", b""),
    ("GET", "/v1/sources/src_a", "ours", b""),
    ("PATCH", "/v1/sources/src_a", "ours", b'{"paused":true}'),
    ("DELETE", "/v1/sources/src_a", "ours", b""),
    (
        "POST",
        "/v1/agent/refreshes",
        "ours/device",
        _READ,
    ),
    ("POST", "/v1/agent/lease", "ours/device", b'{"sourceless":true,"wait_seconds":5}'),
    ("POST", "/v1/agent/renew", "ours/device", b"{}"),
    ("POST", "/v1/agent/release", "ours/device", b'{"all":true,"sourceless":true}'),
]


@pytest.mark.parametrize(
    ("method", "target", "key", "body"), CALLS, ids=[f"{call[0]} {call[1][:70]}" for call in CALLS]
)
def test_without_redis_every_call_is_put_off(
    service: Any, own_redis: OwnRedis, method: str, target: str, key: str, body: bytes
) -> None:
    headers = service.signed(method, target, body, key=key, idempotency_key="k")
    own_redis.kill()

    answer = service.send(method, target, body, headers)

    assert refused(answer) == "redis_unavailable"
    assert str(own_redis.url).removeprefix("unix://") not in answer.text


def test_a_submission_put_off_is_taken_once_redis_is_back(
    service: Any, own_redis: OwnRedis, job: Any
) -> None:
    own_redis.kill()
    put_off = service.submit(job(), idempotency_key="order-42")
    own_redis.start()

    taken = service.submit(job(), idempotency_key="order-42")

    assert refused(put_off) == "redis_unavailable"
    assert taken.status_code == 202
    assert "Idempotent-Replayed" not in taken.headers
    assert taken.json["jobs"][0]["disposition"] == "created"


def test_what_was_taken_before_the_crash_is_still_there(
    service: Any, own_redis: OwnRedis, job: Any
) -> None:
    name = service.submit(job(), idempotency_key="order-42").json["jobs"][0]["job_id"]
    own_redis.kill()
    own_redis.start()

    again = service.submit(job(), idempotency_key="order-42")

    assert again.headers["Idempotent-Replayed"] == "true"
    assert service.get(f"/v1/jobs/{name}").json["status"] == "queued"


def test_a_nonce_is_not_forgotten_in_a_crash(service: Any, own_redis: OwnRedis) -> None:
    headers = service.signed("GET", "/v1/jobs")
    assert service.send("GET", "/v1/jobs", headers=headers).status_code == 200
    own_redis.kill()
    own_redis.start()

    assert service.send("GET", "/v1/jobs", headers=headers).status_code == 409


def test_a_request_refused_for_want_of_redis_may_come_again_bit_by_bit(
    service: Any, own_redis: OwnRedis
) -> None:
    headers = service.signed("GET", "/v1/jobs")
    own_redis.kill()
    put_off = service.send("GET", "/v1/jobs", headers=headers)
    own_redis.start()

    again = service.send("GET", "/v1/jobs", headers=headers)

    assert refused(put_off) == "redis_unavailable"
    assert again.status_code == 200


def test_a_full_redis_takes_nothing(service: Any, broker: Broker, job: Any) -> None:
    broker.redis.config_set("maxmemory", "1mb")
    put_off = service.submit(job())
    broker.redis.config_set("maxmemory", "0")

    assert refused(put_off) == "redis_unavailable"
    assert broker.redis.keys("rq:*") == []
    assert broker.backlog() == 0


def test_a_redis_that_lost_everything_is_not_used_before_it_is_filled_again(
    service: Any, broker: Broker, job: Any
) -> None:
    broker.redis.flushall()

    assert refused(service.submit(job())) == "rebuilding"
    assert refused(service.get("/v1/jobs")) == "rebuilding"


def test_health_goes_on_and_readiness_says_what_is_missing(
    service: Any, own_redis: OwnRedis
) -> None:
    own_redis.kill()

    alive, ready = service.send("GET", "/healthz"), service.send("GET", "/readyz")

    assert alive.status_code == 200
    assert ready.status_code == 503
    assert ready.json["problems"] == ["redis: it does not answer"]


# The ledger.


@pytest.fixture
def lose_ledger(service: Any, tmp_path: Path) -> Callable[[], None]:
    """The database is gone: its file is, and nobody may make a new one."""

    def lose() -> None:
        service.books.ledger.close()
        for file in tmp_path.glob("ledger.sqlite3*"):
            file.unlink()
        (tmp_path / "ledger.sqlite3").mkdir()

    return lose


def test_without_a_ledger_nobody_is_let_in(
    service: Any, lose_ledger: Callable[[], None], broker: Broker, job: Any, tmp_path: Path
) -> None:
    lose_ledger()

    answer = service.submit(job())

    assert refused(answer) == "ledger_unavailable"
    assert str(tmp_path) not in answer.text
    assert broker.redis.keys("rq:*") == []


def test_for_a_second_what_needs_no_ledger_goes_on(
    service: Any, lose_ledger: Callable[[], None], job: Any, make_service: Any
) -> None:
    key = service.books.keys["ours"].key_id
    known = service.client.application.extensions["linkrow"].keyring
    known._clock = lambda: 100.0
    known.find(key)
    lose_ledger()

    taken = service.submit(job())
    made = service.post("/v1/sources", {"source_id": "src_b"})
    asked = service.post("/v1/sources/src_a/refresh", {}, idempotency_key="monday")
    listed = service.get("/v1/jobs")
    known._clock = lambda: 101.0
    late = service.submit(job())

    assert taken.status_code == 202
    assert (made.status_code, asked.status_code) == (201, 202)
    assert refused(listed) == "ledger_unavailable"
    assert refused(late) == "ledger_unavailable"


def test_readiness_names_the_ledger(service: Any, lose_ledger: Callable[[], None]) -> None:
    lose_ledger()

    answer = service.send("GET", "/readyz")

    assert (answer.status_code, answer.json["problems"]) == (503, ["ledger: it does not answer"])
