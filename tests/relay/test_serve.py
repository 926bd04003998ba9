"""The service's own processes: what becomes of workers whose master was killed."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector.relay_client import RelayClient
from connector.relay_errors import Unreachable
from tests.processes import Relay, wait_until
from wire.models import LeaseRequest

pytestmark = pytest.mark.processes


@pytest.fixture
def relay() -> Iterator[Relay]:
    with tempfile.TemporaryDirectory(prefix="lr-sv-", dir="/tmp") as home:
        relay = Relay(Path(home))
        yield relay
        relay.close()


def test_a_long_poll_does_not_outlive_a_service_that_was_killed(relay) -> None:
    client = RelayClient(relay.url, relay.credentials)
    master = relay.part("serve")
    (worker,) = master.children()
    with ThreadPoolExecutor(1) as hands:
        ask = LeaseRequest(sources=["src_nothing"], wait_seconds=25)
        waiting = hands.submit(client.lease, ask)
        wait_until(lambda: any(each.raddr for each in worker.net_connections("tcp")))
        master.kill()

        with pytest.raises(Unreachable):  # not "nothing to do", 25 seconds later
            waiting.result()

    wait_until(lambda: not worker.is_running())
    assert client.health()
    client.close()
