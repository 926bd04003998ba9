"""The agent's loop against a relay and a walker that a test holds in its hands.

The same promises against a real relay, Redis and resolver: tests/agent/test_agent_relay.py.
"""

import io
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.agent import Agent
from agent.duty import Duty
from agent.events import Events
from agent.findings import Accepted, Finding
from agent.resolver import Resolved, Task
from agent.spool import Settled, Spool
from agent.writeback import Pace
from connector.errors import ConnectorError, DiskFull, Locked
from connector.memory import MemorySource
from connector.relay_errors import Refused, RelayError, Unreachable
from connector.source import Change, Revision, Row, Written
from wire import models
from wire.source_models import RefreshesAnswer, RefreshesRequest, RefreshReported
from wire.vocab import (
    CheckStatus,
    Conclusion,
    JobKind,
    JobStatus,
    LeaseState,
    ReadReportState,
    RefreshScope,
    ReportState,
    Writeback,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SOURCE = "src_a"
DOWN = Unreachable("http://relay", "connection refused")


def job_id(number: int) -> str:
    return f"6a1f3f0e-0000-5000-8000-{number:012}"


def job_of(number: int, **more: object) -> models.JobAnswer:
    facts: dict[str, object] = {
        "job_id": job_id(number),
        "source_id": SOURCE,
        "row_id": f"r_{number}",
        "tracking_url": f"https://t.example/{number}",
        "status": JobStatus.DONE,
        "check_status": CheckStatus.VALID,
        "conclusion": Conclusion.VALID,
        "final_url": "https://a.example/",
        "http_status": 200,
        "writeback": Writeback.PENDING,
        "created_at": NOW,
        "checked_at": NOW,
    }
    return models.JobAnswer.model_validate(facts | more)


def outcome(final_url: str = "https://a.example/") -> models.Outcome:
    return models.Outcome(
        status=JobStatus.DONE,
        conclusion=Conclusion.VALID,
        final_url=final_url,
        http_status=200,
    )


def lease(number: int, kind: JobKind = JobKind.LINK) -> models.Lease:
    return models.Lease(
        job_id=job_id(number),
        lease_id="1-aaaaaaaa",
        kind=kind,
        source_id=SOURCE,
        row_id=f"r_{number}",
        tracking_url=f"https://t.example/{number}",
        delivery=1,
        attempt=1,
        result=job_of(number) if kind is JobKind.WRITEBACK else None,
    )


def refresh(number: int) -> models.Lease:
    order = models.RefreshOrder(refresh_id="rf_1795200000_abcdefgh", scope=RefreshScope.ALL)
    return lease(number, JobKind.REFRESH).model_copy(
        update={"refresh": order, "row_id": None, "tracking_url": ""}
    )


def report(number: int) -> models.Report:
    return models.Report(job_id=job_id(number), lease_id="1-aaaaaaaa", outcome=outcome())


def finding(number: int) -> Finding:
    return Finding(lease=lease(number), report=report(number))


class World:
    """Clock, relay, walker and file of one agent; everything that is done to them is noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1000.0
        self.log: list[str] = []
        self.changed = threading.Condition()
        self.queue: deque[models.Lease] = deque()
        self.error: RelayError | None = None
        self.write_error: ConnectorError | None = None
        self.says: dict[str, ReportState] = {}
        self.renewal = LeaseState.RENEWED
        self.tasks: dict[str, Task] = {}
        self.landed: list[Resolved] = []
        self.events: list[str] = []
        self.stop = threading.Event()
        self.lands_at_once = True
        self.changes: list[Change] = []
        self.is_deaf_to_results = False
        self.unheard = 0
        self.polls = 0
        self.final_url = "https://a.example/"
        self.rows = MemorySource(
            [Row(row_id="r_9", tracking_url="https://t.example/9")], source_id=SOURCE
        )
        self.gate = threading.Event()
        self.gate.set()
        self.asks: list[models.LeaseRequest] = []

    def note(self, text: str) -> None:
        with self.changed:
            self.log.append(text)
            self.changed.notify_all()

    def wait_for(self, *texts: str) -> None:
        with self.changed:
            is_so = self.changed.wait_for(lambda: set(texts) <= set(self.log), 20)
        assert is_so, f"{texts} not in {self.log}"

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            for _ in range(2000):
                if condition():
                    return
                self.changed.wait(0.01)
        pytest.fail(f"did not come about; {self.log}")

    # the relay

    def _hear(self) -> None:
        if self.error:
            raise self.error

    def lease(self, ask: models.LeaseRequest) -> models.LeaseAnswer:
        self._hear()
        self.asks.append(ask)
        with self.changed:
            if "lease" not in self.log:
                self.log.append("lease")
            if not self.queue and ask.wait_seconds:
                self.changed.wait(0.02)
            taken = [self.queue.popleft() for _ in range(min(ask.max, len(self.queue)))]
        return models.LeaseAnswer(leases=taken, lease_seconds=60, renew_seconds=20)

    def renew(self, ask: models.RenewRequest) -> models.RenewAnswer:
        self._hear()
        for held in ask.leases:
            self.note(f"renew {int(held.job_id[-12:])}")
        for owed in ask.writebacks:
            self.note(f"owe {int(owed[-12:])}")
        return models.RenewAnswer(
            leases=[
                models.Renewed(job_id=held.job_id, lease_id=held.lease_id, state=self.renewal)
                for held in ask.leases
            ]
        )

    def results(self, ask: models.ResultsRequest) -> models.ResultsAnswer:
        self._hear()
        if self.is_deaf_to_results:
            with self.changed:
                self.unheard += 1
            raise DOWN
        answers = []
        for each in ask.results:
            number = int(each.job_id[-12:])
            state = self.says.get(each.job_id, ReportState.ACCEPTED)
            job = job_of(number)
            answers.append(
                models.Accepted(
                    job_id=each.job_id,
                    state=state,
                    created_at=job.created_at,
                    checked_at=job.checked_at,
                    writeback=job.writeback,
                    attempts=1,
                )
                if state in (ReportState.ACCEPTED, ReportState.DUPLICATE)
                else models.Accepted(job_id=each.job_id, state=state)
            )
            self.note(f"report {number}")
        return models.ResultsAnswer(results=answers)

    def writebacks(self, ask: models.WritebacksRequest) -> models.WritebacksAnswer:
        self._hear()
        for each in ask.writebacks:
            self.note(f"confirm {int(each.job_id[-12:])} {each.writeback}")
        return models.WritebacksAnswer(
            writebacks=[
                models.WritebackNoted(job_id=each.job_id, writeback=each.writeback)
                for each in ask.writebacks
            ]
        )

    def release(self, ask: models.ReleaseRequest) -> models.ReleaseAnswer:
        self._hear()
        self.note("release all" if ask.all else "release")
        for held in ask.leases:
            self.note(f"release {int(held.job_id[-12:])}")
        return models.ReleaseAnswer(released=len(ask.leases))

    def report_refreshes(self, ask: RefreshesRequest) -> RefreshesAnswer:
        self._hear()
        for each in ask.refreshes:
            self.note(f"{each.state} {int(each.job_id[-12:])}")
        return RefreshesAnswer(
            refreshes=[
                RefreshReported(job_id=each.job_id, state=ReadReportState.ACCEPTED)
                for each in ask.refreshes
            ]
        )

    # the walker, and the relay that takes jobs

    def submit(self, task: Any, **_: object) -> None:
        if isinstance(task, list):
            self.note(f"hand in {len(task)}")
            return
        self.tasks[task.key] = task
        self.note(f"walk {int(task.url.rpartition('/')[2])}")
        if self.lands_at_once:
            self.land(task.key)

    def land(self, key: str) -> None:
        with self.changed:
            self.landed.append(Resolved(key=key, outcome=outcome(self.final_url), ms=3))
            self.changed.notify_all()

    def poll(self, timeout: float) -> list[Resolved]:
        with self.changed:
            self.polls += 1
            if not self.landed:
                self.changed.wait(timeout)
            landed, self.landed = self.landed, []
        return landed

    def cancel(self, key: str) -> None:
        self.note(f"cancel {int(key.partition('/')[0][-12:])}")

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        self.note("closed")

    # the file

    source_id = SOURCE
    name = "links.csv"

    def revise(self, begin: Callable[[], Revision]) -> int:
        self.note("revise")
        self.gate.wait(20)
        return self.rows.revise(begin)

    def read(self) -> Iterator[list[Row]]:
        return self.rows.read()

    def write(self, changes: Sequence[Change]) -> list[Written]:
        self.note("try")
        if self.write_error:
            raise self.write_error
        self.changes += changes
        for change in changes:
            self.note(f"write {change.row_id[2:]}")
        return [Written(row_id=each.row_id, writeback=Writeback.WRITTEN) for each in changes]


class Running:
    """An agent in a thread of its own."""

    def __init__(self, world: World, **settings: object) -> None:
        self.spool = Spool(world.path)
        duty: dict[str, object] = {
            "sources": {SOURCE: world},
            "sourceless": False,
            "tick_seconds": 0.01,
            "finish_seconds": 1.0,
            "drain_seconds": 3.0,
            "pace": Pace(first_pause=0.001, longest_pause=0.005),
        }
        until_empty = settings.pop("until_empty", False)
        self._said = io.StringIO()
        self.agent = Agent(
            Duty(**(duty | settings)),
            relay=world,
            spool=self.spool,
            walker=lambda: world,
            stop=world.stop,
            events=Events(self._said),
            clock=lambda: world.now,
            chance=lambda: 0.0,
        )
        self.world = world
        self.error: Exception | None = None
        self.left: int | None = None
        self.thread = threading.Thread(target=self._run, args=(until_empty,))
        self.thread.start()

    def _run(self, until_empty: bool) -> None:
        try:
            self.left = self.agent.run(until_empty=until_empty)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._said.getvalue().splitlines()]

    def end(self) -> int | None:
        self.world.stop.set()
        return self.join()

    def join(self) -> int | None:
        # The agent's clock is ours: let the time for draining pass while it drains.
        for _ in range(2000):
            self.thread.join(0.01)
            if not self.thread.is_alive():
                break
            if self.world.stop.is_set():
                self.world.now += 0.05
        assert not self.thread.is_alive()
        self.spool.close()
        return self.left


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path / "spool.sqlite3")


@pytest.fixture
def start(world: World) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(**settings: object) -> Running:
        started.append(Running(world, **settings))
        return started[-1]

    yield begin
    for running in started:
        if running.thread.is_alive():
            running.end()


def in_order(log: list[str], *texts: str) -> bool:
    return [text for text in log if text in texts] == list(texts)


def test_a_link_is_walked_reported_written_and_confirmed_in_that_order(world, start):
    world.queue.extend([lease(1), lease(2)])

    running = start()
    world.wait_for("confirm 1 written", "confirm 2 written")

    assert running.end() == 0
    assert in_order(world.log, "walk 1", "report 1", "write 1", "confirm 1 written")
    assert world.log[-1] == "closed"


@pytest.mark.parametrize("state", [ReportState.ACCEPTED, ReportState.DUPLICATE])
def test_the_row_gets_what_was_found_here_at_the_time_the_relay_took_it(world, start, state):
    world.says[job_id(1)] = state
    world.final_url = "https://found.example/here"
    world.queue.append(lease(1))

    running = start()
    world.wait_for("confirm 1 written")

    assert running.end() == 0
    (change,) = world.changes
    assert (change.row_id, change.tracking_url) == ("r_1", "https://t.example/1")
    assert change.checked_at == NOW
    assert change.cells["final_url"] == "https://found.example/here"
    assert change.cells["conclusion"] == "valid"
    assert change.cells["last_checked"] == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize("state", [ReportState.STALE, ReportState.RETRY])
def test_a_report_that_is_not_the_jobs_ending_is_never_written(world, start, state):
    world.says[job_id(1)] = state
    world.queue.extend([lease(1), lease(2)])

    running = start()
    world.wait_for("confirm 2 written", "report 1")

    assert running.end() == 0
    assert "write 1" not in world.log


def test_a_report_that_was_heard_before_is_still_written(world, start):
    world.says[job_id(1)] = ReportState.DUPLICATE
    world.queue.append(lease(1))

    running = start()
    world.wait_for("confirm 1 written")

    assert running.end() == 0


def test_what_an_earlier_process_left_comes_first_then_its_leases_go_back(world, start):
    with Spool(world.path) as spool:
        spool.add([finding(1)])
        spool.accept([Accepted(lease_id="1-aaaaaaaa", job=job_of(2))])
        said = models.WritebackReport(job_id=job_id(3), writeback=Writeback.MISSING)
        spool.add([finding(3)])
        spool.settle([Settled(lease_id="1-aaaaaaaa", report=said)])
    world.queue.append(lease(4))

    running = start()
    world.wait_for(
        "confirm 1 written", "confirm 2 written", "confirm 3 missing", "confirm 4 written"
    )

    assert running.end() == 0
    assert in_order(world.log, "report 1", "release all", "lease", "walk 4")
    assert "report 2" not in world.log
    assert "write 3" not in world.log


def test_nothing_is_leased_before_the_relay_heard_what_the_spool_holds(world, start):
    with Spool(world.path) as spool:
        spool.add([finding(1)])
    world.is_deaf_to_results = True
    world.queue.append(lease(2))

    running = start()
    world.wait_until(lambda: world.unheard >= 2)
    world.now += 30
    world.wait_until(lambda: world.unheard >= 3)
    assert "release all" not in world.log
    world.is_deaf_to_results = False
    world.wait_for("confirm 2 written")

    assert running.end() == 0
    assert in_order(world.log, "report 1", "release all", "lease", "report 2")


def test_a_handed_over_result_is_written_and_nothing_is_fetched(world, start):
    world.queue.append(lease(1, JobKind.WRITEBACK))

    running = start()
    world.wait_for("confirm 1 written")

    assert running.end() == 0
    assert not world.tasks
    assert "report 1" not in world.log


def test_a_kind_of_work_we_do_not_know_is_given_back(world, start):
    world.queue.extend([lease(1, JobKind.REFRESH), lease(2)])

    running = start()
    world.wait_for("release 1", "confirm 2 written")

    assert running.end() == 0


def test_results_wait_on_disk_while_the_relay_is_away(world, start):
    world.lands_at_once = False
    world.queue.append(lease(1))
    running = start()
    world.wait_for("walk 1")

    world.error = DOWN
    world.land(next(iter(world.tasks)))
    world.wait_until(lambda: len(running.spool) == 1)
    world.error = None
    world.wait_for("confirm 1 written")

    assert running.end() == 0


def test_leases_and_owed_rows_are_renewed_together(world, start):
    world.lands_at_once = False
    world.write_error = Locked(Path("links.csv"))
    world.queue.extend([lease(1), lease(2, JobKind.WRITEBACK)])
    running = start()
    world.wait_for("walk 1")

    world.now += 21
    world.wait_for("renew 1", "owe 2")

    world.write_error = None
    world.land(next(iter(world.tasks)))
    world.wait_for("confirm 1 written", "confirm 2 written")
    assert running.end() == 0


@pytest.mark.parametrize("state", [LeaseState.LOST, LeaseState.CANCELED])
def test_work_that_is_no_longer_ours_is_stopped_and_never_reported(world, start, state):
    world.lands_at_once = False
    world.renewal = state
    world.queue.append(lease(1))
    running = start()
    world.wait_for("walk 1")

    world.now += 21
    world.wait_for("cancel 1")
    world.land(next(iter(world.tasks)))
    world.queue.append(lease(2))
    world.wait_for("walk 2")

    running.end()
    assert "report 1" not in world.log
    assert "write 1" not in world.log


def test_the_agent_stops_at_the_deadline_when_nobody_answers(world, start):
    world.lands_at_once = False
    world.queue.append(lease(1))
    running = start()
    world.wait_for("walk 1")

    world.error = DOWN
    world.now += 61
    world.wait_for("cancel 1")

    world.error = None
    running.end()
    assert "report 1" not in world.log


def test_results_are_kept_together_when_they_are_many_or_nothing_else_is_walked(
    world, start, monkeypatch
):
    monkeypatch.setattr("agent.walking._GATHER_SECONDS", 3600.0)
    monkeypatch.setattr("agent.walking._MANY", 3)
    world.lands_at_once = False
    world.queue.extend(lease(number) for number in range(1, 6))
    running = start()
    world.wait_for("walk 5")
    keys = list(world.tasks)

    world.land(keys[0])
    world.land(keys[1])
    polls = world.polls
    world.wait_until(lambda: world.polls > polls + 5)
    assert len(running.spool) == 0
    world.land(keys[2])
    world.wait_for("confirm 1 written", "confirm 2 written", "confirm 3 written")
    world.land(keys[3])
    world.land(keys[4])
    world.wait_for("confirm 4 written", "confirm 5 written")

    assert running.end() == 0


def test_results_that_wait_for_company_at_the_end_are_kept_and_reported(world, start, monkeypatch):
    monkeypatch.setattr("agent.walking._GATHER_SECONDS", 3600.0)
    world.lands_at_once = False
    world.queue.extend([lease(1), lease(2)])
    running = start()
    world.wait_for("walk 1", "walk 2")
    world.land(next(iter(world.tasks)))
    polls = world.polls
    world.wait_until(lambda: world.polls > polls + 2)

    assert running.end() == 0
    assert "confirm 1 written" in world.log
    assert "release 2" in world.log


def test_a_full_disk_stops_leasing_loses_nothing_and_passes(world, start):
    world.lands_at_once = False
    world.queue.append(lease(1))
    running = start()
    world.wait_for("walk 1")
    connection = running.spool._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    world.final_url = "https://a.example/" + "x" * 15_000

    world.land(next(iter(world.tasks)))
    world.wait_until(lambda: running.agent._keeping.is_disk_full)
    world.queue.append(lease(2))
    world.now += 21
    world.wait_for("renew 1")
    polls = world.polls
    world.wait_until(lambda: world.polls > polls + 20)
    assert "report 1" not in world.log
    assert "walk 2" not in world.log

    connection.execute("PRAGMA max_page_count=100000")
    world.lands_at_once = True
    world.now += 3
    world.wait_for("confirm 1 written", "confirm 2 written")
    assert running.end() == 0


def test_a_full_disk_for_the_file_is_said_once_even_where_all_else_is_quiet(world, start, caplog):
    caplog.set_level(logging.ERROR)
    world.write_error = Locked(Path("links.csv"))
    world.queue.append(lease(1))
    running = start()
    world.wait_for("try")
    assert caplog.messages == []  # it is said, but not that loud

    world.write_error = DiskFull(Path("links.csv"))
    tries = world.log.count("try")
    world.wait_until(lambda: world.log.count("try") > tries + 3)
    world.write_error = None
    world.wait_for("confirm 1 written")

    assert running.end() == 0
    told = "there is no room to write links.csv; it is unchanged"
    assert caplog.messages == [f"links.csv cannot be written now: {told}"]
    assert running.events.count({"event": "disk_full", "detail": told}) == 1


def test_stopping_finishes_what_lands_in_time_and_gives_back_the_rest(world, start):
    world.lands_at_once = False
    world.queue.extend([lease(1), lease(2)])
    running = start()
    world.wait_for("walk 1", "walk 2")

    world.stop.set()
    world.land(next(iter(world.tasks)))
    running.join()

    assert running.left == 0
    assert "confirm 1 written" in world.log
    assert "release 2" in world.log
    assert "report 2" not in world.log


def test_a_file_that_is_locked_to_the_end_is_written_by_the_next_process(world, start):
    world.write_error = Locked(Path("links.csv"))
    world.queue.append(lease(1))
    running = start()
    world.wait_for("report 1")
    assert running.end() == 1

    world.write_error = None
    world.stop.clear()
    again = start()
    world.wait_for("confirm 1 written")

    assert again.end() == 0
    assert world.log.count("report 1") == 1
    assert world.log.count("walk 1") == 1


def test_a_row_owed_at_the_end_is_written_later_from_what_the_spool_kept(world, start):
    world.final_url = "https://found.example/here"
    world.write_error = Locked(Path("links.csv"))
    world.queue.append(lease(1))
    running = start()
    world.wait_for("report 1")
    assert running.end() == 1

    world.write_error = None
    world.stop.clear()
    again = start()
    world.wait_for("confirm 1 written")

    assert again.end() == 0
    (change,) = world.changes
    assert (change.row_id, change.tracking_url) == ("r_1", "https://t.example/1")
    assert change.cells["final_url"] == "https://found.example/here"
    assert change.cells["last_checked"] == "2026-11-20T12:00:00Z"


def test_a_key_that_is_refused_ends_the_agent_and_keeps_the_spool(world, start):
    with Spool(world.path) as spool:
        spool.add([finding(1)])
    world.error = Refused(code="unauthorized", status=401, detail="no")

    running = start()
    running.join()

    assert running.error is world.error
    with Spool(world.path) as spool:
        assert len(spool) == 1


def test_once_ends_by_itself_when_nothing_is_left(world, start):
    world.queue.extend([lease(1), lease(2)])

    running = start(until_empty=True)
    running.join()

    assert running.left == 0
    assert {"confirm 1 written", "confirm 2 written"} <= set(world.log)


def test_no_more_is_leased_than_can_be_walked_soon(world, start):
    world.lands_at_once = False
    world.queue.extend(lease(number) for number in range(1, 51))

    running = start(in_flight=8, ahead=4)
    world.wait_until(lambda: len(world.tasks) == 12)

    assert len(world.queue) == 38
    running.end()
    assert len([text for text in world.log if text.startswith("release ")]) >= 12


@pytest.mark.parametrize("limit", ["unreported", "unwritten"])
def test_no_more_is_leased_while_too_many_results_wait(world, start, limit: str):
    world.is_deaf_to_results = limit == "unreported"
    world.write_error = Locked(Path("links.csv")) if limit == "unwritten" else None
    world.queue.extend(lease(number) for number in range(1, 91))

    running = start(in_flight=8, ahead=4, unreported=20, unwritten=20)
    world.wait_until(lambda: len(world.queue) <= 90 - 20)
    polls = world.polls
    world.wait_until(lambda: world.polls > polls + 20)

    assert len(world.queue) >= 90 - (20 + 20 + 2 * (8 + 4))
    world.is_deaf_to_results, world.write_error = False, None
    world.now += 60  # the courier's pause is over
    world.wait_until(lambda: not world.queue)
    world.wait_for(*(f"confirm {number} written" for number in range(1, 91)))
    assert running.end() == 0


def test_a_result_the_relay_will_never_take_does_not_block_the_others(world, start, monkeypatch):
    hear = world.results

    def choosy(ask: models.ResultsRequest) -> models.ResultsAnswer:
        if any(each.job_id == job_id(2) for each in ask.results):
            raise Refused(code="invalid_request", status=400, detail="no")
        return hear(ask)

    monkeypatch.setattr(world, "results", choosy)
    world.queue.extend([lease(1), lease(2), lease(3)])

    running = start()
    world.wait_for("confirm 1 written", "confirm 3 written")

    assert running.end() == 0


def test_only_an_agent_that_reads_sources_offers_to(world, start):
    running = start()
    world.wait_until(lambda: world.asks)
    running.end()
    assert not any(ask.capabilities.refresh for ask in world.asks)

    world.asks.clear()
    world.stop.clear()
    running = start(refreshes=True)
    world.wait_until(lambda: world.asks)
    running.end()
    assert all(ask.capabilities.refresh for ask in world.asks)


def test_a_source_is_read_beside_the_links_and_its_lease_renewed(world, start):
    world.gate.clear()
    world.queue.extend([refresh(7), lease(1)])
    running = start(refreshes=True)
    world.wait_for("revise", "confirm 1 written")

    world.now += 21
    world.wait_for("renew 7")
    world.gate.set()
    world.wait_for("hand in 1", "read 7")

    assert running.end() == 0
    assert in_order(world.log, "reading 7", "revise", "reading 7", "hand in 1", "read 7")
    assert "release 7" not in world.log


@pytest.mark.parametrize("state", [LeaseState.LOST, LeaseState.CANCELED])
def test_a_refresh_that_is_canceled_or_lost_stops_as_soon_as_a_renewal_says_so(world, start, state):
    world.gate.clear()
    world.queue.append(refresh(7))
    running = start(refreshes=True)
    world.wait_for("revise")

    world.renewal = state
    world.now += 21
    world.wait_for("renew 7")
    world.wait_until(lambda: not running.agent._refreshing.all())
    world.gate.set()
    world.wait_until(running.agent.is_quiet)

    assert running.end() == 0
    assert "hand in 1" not in world.log
    assert "read 7" not in world.log
    assert "cancel 7" not in world.log


def test_an_agent_that_ends_gives_its_refresh_back_before_its_links_are_finished(world, start):
    world.gate.clear()
    world.lands_at_once = False
    world.queue.extend([refresh(7), lease(1)])
    running = start(refreshes=True)
    world.wait_for("revise", "walk 1")

    world.stop.set()
    world.wait_for("release 7")
    world.gate.set()

    assert running.end() == 0
    assert in_order(world.log, "release 7", "release 1")
    assert "hand in 1" not in world.log


def test_working_until_nothing_is_left_reads_the_source_and_walks_what_comes_of_it(world, start):
    world.gate.clear()
    world.queue.append(refresh(7))

    running = start(refreshes=True, until_empty=True)
    world.wait_for("revise")
    asked = len(world.asks)
    world.wait_until(lambda: len(world.asks) > asked + 2)
    world.gate.set()
    running.join()

    assert running.error is None
    assert in_order(world.log, "revise", "hand in 1", "read 7", "closed")
