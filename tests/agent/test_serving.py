"""Sources come and go while an agent works: real registry, real files, real relay and Redis."""

import csv
import io
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.agent import Agent
from agent.duty import Duty
from agent.events import Events
from agent.roster import SHEET_PACE, RegistryRoster
from agent.spool import Spool
from agent.writeback import Pace
from connector.csv_file import CsvFile
from connector.errors import Locked
from connector.locks import try_lock
from connector.opening import run_lock
from connector.registered import FilePlace, RegisteredSource, SheetPlace
from connector.registry import Registry
from connector.source import Change, Written
from relay.queue.broker import Broker
from relay.queue.terms import QueueSettings
from tests.agent.test_agent_relay import ACCOUNT, Relay, Walker
from tests.processes import wait_until as eventually
from wire import models
from wire.vocab import JobStatus, Writeback

DEVICE = "one"
PACE = Pace(first_pause=0.01, longest_pause=0.05, hopeless_seconds=600.0)


@pytest.fixture
def broker(redis: object) -> Broker:
    settings = QueueSettings(lease_seconds=4, renew_seconds=1, obligation_seconds=2)
    broker = Broker(redis, settings=settings)
    broker.rebuild(sources=[], quotas=[], unfinished=[], owed=[])
    return broker


@pytest.fixture
def relay(broker: Broker) -> Iterator[Relay]:
    relay = Relay(broker)
    yield relay
    relay.stop()


class Table:
    """A CSV of two rows, registered as a source or not."""

    def __init__(self, folder: Path, name: str, relay: Relay) -> None:
        self.path = folder / f"{name}.csv"
        self.name = name
        self.relay = relay
        self.registry = Registry(folder)
        self.source_id = self.registry.source_id_of(FilePlace.of(self.path))
        self.fill()

    def fill(self) -> "Table":
        self.path.write_text(
            "row_id,tracking_url\n"
            f"r_1,https://t.example/{self.name}/1\nr_2,https://t.example/{self.name}/2\n"
        )
        return self

    @property
    def entry(self) -> RegisteredSource:
        return RegisteredSource(
            source_id=self.source_id,
            name=self.name,
            place=FilePlace.of(self.path),
            added_at=datetime.now(UTC),
        )

    def add(self, **more: object) -> "Table":
        self.registry.add(replace(self.entry, **more))
        return self

    def submit(self) -> list[str]:
        jobs = [
            models.JobRequest(
                tracking_url=f"https://t.example/{self.name}/{number}",
                source_id=self.source_id,
                row_id=f"r_{number}",
            )
            for number in (1, 2)
        ]
        caller = self.relay.client("caller")
        answer = caller.submit(jobs, idempotency_key=secrets.token_hex(8))
        caller.close()
        return [job.job_id for job in answer.jobs]

    def column(self, name: str) -> list[str]:
        with self.path.open(newline="") as file:
            return [row.get(name) or "" for row in csv.DictReader(file)]

    def is_written(self) -> bool:
        return self.path.exists() and self.column("conclusion") == ["valid", "valid"]


class LockedFile(CsvFile):
    """A file that can be looked at, and that somebody keeps open."""

    def write(self, changes: Sequence[Change]) -> list[Written]:
        raise Locked(self.path)


def locked(entry: RegisteredSource, **_: object) -> LockedFile:
    assert isinstance(entry.place, FilePlace)
    return LockedFile(entry.place.path, source_id=entry.source_id)


class Machine:
    """One agent that serves whatever is registered in its folder."""

    def __init__(
        self,
        folder: Path,
        relay: Relay,
        *,
        device: str = DEVICE,
        is_open: bool = True,
        until_empty: bool = False,
        **more: object,
    ) -> None:
        self.walker = Walker("https://page.example/", is_open=is_open)
        self.spool = Spool(folder / "agent" / "spool.sqlite3")
        self.relay = relay.client(device)
        self.stop = threading.Event()
        self._said = io.StringIO()
        self.agent = Agent(
            Duty(
                roster=RegistryRoster(folder, environ={}, file_pace=PACE, **more),
                poll_seconds=1,
                tick_seconds=0.02,
                finish_seconds=0.1,
                drain_seconds=1.0,
            ),
            relay=self.relay,
            spool=self.spool,
            walker=lambda: self.walker,
            stop=self.stop,
            events=Events(self._said),
        )
        self.left: int | None = None
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(until_empty,))
        self.thread.start()

    def _run(self, until_empty: bool) -> None:
        try:
            self.left = self.agent.run(until_empty=until_empty)
        except Exception as error:  # noqa: BLE001 - looked at below
            self.error = error

    def said(self, state: str) -> list[str]:
        """The sources of which this was said, in order."""
        events = [json.loads(line) for line in self._said.getvalue().splitlines()]
        return [
            each["name"] for each in events if each["event"] == "source" and each["state"] == state
        ]

    def await_said(self, state: str, *names: str) -> None:
        eventually(lambda: self.said(state) == list(names), what=f"{names} {state}")

    def join(self) -> int | None:
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.spool.close()
        self.relay.close()
        assert self.error is None
        return self.left

    def end(self) -> int | None:
        self.stop.set()
        return self.join()


@pytest.fixture
def table(tmp_path: Path, relay: Relay) -> Callable[[str], Table]:
    return lambda name: Table(tmp_path, name, relay)


@pytest.fixture
def start(tmp_path: Path, relay: Relay) -> Iterator[Callable[..., Machine]]:
    started: list[Machine] = []

    def begin(*, folder: Path = tmp_path, **more: object) -> Machine:
        started.append(Machine(folder, relay, **more))
        return started[-1]

    yield begin
    for each in started:
        if each.thread.is_alive():
            each.end()


def status(relay: Relay, job_id: str) -> JobStatus | None:
    job = relay.broker.job(ACCOUNT, job_id)
    return job.status if job else None


def writeback(relay: Relay, job_id: str) -> Writeback | None:
    job = relay.broker.job(ACCOUNT, job_id)
    return job.writeback if job else None


def test_every_registered_source_gets_its_answers_and_so_do_jobs_without_one(relay, table, start):
    first, second = table("first").add(), table("second").add()
    first.submit()
    second.submit()
    caller = relay.client("caller")
    ask = [models.JobRequest(tracking_url="https://t.example/alone")]
    (alone,) = caller.submit(ask, idempotency_key="alone").jobs
    caller.close()

    start()

    eventually(lambda: first.is_written() and second.is_written())
    eventually(lambda: status(relay, alone.job_id) is JobStatus.DONE)


def test_a_source_that_is_added_while_the_agent_works_is_served(table, start):
    first, second = table("first").add(), table("second")
    machine = start()
    machine.await_said("served", "first")

    second.add().submit()

    eventually(second.is_written)
    first.submit()
    eventually(first.is_written)


def test_a_source_that_is_removed_is_left_alone_and_the_others_are_not(relay, table, start):
    first, second = table("first").add(), table("second").add()
    machine = start()
    eventually(lambda: set(machine.said("served")) == {"first", "second"})

    first.registry.remove(first.source_id)
    machine.await_said("removed", "first")
    jobs = first.submit()
    second.submit()

    eventually(second.is_written)
    assert {status(relay, job) for job in jobs} == {JobStatus.QUEUED}
    assert first.column("conclusion") == ["", ""]


def test_a_paused_source_waits_and_a_resumed_one_goes_on(relay, table, start):
    first, second = table("first").add(), table("second").add()
    machine = start()
    eventually(lambda: set(machine.said("served")) == {"first", "second"})

    first.registry.pause(first.source_id, is_paused=True)
    machine.await_said("paused", "first")
    jobs = first.submit()
    second.submit()
    eventually(second.is_written)
    waiting = {status(relay, job) for job in jobs}
    first.registry.pause(first.source_id, is_paused=False)

    eventually(first.is_written)
    assert waiting == {JobStatus.QUEUED}


def test_what_was_on_its_way_when_a_source_was_paused_is_still_written(tmp_path, table, start):
    first = table("first").add()
    jobs = first.submit()
    machine = start(is_open=False)
    eventually(lambda: len(machine.walker.walking) == 2)

    first.registry.pause(first.source_id, is_paused=True)
    machine.await_said("paused", "first")
    with try_lock(run_lock(tmp_path, first.source_id)) as is_free:
        assert not is_free
    machine.walker.gate.set()

    eventually(first.is_written)
    eventually(lambda: {writeback(first.relay, job) for job in jobs} == {Writeback.WRITTEN})


def test_a_run_finds_a_served_source_taken_and_a_paused_one_free(tmp_path, table, start):
    first = table("first").add()
    machine = start()
    machine.await_said("served", "first")
    lock = run_lock(tmp_path, first.source_id)

    with try_lock(lock) as is_free:
        assert not is_free
    first.registry.pause(first.source_id, is_paused=True)

    def is_released() -> bool:
        with try_lock(lock) as is_free:
            return is_free

    eventually(is_released)


def test_a_source_that_a_run_works_on_is_served_once_the_run_is_over(tmp_path, table, start):
    first, second = table("first").add(), table("second").add()
    with try_lock(run_lock(tmp_path, first.source_id)) as is_ours:
        assert is_ours
        machine = start()
        machine.await_said("busy", "first")
        second.submit()
        eventually(second.is_written)
        assert machine.said("served") == ["second"]

    machine.await_said("served", "second", "first")


def test_a_source_that_is_gone_is_said_once_and_stops_no_other(table, start, caplog):
    caplog.set_level(logging.WARNING)
    gone, there = table("gone").add(), table("there").add()
    gone.path.unlink()
    machine = start()
    there.submit()
    eventually(there.is_written)
    machine.await_said("unavailable", "gone")
    tries = machine.agent._serving._ones[gone.source_id]
    eventually(lambda: tries.failures >= 3, what="it was tried again")

    gone.fill()
    gone.submit()

    eventually(gone.is_written)
    assert machine.said("unavailable") == ["gone"]
    assert [each for each in caplog.messages if "gone" in each] == [
        f"gone cannot be served now: there is no file {gone.path}"
    ]


def test_no_work_of_a_source_is_taken_while_its_file_is_away(relay, table, start):
    first = table("first").add()
    machine = start()
    machine.await_said("served", "first")
    kept = first.path.read_bytes()
    first.path.unlink()
    jobs = first.submit()
    machine.await_said("unavailable", "first")
    later = first.submit()

    first.path.write_bytes(kept)

    eventually(first.is_written)
    eventually(lambda: {status(relay, job) for job in later} == {JobStatus.DONE})
    eventually(lambda: {writeback(relay, job) for job in jobs} == {Writeback.WRITTEN})


def test_what_a_removed_source_owes_is_kept_told_and_written_once_it_is_back(table, start, caplog):
    caplog.set_level(logging.WARNING)
    first = table("first").add()
    first.submit()
    machine = start(opening=locked)
    eventually(lambda: machine.agent._writing.of(first.source_id) == 2)

    first.registry.remove(first.source_id)
    machine.await_said("removed", "first")
    eventually(lambda: "first was removed: 2 of its results" in caplog.text)
    assert machine.end() == 2
    again = start()
    eventually(lambda: f"2 results of {first.source_id} are kept" in caplog.text)
    assert not first.is_written()
    first.add()

    eventually(first.is_written)
    assert again.end() == 0


def test_what_a_removed_source_owes_is_written_by_another_machine_that_serves_it(
    tmp_path, table, start
):
    first = table("first").add()
    jobs = first.submit()
    machine = start(opening=locked)
    eventually(lambda: machine.agent._writing.of(first.source_id) == 2)
    Registry(tmp_path / "other").add(first.entry)

    first.registry.remove(first.source_id)
    machine.await_said("removed", "first")
    other = start(folder=tmp_path / "other", device="two", is_open=False)

    eventually(first.is_written)
    eventually(lambda: {writeback(first.relay, job) for job in jobs} == {Writeback.WRITTEN})
    assert not other.walker.walking


def test_a_link_that_lands_after_its_source_was_removed_is_kept_for_its_return(table, start):
    first = table("first").add()
    first.submit()
    machine = start(is_open=False)
    eventually(lambda: len(machine.walker.walking) == 2)

    first.registry.remove(first.source_id)
    machine.await_said("removed", "first")
    eventually(lambda: not machine.agent._writing.writes(first.source_id))
    machine.walker.gate.set()
    eventually(lambda: len(machine.spool) == 2 and not machine.agent._courier.reports_left())
    first.add()

    eventually(first.is_written)


def test_results_that_waited_for_a_source_are_written_by_the_next_agent(table, start):
    first, second = table("first").add(), table("second").add()
    for each in (first, second):
        each.submit()
    machine = start(opening=locked)
    eventually(lambda: len(machine.agent._writing) == 4)
    assert machine.end() == 4

    again = start(is_open=False)

    eventually(lambda: first.is_written() and second.is_written())
    assert not again.walker.walking


def test_once_looks_at_every_source_before_it_ends(table, start):
    may_open = threading.Event()
    slow, quick = table("slow").add(), table("quick").add()
    slow.submit()
    quick.submit()

    def opening(entry: RegisteredSource, **_: object) -> CsvFile:
        if entry.name == "slow":
            assert may_open.wait(60)
        return CsvFile(entry.place.path, source_id=entry.source_id)

    machine = start(opening=opening, until_empty=True)
    eventually(quick.is_written)
    may_open.set()

    assert machine.join() == 0
    assert slow.is_written()


def test_a_source_that_cannot_be_opened_does_not_keep_once_from_ending(table, start):
    gone, there = table("gone").add(), table("there").add()
    gone.path.unlink()
    there.submit()

    assert start(until_empty=True).join() == 0
    assert there.is_written()


def test_a_source_added_anew_with_other_headings_is_read_by_those(table, start):
    first = table("first").add()
    machine = start()
    machine.await_said("served", "first")

    first.registry.remove(first.source_id)
    first.add(columns={"conclusion": "What was found"})
    first.submit()

    eventually(lambda: first.column("What was found") == ["valid", "valid"])
    assert first.column("conclusion") == ["", ""]


def test_a_damaged_registry_changes_nothing_and_is_said_once(tmp_path, table, start, caplog):
    caplog.set_level(logging.WARNING)
    first = table("first").add()
    machine = start()
    machine.await_said("served", "first")
    settings = tmp_path / "settings.json"
    whole = settings.read_text()

    settings.write_text(whole[:40])
    eventually(lambda: "is no JSON" in caplog.text)
    first.submit()
    eventually(first.is_written)
    settings.write_text(whole)
    second = table("second").add()

    eventually(lambda: "second" in machine.said("served"))
    second.submit()
    eventually(second.is_written)
    assert caplog.text.count("is no JSON") == 1


def test_a_sheet_is_written_seldom_or_in_large_numbers_or_when_all_is_quiet():
    def wait(waiting: int, *, since_last: float, is_quiet: bool = False) -> float:
        return SHEET_PACE.wait(waiting, since_last=since_last, last_took=1.0, is_quiet=is_quiet)

    assert wait(100, since_last=5.0) == 10.0
    assert wait(100, since_last=15.0) == 0.0
    assert wait(2_000, since_last=0.0) == 0.0
    assert wait(1, since_last=60.0, is_quiet=True) == 0.0
    assert wait(1, since_last=1.0, is_quiet=True) == 4.0


def test_a_sheet_has_the_pace_of_its_quota_and_a_file_its_own(tmp_path):
    roster = RegistryRoster(tmp_path, environ={}, file_pace=PACE)
    file = RegisteredSource(
        source_id="src_a",
        name="a",
        place=FilePlace.of(tmp_path / "a.csv"),
        added_at=datetime.now(UTC),
    )

    assert roster.pace(file) is PACE
    assert roster.pace(replace(file, place=SheetPlace(spreadsheet="k", gid=0))) is SHEET_PACE
