"""A whole relay of this machine's, or a bare Redis, for as long as a block lasts."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis as redis_py

from bench.frame import ROOT
from connector.relay_client import RelayClient
from relay.embedded import EmbeddedRedis
from wire.signing import Credentials

READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """What a client needs, and where the relay's Redis listens."""

    url: str
    credentials: Credentials
    redis_socket: str

    def client(self) -> RelayClient:
        """One of this machine's device: it may hand in jobs and work on them."""
        return RelayClient(self.url, self.credentials)


@contextmanager
def running_relay() -> Iterator[Relay]:
    """``linkrow-relay up`` with everything in it, as the first user starts it."""
    with tempfile.TemporaryDirectory(prefix="linkrow-bench-") as name:
        data = Path(name) / "relay"
        environ = {key: value for key, value in os.environ.items() if "LINKROW_" not in key}
        environ |= {"LINKROW_HOME": name, "LINKROW_BIND": "127.0.0.1:0"}
        with (Path(name) / "up.log").open("w+b") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "relay.entry", "up", "--data", str(data)],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                noted = _noted(data / "relay.json", process, log.name)
                device = json.loads((data / "device.json").read_text("utf-8"))
                redis = json.loads((data / "redis.json").read_text("utf-8"))
                yield Relay(
                    url=noted["url"],
                    credentials=Credentials(key_id=device["key_id"], secret=device["secret"]),
                    redis_socket=redis["socket"],
                )
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(READY_SECONDS)


def _noted(note: Path, process: "subprocess.Popen[bytes]", log: str) -> dict[str, str]:
    until = time.monotonic() + READY_SECONDS
    while True:
        with suppress(OSError, ValueError):
            found: dict[str, str] = json.loads(note.read_text("utf-8"))
            return found
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(Path(log).read_text("utf-8", "replace"))
        time.sleep(0.05)


@contextmanager
def bare_redis() -> Iterator[str]:
    """A Redis as the relay's private one, but to the disk every second: its URL.

    The relay's own waits for the disk at each write. To others, who ask a dozen times where it asks
    once, that would be unfair: nobody runs RQ so.
    """
    with tempfile.TemporaryDirectory(prefix="linkrow-bench-") as name:
        server = EmbeddedRedis(Path(name))
        server.start()
        try:
            with redis_py.Redis.from_url(server.url) as redis:
                redis.config_set("appendfsync", "everysec")
            yield server.url
        finally:
            server.stop()
