"""A whole relay under a test: ``linkrow-relay up`` as processes, and signed requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import redis as redis_py

from wire.signing import Credentials, sign_request

ROOT = Path(__file__).parents[2]


def processes(data: Path) -> list[psutil.Process]:
    """Every process that has to do with the data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (
                str(data) in " ".join(process.cmdline()) or process.cwd().startswith(str(data))
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def child(data: Path, word: str) -> psutil.Process:
    """The one of them whose command line holds *word*."""
    return next(each for each in processes(data) if word in " ".join(each.cmdline()))


def eventually(condition: Callable[[], bool], seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


class Up:
    """One relay under a test."""

    def __init__(self, data: Path, *options: str, **environ: str) -> None:
        self.data = data
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("LINKROW_")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relay.entry", "up", "--data", str(data), "--bind",
             "127.0.0.1:0", *options],
            cwd=ROOT, env=kept | {"TMPDIR": str(data.parent)} | environ,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_until_ready(self, seconds: float = 40) -> str:
        ready = self.data / "relay.json"
        eventually(lambda: ready.exists() or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.process.communicate()[1]
        return str(json.loads(ready.read_text())["url"])

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=40)
        return self.process.returncode, errors

    def redis(self) -> Any:
        """A client of its private Redis."""
        note = json.loads((self.data / "redis.json").read_text())
        return redis_py.Redis(unix_socket_path=note["socket"])


class Caller:
    """Signs with the device key of the relay's own folder and sends."""

    def __init__(self, relay: Up, url: str) -> None:
        device = json.loads((relay.data / "device.json").read_text())
        self.account = str(device["account_id"])
        self._credentials = Credentials(key_id=device["key_id"], secret=device["secret"])
        self._address = url.removeprefix("http://")

    def sign(self, target: str, value: Any, *, idempotency_key: str = "") -> tuple[bytes, Any]:
        body = json.dumps(value).encode()
        headers = sign_request(
            self._credentials,
            method="POST",
            target=target,
            body=body,
            now=datetime.now(UTC),
            idempotency_key=idempotency_key,
        )
        return body, headers | {"Content-Type": "application/json"}

    def send(
        self, target: str, body: bytes, headers: Any, *, method: str = "POST"
    ) -> tuple[int, Any, Any]:
        """Status, headers and JSON of the answer. Raises OSError or HTTPException without one."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read())
        finally:
            connection.close()

    def post(self, target: str, value: Any, *, idempotency_key: str = "") -> tuple[int, Any, Any]:
        body, headers = self.sign(target, value, idempotency_key=idempotency_key)
        return self.send(target, body, headers)

    def get(self, target: str) -> tuple[int, Any, Any]:
        headers = sign_request(
            self._credentials, method="GET", target=target, body=b"", now=datetime.now(UTC)
        )
        return self.send(target, b"", headers, method="GET")

    def insist(
        self, target: str, value: Any = None, *, idempotency_key: str = "", seconds: float = 100
    ) -> Any:
        """The answer, however often it has to be asked for: signed anew, under the same key.

        Without a *value* to post, it is read.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                status, _, answer = (
                    self.get(target)
                    if value is None
                    else self.post(target, value, idempotency_key=idempotency_key)
                )
            except (OSError, http.client.HTTPException):
                status, answer = 0, None
            if status in (200, 201, 202):
                return answer
            assert status in (0, 401, 503), answer
            assert status != 401 or answer["code"] == "stale_timestamp", answer
            assert time.monotonic() < until, answer
            time.sleep(0.02)


def row(number: object, source: str = "src_a") -> dict[str, str]:
    return {"tracking_url": "https://trk.example/a", "source_id": source, "row_id": f"r_{number}"}


def is_back(data: Path, victim: str, gone: int) -> bool:
    """Whether it was started again, and Redis answers."""
    try:
        if child(data, victim).pid == gone:
            return False
        note = json.loads((data / "redis.json").read_text())
        with redis_py.Redis(unix_socket_path=note["socket"]) as redis:
            return bool(redis.ping())
    except (StopIteration, OSError, ValueError, psutil.Error, redis_py.exceptions.RedisError):
        return False
