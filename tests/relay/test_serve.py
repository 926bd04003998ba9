"""The service's own processes: what becomes of workers whose master was killed."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from connector.relay_client import RelayClient
from connector.relay_errors import Unreachable
from wire.models import LeaseRequest
from wire.signing import Credentials

pytestmark = pytest.mark.processes
ROOT = Path(__file__).parents[2]


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def relay() -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    with tempfile.TemporaryDirectory(prefix="lr-sv-", dir="/tmp") as home:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("LINKROW_")
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "relay.entry", "up", "--bind", "127.0.0.1:0"],
            cwd=ROOT,
            env=kept | {"LINKROW_HOME": home, "TMPDIR": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        data = Path(home) / "relay"
        eventually((data / "relay.json").exists)
        yield process, data
        process.terminate()
        process.wait(60)


def test_a_long_poll_does_not_outlive_a_service_that_was_killed(relay) -> None:
    process, data = relay
    key = json.loads((data / "device.json").read_text())
    client = RelayClient(
        json.loads((data / "relay.json").read_text())["url"],
        Credentials(key_id=key["key_id"], secret=key["secret"]),
    )
    (master,) = [
        child for child in psutil.Process(process.pid).children() if "serve" in child.cmdline()
    ]
    (worker,) = master.children()
    with ThreadPoolExecutor(1) as hands:
        ask = LeaseRequest(sources=["src_nothing"], wait_seconds=25)
        waiting = hands.submit(client.lease, ask)
        eventually(lambda: any(each.raddr for each in worker.net_connections("tcp")))
        master.kill()

        with pytest.raises(Unreachable):  # not "nothing to do", 25 seconds later
            waiting.result()

    eventually(lambda: not worker.is_running())
    assert client.health()
    client.close()
