"""The agent's loop against the real queue in a real Redis: fences, leases and obligations."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agent.agent import Agent, Duty
from agent.resolver import Resolved, Task
from agent.spool import Spool
from agent.writeback import Pace
from connector.errors import ConnectorError
from connector.source import Change, Written
from relay.queue.broker import Broker, Caller, Limits, QueueSettings
from wire import models
from wire.vocab import Conclusion, JobStatus, Writeback

SOURCE = "src_a"
ACCOUNT = "acc_1"


class QueueRelay:
    """What a relay's agent endpoints do, without HTTP between."""

    def __init__(self, broker: Broker, device: str) -> None:
        self.broker = broker
        self.device = device

    def caller(self) -> Caller:
        return Caller(
            account_id=ACCOUNT,
            key_id="lrk_test0000",
            device_id=self.device,
            timestamp=int(time.time()),
            nonce=secrets.token_urlsafe(16),
            body_sha256="0" * 64,
        )

    def lease(self, ask: models.LeaseRequest) -> models.LeaseAnswer:
        leases = self.broker.lease_waiting(self.caller(), ask)
        settings = self.broker.settings
        return models.LeaseAnswer(
            leases=leases,
            lease_seconds=settings.lease_seconds,
            renew_seconds=settings.renew_seconds,
        )

    def renew(self, ask: models.RenewRequest) -> models.RenewAnswer:
        return self.broker.renew(self.caller(), ask)

    def results(self, ask: models.ResultsRequest) -> models.ResultsAnswer:
        return models.ResultsAnswer(results=self.broker.report(self.caller(), ask.results))

    def writebacks(self, ask: models.WritebacksRequest) -> models.WritebacksAnswer:
        noted = self.broker.note_writebacks(self.caller(), ask.writebacks)
        return models.WritebacksAnswer(writebacks=noted)

    def release(self, ask: models.ReleaseRequest) -> models.ReleaseAnswer:
        return models.ReleaseAnswer(released=self.broker.release(self.caller(), ask))


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
        raise ConnectorError("somebody has the file open")


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

    def __init__(self, broker: Broker, folder: Path, device: str, sheet: Sheet, *, is_open: bool):
        self.now = 0.0
        self.relay = QueueRelay(broker, device)
        self.walker = Walker(f"https://{device}.example/", is_open=is_open)
        self.spool = Spool(folder / device / "spool.sqlite3")
        self.stop = threading.Event()
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
        )
        self.thread = threading.Thread(target=self.agent.run)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.spool.close()


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
def machine(broker: Broker, sheet: Sheet, tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    started: list[Machine] = []

    def start(device: str, *, sheet: Sheet = sheet, is_open: bool = True) -> Machine:
        started.append(Machine(broker, tmp_path, device, sheet, is_open=is_open))
        return started[-1]

    yield start
    for each in started:
        if each.thread.is_alive():
            each.end()


def submit(broker: Broker, *rows: str, **more: str) -> list[str]:
    jobs = [
        models.JobRequest(
            tracking_url=f"https://t.example/{row}", source_id=SOURCE, row_id=row, **more
        )
        for row in rows
    ]
    admission = broker.admit(
        QueueRelay(broker, "dev_caller").caller(),
        jobs,
        route="POST /v1/jobs",
        idempotency_key=secrets.token_hex(8),
        limits=Limits(),
    )
    return [job.job_id for job in admission.jobs]


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "did not come about"
        time.sleep(0.01)


def writeback(broker: Broker, job_id: str) -> Writeback | None:
    job = broker.job(ACCOUNT, job_id)
    return job.writeback if job else None


def test_every_row_gets_its_answer_and_the_relay_hears_of_it(broker, sheet, machine):
    jobs = submit(broker, *(f"r_{number}" for number in range(30)))

    machine("one")
    eventually(lambda: all(writeback(broker, job) is Writeback.WRITTEN for job in jobs))

    assert sorted(sheet.written) == sorted((f"r_{n}", "https://one.example/") for n in range(30))


def test_a_machine_that_slept_too_long_does_not_spoil_the_row(broker, sheet, machine):
    (job,) = submit(broker, "r_1")
    sleeper = machine("sleeper", is_open=False)
    eventually(lambda: bool(sleeper.walker.walking))
    # Asleep: no renewal, no poll; the process knows nothing of it.
    sleeper.agent._renew_all = lambda: None
    sleeper.agent._clock = lambda: 0.0
    machine("awake")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    sleeper.walker.gate.set()
    eventually(lambda: not sleeper.walker.walking and not len(sleeper.spool))

    assert sheet.written == [("r_1", "https://awake.example/")]


def test_a_superseded_job_is_stopped_and_never_written(broker, sheet, machine):
    submit(broker, "r_1")
    agent = machine("one", is_open=False)
    eventually(lambda: bool(agent.walker.walking))
    old = next(iter(agent.walker.walking))

    (newer,) = submit(broker, "r_1", expected_domain="one.example")
    eventually(lambda: agent.walker.canceled == [old])
    agent.walker.gate.set()
    eventually(lambda: writeback(broker, newer) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://one.example/")]


def test_a_row_its_machine_cannot_write_is_written_by_another_without_a_second_walk(
    broker, sheet, machine
):
    (job,) = submit(broker, "r_1")
    first = machine("first", sheet=LockedSheet())
    eventually(lambda: writeback(broker, job) is Writeback.PENDING and len(first.spool) == 1)
    first.end()

    second = machine("second", is_open=False)
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://first.example/")]
    assert not second.walker.walking


def test_a_row_that_is_owed_stays_with_its_machine_while_that_is_alive(broker, sheet, machine):
    (job,) = submit(broker, "r_1")
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


def test_links_given_back_at_the_end_are_taken_at_once(broker, sheet, machine):
    broker.settings = QueueSettings(lease_seconds=600, renew_seconds=200)
    (job,) = submit(broker, "r_1")
    first = machine("first", is_open=False)
    eventually(lambda: bool(first.walker.walking))
    first.end()

    machine("second")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://second.example/")]


def test_a_machine_that_starts_again_takes_up_what_it_held(broker, sheet, machine, tmp_path):
    broker.settings = QueueSettings(lease_seconds=600, renew_seconds=200)
    (job,) = submit(broker, "r_1")
    # Killed after leasing: nothing was given back, and the lease would last ten minutes.
    lost = QueueRelay(broker, "one").lease(models.LeaseRequest(sources=[SOURCE]))
    assert [lease.job_id for lease in lost.leases] == [job]

    machine("one")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert sheet.written == [("r_1", "https://one.example/")]


def test_a_poll_whose_asker_is_gone_takes_no_work_with_it(broker, machine, sheet):
    gone = QueueRelay(broker, "gone")
    ask = models.LeaseRequest(sources=[SOURCE], wait_seconds=20)
    taken: list[models.Lease] = []
    poll = threading.Thread(
        target=lambda: taken.extend(
            broker.lease_waiting(gone.caller(), ask, is_wanted=lambda: False)
        )
    )
    poll.start()
    eventually(lambda: broker.redis.info("clients")["blocked_clients"] == 1)
    (job,) = submit(broker, "r_1")
    poll.join(20)

    machine("one")
    eventually(lambda: writeback(broker, job) is Writeback.WRITTEN)

    assert taken == []
    assert sheet.written == [("r_1", "https://one.example/")]
