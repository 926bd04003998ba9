"""What only bytes on a real connection can show: gunicorn and the service behind it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from relay.config import Config
from relay.listening import listen
from relay.queue.broker import Broker
from wire.problems import Problem
from wire.signing import new_nonce

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[3]
STALL_SECONDS = 1
THREADS = 4
JOB = b'{"tracking_url":"https://trk.example/a"}'
MEGABYTE = 1024 * 1024
MASTER_KEY = b64encode(b"k" * 32).decode()  # conftest.py seals with it


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return Problem.model_validate_json(self.body).code


class Connection:
    """A socket on which a test says exactly what it wants."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=20)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def say(self, *parts: bytes) -> "Connection":
        for part in parts:
            self.socket.sendall(part)
        return self

    def hear(self) -> Answer | None:
        """The next answer, or None when the other side closed."""
        try:
            line = self._file.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        headers: dict[str, str] = {}
        while (field := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self._file.read(int(headers.get("content-length", 0)))
        return Answer(int(line.split()[1]), headers, body)


def head(method: str, target: str, headers: dict[str, str] | list[tuple[str, str]]) -> bytes:
    fields = headers.items() if isinstance(headers, dict) else headers
    lines = [f"{method} {target} HTTP/1.1", "Host: relay.example"]
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Relay:
    """``linkrow-relay serve`` as a process, on a socket of ours."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        config = Config(
            data=folder,
            host="127.0.0.1",
            port=0,
            database_url="sqlite://",
            master_key_file=folder / "master.key",
        )
        listener = listen(config, stall_seconds=STALL_SECONDS)
        self.address = listener.getsockname()
        self.log = folder / "serve.log"
        with listener, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "relay.entry", "serve", "--data", folder,
                    "--fd", str(listener.fileno()), "--until-stdin-closes",
                ],
                cwd=ROOT,
                env={
                    **{n: v for n, v in os.environ.items() if not n.startswith("LINKROW_")},
                    "LINKROW_REDIS_URL": redis_url,
                    "LINKROW_DATABASE_URL": f"sqlite:///{folder}/ledger.sqlite3",
                    "LINKROW_MASTER_KEY": MASTER_KEY,
                    "LINKROW_THREADS": str(THREADS),
                },
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )  # fmt: skip

    def connect(self) -> Connection:
        return Connection(self.address)

    def ask(self, *parts: bytes) -> Answer:
        with self.connect() as connection:
            answer = connection.say(*parts).hear()
        assert answer is not None
        return answer

    def wait(self) -> "Relay":
        while True:  # the suite's time limit ends it
            try:
                if self.ask(head("GET", "/healthz", {})).status == 200:
                    return self
            except (OSError, AssertionError):
                assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)

    def processes(self) -> list[psutil.Process]:
        master = psutil.Process(self.process.pid)
        return [master, *master.children(recursive=True)]

    def close(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.processes():
                process.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, make_books: Callable[[str], Any]
) -> Iterator[tuple[Relay, Any]]:
    """One service for the whole file; each test begins with an empty Redis."""
    folder = tmp_path_factory.mktemp("relay")
    books = make_books(f"sqlite:///{folder}/ledger.sqlite3").fill()
    relay = Relay(folder, redis_url).wait()
    yield relay, books
    relay.close()
    books.ledger.close()


@pytest.fixture
def relay(running: tuple[Relay, Any], broker: Broker) -> Relay:
    return running[0]


@pytest.fixture
def signer(running: tuple[Relay, Any], broker: Broker, make_service: Any) -> Any:
    """Signs with the keys of the running service."""
    return make_service(running[1], broker)


@pytest.fixture
def signed(signer: Any) -> Callable[..., dict[str, str]]:
    def sign(method: str, target: str, body: bytes = b"", **more: Any) -> dict[str, str]:
        headers: dict[str, str] = signer.signed(method, target, body, **more)
        return headers | ({"Content-Length": str(len(body))} if body else {})

    return sign


# The bytes of a request.


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/v1/jobs?limit=5&status=queued", id="a query"),
        pytest.param("/v1/jobs?status=queued&limit=5", id="the same in another order"),
        pytest.param("/v1/%6Aobs", id="an escaped letter"),
        pytest.param("/v1/jobs?row_id=%C3%A4+b%20c", id="escapes in the query"),
        pytest.param("/v1/jobs?", id="an empty query"),
    ],
)
def test_the_target_is_signed_as_it_was_sent(relay: Relay, signed: Any, target: str) -> None:
    good = relay.ask(head("GET", target, signed("GET", target)))
    other = relay.ask(head("GET", target, signed("GET", target + "x")))

    assert good.status == 200, good.body
    assert other.code == "unauthorized"


def test_a_canonical_target_is_not_the_one_that_was_sent(relay: Relay, signed: Any) -> None:
    headers = signed("GET", "/v1/jobs")

    assert relay.ask(head("GET", "/v1/%6Aobs", headers)).code == "unauthorized"


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        pytest.param("GET", "http://relay.example/v1/jobs", b"", id="absolute form"),
        pytest.param("POST", "/v1/jobs?x=1", JOB, id="a query on a POST"),
    ],
)
def test_a_target_with_two_readings_is_refused(
    relay: Relay, signed: Any, method: str, target: str, body: bytes
) -> None:
    headers = signed(method, target, body, idempotency_key="k")

    assert relay.ask(head(method, target, headers), body).code == "invalid_request"


@pytest.mark.parametrize(
    "name",
    ["Linkrow-Key", "Linkrow-Timestamp", "Linkrow-Nonce", "Linkrow-Signature", "Idempotency-Key"],
)
def test_a_doubled_header_is_refused(relay: Relay, signed: Any, name: str) -> None:
    headers = signed("POST", "/v1/jobs", JOB, idempotency_key="order-42")
    doubled = [*headers.items(), (name.upper(), headers[name])]

    answer = relay.ask(head("POST", "/v1/jobs", doubled), JOB)

    assert answer.status == (400 if name == "Idempotency-Key" else 401)


def test_an_underscore_makes_no_header_of_ours(relay: Relay, signed: Any) -> None:
    headers = signed("GET", "/v1/jobs")
    headers["Linkrow_Nonce"] = headers.pop("Linkrow-Nonce")

    assert relay.ask(head("GET", "/v1/jobs", headers)).code == "unauthorized"


def test_no_header_moves_a_signed_request_to_another_address(relay: Relay, signed: Any) -> None:
    headers = signed("GET", "/v1/jobs") | {"SCRIPT_NAME": "/v1", "PATH_INFO": "/healthz"}

    answer = relay.ask(head("GET", "/v1/jobs", headers))

    assert json.loads(answer.body) == {"items": [], "next_cursor": None}


def test_one_changed_byte_of_the_body_is_seen(relay: Relay, signed: Any) -> None:
    headers = signed("POST", "/v1/jobs", JOB, idempotency_key="k")

    assert relay.ask(head("POST", "/v1/jobs", headers), JOB[:-2] + b" }").code == "unauthorized"


def test_the_same_bytes_may_come_in_chunks(relay: Relay, signed: Any) -> None:
    headers = signed("POST", "/v1/jobs", JOB, idempotency_key="k")
    del headers["Content-Length"]
    parts = [JOB[:7], JOB[7:]]

    answer = relay.ask(
        head("POST", "/v1/jobs", headers | {"Transfer-Encoding": "chunked"}),
        *(b"%x\r\n%s\r\n" % (len(part), part) for part in parts),
        b"0\r\n\r\n",
    )

    assert answer.status == 202, answer.body


@pytest.mark.parametrize(
    "lies",
    [
        pytest.param([("Transfer-Encoding", "chunked")], id="chunked as well"),
        pytest.param([("Content-Length", "3")], id="another length"),
        pytest.param([("Content-Length", "+39")], id="a length with a sign"),
    ],
)
def test_a_body_with_two_lengths_is_refused(
    relay: Relay, signed: Any, redis: Any, lies: list[tuple[str, str]]
) -> None:
    headers = [*signed("POST", "/v1/jobs", JOB, idempotency_key="k").items(), *lies]

    answer = relay.ask(head("POST", "/v1/jobs", headers), JOB)

    assert answer.status == 400
    assert redis.keys("rq:job:*") == []


def test_a_body_announced_too_large_is_refused_before_it_comes(relay: Relay, signed: Any) -> None:
    headers = signed("POST", "/v1/jobs") | {"Content-Length": str(MEGABYTE + 1)}

    assert relay.ask(head("POST", "/v1/jobs", headers)).code == "payload_too_large"


def test_an_endless_body_is_refused_at_the_limit(relay: Relay, signed: Any) -> None:
    headers = signed("POST", "/v1/jobs") | {"Transfer-Encoding": "chunked"}
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"

    with relay.connect() as connection:
        connection.say(head("POST", "/v1/jobs", headers), chunk * 17)
        answer = connection.hear()

    assert answer is not None
    assert answer.code == "payload_too_large"


def test_a_body_of_a_megabyte_is_read_whole(relay: Relay, signed: Any) -> None:
    body = JOB[:-1] + b" " * (MEGABYTE - len(JOB)) + b"}"
    headers = signed("POST", "/v1/jobs", body, idempotency_key="k") | {"Expect": "100-continue"}

    with relay.connect() as connection:
        go_on = connection.say(head("POST", "/v1/jobs", headers)).hear()
        answer = connection.say(body).hear()

    assert go_on is not None
    assert go_on.status == 100
    assert answer is not None
    assert answer.status == 202, answer.body


@pytest.mark.parametrize("length", [8000, 9000], ids=["8,000", "9,000"])
def test_a_long_target_is_answered_either_way(relay: Relay, signed: Any, length: int) -> None:
    target = "/v1/jobs?row_id=" + "a" * length

    answer = relay.ask(head("GET", target, signed("GET", target)))

    assert answer.status == (400 if length == 8000 else 414)


# Clocks.


def test_a_stale_request_is_told_the_time(relay: Relay, signed: Any) -> None:
    headers = signed("GET", "/v1/jobs", at=datetime.now(UTC) - timedelta(hours=2))

    answer = relay.ask(head("GET", "/v1/jobs", headers))

    assert answer.code == "stale_timestamp"
    assert abs(json.loads(answer.body)["skew_seconds"] - 7200) <= 5
    drift = parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)
    assert abs(drift) < timedelta(seconds=30)


# Connections.


def test_many_requests_share_a_connection_whatever_their_answers(relay: Relay, signed: Any) -> None:
    statuses = []
    with relay.connect() as connection:
        for target in ("/v1/jobs", "/v1/jobs?x=1", "/nowhere", "/v1/jobs"):
            answer = connection.say(head("GET", target, signed("GET", target))).hear()
            assert answer is not None
            statuses.append(answer.status)

    assert statuses == [200, 400, 404, 200]


@pytest.mark.parametrize("part", ["the headers", "the body"])
def test_callers_who_fall_asleep_in_mid_request_hold_no_thread(
    relay: Relay, signed: Any, part: str, redis: Any
) -> None:
    whole = head("POST", "/v1/jobs", signed("POST", "/v1/jobs", JOB, idempotency_key="k"))
    sent = whole[:60] if part == "the headers" else whole + JOB[:9]
    with contextlib.ExitStack() as sleepers:
        for _ in range(2 * THREADS):
            sleepers.enter_context(relay.connect()).say(sent)

        # More sleepers than threads: this is answered once they are turned out.
        assert relay.ask(head("GET", "/v1/jobs", signed("GET", "/v1/jobs"))).status == 200

    assert redis.keys("rq:job:*") == []
    assert "Traceback" not in relay.log.read_text()


def test_a_caller_who_hangs_up_in_mid_body_leaves_nothing(
    relay: Relay, signed: Any, redis: Any
) -> None:
    whole = head("POST", "/v1/jobs", signed("POST", "/v1/jobs", JOB, idempotency_key="k"))
    with relay.connect() as connection:
        connection.say(whole + JOB[:9])

    assert relay.ask(head("GET", "/healthz", {})).status == 200
    assert redis.dbsize() == 1  # the epoch


# Waiting.


def _waiters(redis: Any) -> int:
    return int(redis.info("clients")["blocked_clients"])


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


LEASE = b'{"sources":["src_a"],"wait_seconds":25}'


def _lease(signed: Any) -> bytes:
    headers = signed("POST", "/v1/agent/lease", LEASE, key="ours/device")
    return head("POST", "/v1/agent/lease", headers) + LEASE


def test_waiting_agents_never_take_the_last_thread(relay: Relay, signed: Any, redis: Any) -> None:
    room = THREADS * 3 // 4
    with contextlib.ExitStack() as agents:
        for _ in range(room):
            agents.enter_context(relay.connect()).say(_lease(signed))
        _until(lambda: _waiters(redis) == room)

        one_more = relay.ask(_lease(signed))

        assert json.loads(one_more.body)["leases"] == []
        assert _waiters(redis) == room
    redis.rpush("linkrow:wake:src_a", "x")  # each of them looks, finds its agent gone and goes
    _until(lambda: _waiters(redis) == 0)


def test_an_agent_that_waits_is_woken_by_work(
    relay: Relay, signed: Any, redis: Any, job: Any
) -> None:
    body = json.dumps(job()).encode()
    submit = head("POST", "/v1/jobs", signed("POST", "/v1/jobs", body, idempotency_key="k")) + body
    with relay.connect() as agent:
        agent.say(_lease(signed))
        _until(lambda: _waiters(redis) == 1)

        assert relay.ask(submit).status == 202
        answer = agent.hear()

    assert answer is not None
    assert [lease["row_id"] for lease in json.loads(answer.body)["leases"]] == ["r_1"]


def test_work_is_not_handed_to_an_agent_that_was_killed(
    relay: Relay, signed: Any, redis: Any, signer: Any, job: Any
) -> None:
    with relay.connect() as agent:
        agent.say(_lease(signed))
        _until(lambda: _waiters(redis) == 1)
    signer.submit(job())
    _until(lambda: _waiters(redis) == 0)

    leases = signer.post("/v1/agent/lease", {"sources": ["src_a"]}, key="ours/device").json

    assert [lease["delivery"] for lease in leases["leases"]] == [1]


def test_a_caller_can_wait_for_an_ending(
    relay: Relay, signed: Any, redis: Any, signer: Any, job: Any
) -> None:
    name = signer.submit(job()).json["jobs"][0]["job_id"]
    target = f"/v1/jobs/{name}?wait=25"
    with relay.connect() as caller:
        caller.say(head("GET", target, signed("GET", target)))
        _until(lambda: bool(redis.pubsub_channels(f"*{name}")))

        signer.post(f"/v1/jobs/{name}/cancel")
        answer = caller.hear()

    assert answer is not None
    assert json.loads(answer.body)["conclusion"] == "canceled"


def test_callers_who_wait_leave_threads_for_others_too(
    relay: Relay, signed: Any, redis: Any, signer: Any, job: Any
) -> None:
    name = signer.submit(job()).json["jobs"][0]["job_id"]
    target = f"/v1/jobs/{name}?wait=25"
    room = THREADS * 3 // 4
    with contextlib.ExitStack() as callers:
        waiting = [callers.enter_context(relay.connect()) for _ in range(room)]
        for caller in waiting:
            caller.say(head("GET", target, signed("GET", target)))
        channel = f"linkrow:final:{name}"
        _until(lambda: dict(redis.pubsub_numsub(channel)).get(channel.encode()) == room)

        at_once = relay.ask(head("GET", target, signed("GET", target)))
        signer.post(f"/v1/jobs/{name}/cancel")
        answers = [caller.hear() for caller in waiting]

    assert json.loads(at_once.body)["status"] == "queued"
    assert [json.loads(answer.body)["status"] for answer in answers if answer] == [
        "canceled"
    ] * room


# All at once.


def test_one_signed_request_sent_by_fifty_threads_is_let_in_once(
    relay: Relay, signed: Any, redis: Any
) -> None:
    request = head("POST", "/v1/jobs", signed("POST", "/v1/jobs", JOB, idempotency_key="k")) + JOB
    gate = threading.Barrier(50)

    def send(_: int) -> int:
        gate.wait()
        return relay.ask(request).status

    with ThreadPoolExecutor(50) as pool:
        statuses = sorted(pool.map(send, range(50)))

    assert statuses == [202] + [409] * 49
    assert len(redis.keys("rq:job:*")) == 1


def test_a_hundred_retries_of_one_submission_make_one_job(
    relay: Relay, signed: Any, redis: Any
) -> None:
    def send(_: int) -> Answer:
        headers = signed("POST", "/v1/jobs", JOB, idempotency_key="order-42")
        return relay.ask(head("POST", "/v1/jobs", headers), JOB)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(100)))

    assert {answer.status for answer in answers} == {202}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len({json.loads(answer.body)["jobs"][0]["job_id"] for answer in answers}) == 1
    assert len(redis.keys("rq:job:*")) == 1


def test_a_quota_is_never_overshot(relay: Relay, signed: Any, redis: Any, signer: Any) -> None:
    ledger = signer.books.ledger
    ledger.set_plan_limits("pro", rows_per_day=20, max_depth=None)
    try:
        _until(lambda: _answer_to(relay, signed, rows=21) == 429)
        redis.delete(*redis.keys("linkrow:quota:*"))

        def send(_: int) -> int:
            headers = signed("POST", "/v1/jobs", JOB, idempotency_key=new_nonce())
            return relay.ask(head("POST", "/v1/jobs", headers), JOB).status

        with ThreadPoolExecutor(50) as pool:
            statuses = list(pool.map(send, range(100)))
    finally:
        ledger.set_plan_limits("pro", rows_per_day=None, max_depth=None)

    assert statuses.count(202) == 20
    assert statuses.count(429) == 80


def _answer_to(relay: Relay, signed: Any, *, rows: int) -> int:
    """What becomes of so many rows at once: 429 as soon as the new limit has arrived."""
    body = json.dumps({"jobs": [json.loads(JOB)] * rows}).encode()
    headers = signed("POST", "/v1/jobs", body, idempotency_key=new_nonce())
    return relay.ask(head("POST", "/v1/jobs", headers), body).status


# Secrets.


def test_the_log_of_the_service_holds_no_secret(relay: Relay, signed: Any, signer: Any) -> None:
    headers = signed("GET", "/v1/jobs")
    relay.ask(head("GET", "/v1/jobs", headers))
    relay.ask(head("GET", "/v1/jobs", headers | {"Linkrow-Nonce": "\x01bad"}))
    relay.ask(head("GET", "/v1/jobs", headers).replace(b"Linkrow-Key:", b"Linkrow Key:"))

    log = relay.log.read_text()

    for key in signer.books.keys.values():
        assert key.secret not in log
    assert headers["Linkrow-Signature"].removeprefix("v1=") not in log


# The end.


@pytest.fixture
def own_relay(
    tmp_path: Path, redis_url: str, broker: Broker, make_books: Callable[[str], Any]
) -> Iterator[Relay]:
    books = make_books(f"sqlite:///{tmp_path}/ledger.sqlite3").fill()
    relay = Relay(tmp_path, redis_url).wait()
    yield relay
    relay.close()
    books.ledger.close()


@pytest.mark.parametrize("how", ["SIGTERM", "its parent's end", "kill -9 of the master"])
def test_the_service_ends_whole(own_relay: Relay, how: str) -> None:
    processes = own_relay.processes()
    assert len(processes) >= 2

    if how == "SIGTERM":
        own_relay.process.send_signal(signal.SIGTERM)
    elif how == "its parent's end":
        assert own_relay.process.stdin
        own_relay.process.stdin.close()
    else:
        own_relay.process.kill()

    own_relay.process.wait(30)
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    if how != "kill -9 of the master":
        assert own_relay.process.returncode == 0


def test_a_killed_worker_is_replaced(own_relay: Relay) -> None:
    worker = own_relay.processes()[1]

    worker.kill()
    worker.wait(10)

    own_relay.wait()


@pytest.mark.parametrize(
    ("environ", "code", "word"),
    [
        pytest.param({"LINKROW_MASTER_KEY": "not base64"}, 2, "bad_master_key", id="no master key"),
        pytest.param({}, 7, "ledger_not_migrated", id="an empty ledger"),
        pytest.param({"LINKROW_BIND": "192.0.2.1:80"}, 2, "bad_config", id="no address of ours"),
    ],
)
def test_what_would_fail_every_request_is_said_before_the_first(
    tmp_path: Path,
    redis_url: str,
    make_books: Callable[[str], Any],
    environ: dict[str, str],
    code: int,
    word: str,
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite3"
    if word != "ledger_not_migrated":
        make_books(url).ledger.close()

    ended = subprocess.run(
        [sys.executable, "-m", "relay.entry", "serve", "--data", tmp_path],
        cwd=ROOT,
        env={
            **{n: v for n, v in os.environ.items() if not n.startswith("LINKROW_")},
            "LINKROW_REDIS_URL": redis_url,
            "LINKROW_DATABASE_URL": url,
            "LINKROW_MASTER_KEY": MASTER_KEY,
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == code, ended.stderr
    assert ended.stderr.strip().splitlines()[-1].endswith(f"[{word}]")
    assert "Traceback" not in ended.stderr
