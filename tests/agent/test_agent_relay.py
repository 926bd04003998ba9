"""The agent's loop against the real service over HTTP and a real Redis: fences and obligations."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from agent.agent import Agent
from agent.clock import suspend_aware
from agent.duty import Duty
from agent.resolver import Resolved, Task
from agent.spool import Spool
from agent.writeback import Pace
from connector.errors import Locked
from connector.patience import Patience
from connector.relay_client import RelayClient
from connector.relay_errors import Unreachable
from connector.source import Change, Written
from relay.app import create_app
from relay.ledger.accounts import KeyRecord, Plan
from relay.parts import Parts
from relay.queue.broker import Broker
from relay.queue.terms import Caller, QueueSettings
from wire import models
from wire.signing import Credentials
from wire.vocab import Conclusion, JobStatus, KeyKind, Scope, Writeback

SOURCE = "src_a"
ACCOUNT = "acc_1"


class Keys:
    """Every device's key; all of one account."""

    def find(self, key_id: str) -> KeyRecord | None:
        return KeyRecord(
            key_id=key_id,
            account_id=ACCOUNT,
            kind=KeyKind.DEVICE,
            device_id="dev_" + key_id.removeprefix("lrk_"),
            scopes=frozenset(Scope),
            plan=Plan(name="pro", rows_per_day=None, max_depth=None, api_links=True),
            secrets=("secret of " + key_id,),
        )


class Relay:
    """The real service over HTTP on loopback; it can go away and come back."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        parts = Parts(broker=broker, ledger=None, keyring=Keys(), max_waiting=8)
        self._app = create_app(parts)
        self._port = 0
        self._server: BaseWSGIServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        server = make_server(
            "127.0.0.1", self._port, self._app, threaded=True, request_handler=_Handler
        )
        server.daemon_threads = True
        self._server, self._port = server, server.server_port
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """No new connection and no answer on an old one: as if killed."""
        assert self._server
        self._server.shutdown()
        self._server.server_close()
        for connection in list(_Handler.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server = None

    def client(self, device: str) -> RelayClient:
        key_id = f"lrk_{device:0<8}"
        credentials = Credentials(key_id=key_id, secret="secret of " + key_id)
        return RelayClient(self.url, credentials, patience=Patience(attempts=1))


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[socket.socket]] = set()

    def setup(self) -> None:
        super().setup()
        self.connections.add(self.connection)

    def finish(self) -> None:
        self.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log(self, kind: str, message: str, *args: object) -> None:
        pass


class Sheet:
    """Rows that several agents may write into, and everything that was written."""

    source_id = SOURCE
    name = "links.csv"

    def __init__(self) -> None:
        self.written: list[tuple[str, str]] = []

    def write(self, changes: Sequence[Change]) -> list[Written]:
        self.written += [(each.row_id, str(each.cells["final_url"])) for each in changes]
        return [Written(row_id=each.row_id, writeback=Writeback.WRITTEN) for each in changes]


class LockedSheet(Sheet):
    """The same rows, seen from a machine where somebody has the file open."""

    def write(self, changes: Sequence[Change]) -> list[Written]:
        raise Locked(Path(self.name))


class Walker:
    """Every link lands on this walker's own page, once its gate is open."""

    def __init__(self, page: str, *, is_open: bool) -> None:
        self.page = page
        self.gate = threading.Event()
        if is_open:
            self.gate.set()
        self.walking: dict[str, Task] = {}
        self.canceled: list[str] = []
        self.woken = threading.Event()

    def submit(self, task: Task) -> None:
        self.walking[task.key] = task

    def poll(self, timeout: float) -> list[Resolved]:
        if not self.gate.is_set() or not self.walking:
            self.woken.wait(min(timeout, 0.02))
            self.woken.clear()
        if not self.gate.is_set():
            return []
        ended, self.walking = self.walking, {}
        outcome = models.Outcome(
            status=JobStatus.DONE, conclusion=Conclusion.VALID, final_url=self.page, http_status=200
        )
        return [Resolved(key=key, outcome=outcome, ms=1) for key in ended]

    def cancel(self, key: str) -> None:
        self.walking.pop(key, None)
        self.canceled.append(key)

    def wake(self) -> None:
        self.woken.set()

    def close(self) -> None:
        pass


class Machine:
    """One device with its agent, its spool and its walker."""

    def __init__(self, relay: Relay, folder: Path, device: str, sheet: Sheet, *, is_open: bool):
        self.relay = relay.client(device)
        self.walker = Walker(f"https://{device}.example/", is_open=is_open)
        self.spool = Spool(folder / device / "spool.sqlite3")
        self.stop = threading.Event()
        self.clock = suspend_aware
        self.agent = Agent(
            Duty(
                sources={SOURCE: sheet},
                sourceless=False,
                poll_seconds=1,
                tick_seconds=0.05,
                finish_seconds=0.1,
                drain_seconds=0.5,
                pace=Pace(first_pause=0.01, longest_pause=0.05),
            ),
            relay=self.relay,
            spool=self.spool,
            walker=lambda: self.walker,
            stop=self.stop,
            clock=self._now,
        )
        self.thread = threading.Thread(target=self.agent.run)
        self.thread.start()

    def _now(self) -> float:
        return self.clock()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.spool.close()
        self.relay.close()


@pytest.fixture
def broker(redis: object) -> Broker:
    settings = QueueSettings(lease_seconds=2, renew_seconds=1, obligation_seconds=1)
    broker = Broker(redis, settings=settings)
    broker.rebuild(sources=[], quotas=[], unfinished=[], owed=[])
    return broker


@pytest.fixture
def sheet() -> Sheet:
    return Sheet()


@pytest.fixture
def relay(broker: Broker) -> Iterator[Relay]:
    relay = Relay(broker)
    yield relay
    relay.stop()


@pytest.fixture
def machine(relay: Relay, sheet: Sheet, tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    started: list[Machine] = []

    def start(device: str, *, sheet: Sheet = sheet, is_open: bool = True) -> Machine:
        started.append(Machine(relay, tmp_path, device, sheet, is_open=is_open))
        return started[-1]

    yield start
    for each in started:
        if each.thread.is_alive():
            each.end()


def submit(relay: Relay, *rows: str, **more: str) -> list[str]:
    jobs = [
        models.JobRequest(
            tracking_url=f"https://t.example/{row}", source_id=SOURCE, row_id=row, **more
        )
        for row in rows
    ]
    caller = relay.client("caller")
    answer = caller.submit(jobs, idempotency_key=secrets.token_hex(8))
    caller.close()
    return [job.job_id for job in answer.jobs]


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "did not come about"
        time.sleep(0.01)


def asleep(ask: object) -> None:
    raise Unreachable("http://relay", "the machine sleeps")


def writeback(broker: Broker, job_id: str) -> Writeback | None:
    job = broker.job(ACCOUNT, job_id)
    return job.writeback if job else None


def test_every_row_gets_its_answer_and_the_relay_hears_of_it(broker, relay, sheet, machine):
    jobs = submit(relay, *(f"r_{number}" for number in range(30)))

    machine("one")
    eventually(lambda: all(writeback(broker, job) is Writeback.WRITTEN for job in jobs))

    assert sorted(sheet.written) == sorted((f"r_{n}", "https://one.example/") for n in range(30))


def test_a_machine_that_slept_too_long_does_not_spoil_the_row(broker, relay, sheet, machine):
    (job,) = submit(relay, "r_1")
    sleeper = machine("sleeper", is_open=False)
    eventually(lambda: bool(sleeper.walker.walking))
    # Asleep: no renewal, no poll; the process knows nothing of it.
    sleeper.relay.lease = sleeper.relay.renew = asleep
    sleeper.clock = lambda: 0.0
    machine("awake")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    sleeper.walker.gate.set()
    eventually(lambda: not sleeper.walker.walking and not len(sleeper.spool))

    assert sheet.written == [("r_1", "https://awake.example/")]


def test_a_superseded_job_is_stopped_and_never_written(broker, relay, sheet, machine):
    submit(relay, "r_1")
    agent = machine("one", is_open=False)
    eventually(lambda: bool(agent.walker.walking))
    old = next(iter(agent.walker.walking))

    (newer,) = submit(relay, "r_1", expected_domain="one.example")
    eventually(lambda: agent.walker.canceled == [old])
    agent.walker.gate.set()
    eventually(lambda: writeback(broker, newer) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://one.example/")]


def test_a_row_its_machine_cannot_write_is_written_by_another_without_a_second_walk(
    broker, relay, sheet, machine
):
    (job,) = submit(relay, "r_1")
    first = machine("first", sheet=LockedSheet())
    eventually(lambda: writeback(broker, job) is Writeback.PENDING and len(first.spool) == 1)
    first.end()

    second = machine("second", is_open=False)
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://first.example/")]
    assert not second.walker.walking


def test_a_row_that_is_owed_stays_with_its_machine_while_that_is_alive(
    broker, relay, sheet, machine
):
    (job,) = submit(relay, "r_1")
    mine = LockedSheet()
    first = machine("first", sheet=mine)
    eventually(lambda: writeback(broker, job) is Writeback.PENDING)
    machine("second")
    renewals = 0
    renew = first.relay.renew

    def counted(ask: models.RenewRequest) -> models.RenewAnswer:
        nonlocal renewals
        renewals += job in ask.writebacks
        return renew(ask)

    first.relay.renew = counted
    eventually(lambda: renewals >= 3)
    assert sheet.written == []

    mine.write = sheet.write
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)
    assert sheet.written == [("r_1", "https://first.example/")]


def test_links_given_back_at_the_end_are_taken_at_once(broker, relay, sheet, machine):
    broker.settings = QueueSettings(lease_seconds=600, renew_seconds=200)
    (job,) = submit(relay, "r_1")
    first = machine("first", is_open=False)
    eventually(lambda: bool(first.walker.walking))
    first.end()

    machine("second")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://second.example/")]


def test_a_machine_that_starts_again_takes_up_what_it_held(broker, relay, sheet, machine):
    broker.settings = QueueSettings(lease_seconds=600, renew_seconds=200)
    (job,) = submit(relay, "r_1")
    # Killed after leasing: nothing was given back, and the lease would last ten minutes.
    lost = relay.client("one").lease(models.LeaseRequest(sources=[SOURCE]))
    assert [lease.job_id for lease in lost.leases] == [job]

    machine("one")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://one.example/")]


def test_the_relay_goes_away_and_comes_back_and_every_row_is_right(broker, relay, sheet, machine):
    jobs = submit(relay, *(f"r_{number}" for number in range(30)))
    one = machine("one", is_open=False)
    eventually(lambda: len(one.walker.walking) == 30)

    relay.stop()
    one.walker.gate.set()
    eventually(lambda: len(one.spool) == 30)
    assert sheet.written == []
    relay.start()
    eventually(lambda: all(writeback(broker, job) is Writeback.WRITTEN for job in jobs))

    assert sorted(sheet.written) == sorted((f"r_{n}", "https://one.example/") for n in range(30))


def test_a_poll_whose_asker_is_gone_takes_no_work_with_it(broker, relay, machine, sheet):
    gone = Caller(
        account_id=ACCOUNT, key_id="lrk_gone0000", timestamp=int(time.time()), nonce="n" * 20
    )
    ask = models.LeaseRequest(sources=[SOURCE], wait_seconds=20)
    taken: list[models.Lease] = []
    poll = threading.Thread(
        target=lambda: taken.extend(broker.lease_waiting(gone, ask, is_wanted=lambda: False))
    )
    poll.start()
    eventually(lambda: broker.redis.info("clients")["blocked_clients"] == 1)
    (job,) = submit(relay, "r_1")
    poll.join(20)

    machine("one")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert taken == []
    assert sheet.written == [("r_1", "https://one.example/")]
