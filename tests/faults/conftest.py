"""A real relay, real agents and a failing network between them, on a website a test can hold."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from connector.patience import Patience
from connector.relay_client import RelayClient
from tests.faults.fault_proxy import FaultProxy
from tests.processes import AgentProcess, Relay, Site, Table, add_device, wait_until
from wire.signing import Credentials


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def make_proxy() -> Iterator[Callable[[tuple[str, int]], FaultProxy]]:
    made: list[FaultProxy] = []

    def make(upstream: tuple[str, int]) -> FaultProxy:
        made.append(FaultProxy(upstream))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with TemporaryDirectory(prefix="lr-f-", dir="/tmp") as folder:
        relay = Relay(Path(folder))
        yield relay
        relay.close()


@pytest.fixture
def held_recorder(relay: Relay) -> Iterator[None]:
    """The stream keeps everything that happens, to be counted, until the test is over."""
    recorder = relay.part("recorder")
    recorder.suspend()
    yield
    recorder.resume()


@pytest.fixture(scope="module")
def other_device(relay: Relay) -> Credentials:
    return add_device(relay.data, "another machine")


@pytest.fixture
def proxy(relay: Relay, make_proxy: Callable[[tuple[str, int]], FaultProxy]) -> FaultProxy:
    """The network between the relay and who is told to use it."""
    return make_proxy(relay.address)


@pytest.fixture
def through(relay: Relay, proxy: FaultProxy) -> Iterator[RelayClient]:
    """A client of the relay behind the failing network."""
    client = RelayClient(
        proxy.url, relay.credentials, patience=Patience(first_pause=0.01, longest_pause=0.05)
    )
    yield client
    client.close()


@pytest.fixture
def table(relay: Relay, tmp_path: Path) -> Callable[..., Table]:
    def make(links: list[str], *, path: Path = tmp_path / "links.csv", **more: object) -> Table:
        return Table(relay, path, links, **more)

    return make


@pytest.fixture
def start(relay: Relay, proxy: FaultProxy, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Start an agent for a table, behind the failing network; *name* is its machine's folder."""
    started: list[AgentProcess] = []

    def begin(
        table: Table,
        *,
        name: str = "one",
        home: Path | None = None,
        by: FaultProxy = proxy,
        key: Credentials = relay.credentials,
    ) -> AgentProcess:
        agent = AgentProcess(
            table,
            relay_url=by.url,
            key=key,
            environ=relay.environ,
            folder=tmp_path,
            name=name,
            home=home or tmp_path / name,
        )
        started.append(agent)
        return agent

    yield begin
    for each in started:
        each.close()
