"""Refreshes in hand, against a relay and a source that a test holds in its hands.

The same promises with processes: tests/e2e/test_refresh.py.
"""

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.contact import Contact
from agent.course import Course
from agent.events import Events
from agent.refresh import Patience
from agent.refreshing import Refreshing
from connector.errors import FileNotFound, Locked, MissingColumn
from connector.memory import MemorySource
from connector.relay_errors import NotARelay, Refused, RelayError, Unreachable
from connector.source import Revision, Row
from wire.models import JobRequest, Lease, RefreshOrder, RefreshProgress
from wire.source_models import RefreshesAnswer, RefreshesRequest, RefreshReported
from wire.vocab import JobKind, ReadReportState, RefreshScope, RefreshState

DOWN = Unreachable("http://relay", "connection refused")
QUICK = Patience(first_pause=0.001, longest_pause=0.002, hopeless_seconds=0.0, longest=60.0)
SECONDS = 60.0


def job_id(number: int) -> str:
    return f"6a1f3f0e-0000-5000-8000-{number:012}"


def refresh_id(number: int) -> str:
    return f"rf_1795200000_{'abcdefgh'[number] * 8}"


def lease(number: int = 1, source_id: str = "src_a", *, delivery: int = 1) -> Lease:
    return Lease(
        job_id=job_id(number),
        lease_id=f"{delivery}-aaaaaaaa",
        kind=JobKind.REFRESH,
        source_id=source_id,
        row_id=None,
        tracking_url="",
        delivery=delivery,
        attempt=1,
        refresh=RefreshOrder(refresh_id=refresh_id(number), scope=RefreshScope.ALL),
    )


class Rows(MemorySource):
    """Rows that can be held back, or fail to be read."""

    def __init__(self, source_id: str = "src_a", count: int = 3) -> None:
        super().__init__(
            [Row(row_id=f"r_{n}", tracking_url=f"https://t.example/{n}") for n in range(count)]
            + [Row(row_id="r_bad", tracking_url="nonsense")],
            source_id=source_id,
        )
        self.gate = threading.Event()
        self.gate.set()
        self.errors: list[Exception] = []
        self.reading = 0
        self.most = 0

    def revise(self, begin: Callable[[], Revision]) -> int:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            self.gate.wait(SECONDS)
            if self.errors:
                raise self.errors.pop(0)
            return super().revise(begin)
        finally:
            self.reading -= 1


class World:
    """A relay that takes what it is given, and the agent's refreshes."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.log: list[str] = []
        self.reports: list[tuple[int, str]] = []
        self.whys: list[str] = []
        self.rows: list[int | None] = []
        self.error: RelayError | None = None
        self.refuses: dict[str, RelayError] = {}
        self.says = ReadReportState.ACCEPTED
        self.taken: list[tuple[str, str]] = []
        self.keys: list[str] = []
        self.sources = {name: Rows(name) for name in ("src_a", "src_b", "src_c")}
        self.said = io.StringIO()
        self.stop = threading.Event()
        self.course = Course(self.stop, lambda: 0.0)
        self.contact = Contact(self, self.course, lambda: 0.0)  # type: ignore[arg-type]
        self.contact.outage_pause = lambda failures, retry_after=None: 0.001  # type: ignore[method-assign]
        self.desk = self.new_desk()

    def new_desk(self, **more: object) -> Refreshing:
        settings: dict[str, object] = {"patience": QUICK} | more
        return Refreshing(
            self.contact,
            course=self.course,
            events=Events(self.said),
            source_of=self.sources.get,
            **settings,  # type: ignore[arg-type]
        )

    def note(self, text: str) -> None:
        with self.changed:
            self.log.append(text)
            self.changed.notify_all()

    def wait_until(self, condition: Callable[[], object]) -> None:
        with self.changed:
            for _ in range(int(SECONDS / 0.01)):
                if condition():
                    return
                self.changed.wait(0.01)
        pytest.fail(f"did not come about; {self.log} {self.reports}")

    def is_done(self) -> bool:
        return not len(self.desk)

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.said.getvalue().splitlines()]

    # the relay

    def report_refreshes(self, ask: RefreshesRequest) -> RefreshesAnswer:
        self.note("asked")
        if self.error:
            raise self.error
        (report,) = ask.refreshes
        if report.state in self.refuses:
            raise self.refuses[report.state]
        with self.changed:
            self.reports.append((int(report.job_id[-12:]), report.state))
            self.rows.append(report.rows)
            if report.error:
                self.whys.append(report.error.code)
        return RefreshesAnswer(refreshes=[RefreshReported(job_id=report.job_id, state=self.says)])

    def submit(self, jobs: list[JobRequest], *, idempotency_key: str, patience: object) -> None:
        self.note("submit")
        if self.error:
            raise self.error
        if "submit" in self.refuses:
            raise self.refuses["submit"]
        with self.changed:
            self.keys.append(idempotency_key)
            self.taken += [(str(job.refresh_id), str(job.row_id)) for job in jobs]

    def progress(self, source_id: str, refresh_id: str) -> RefreshProgress:
        return RefreshProgress(
            refresh_id=refresh_id,
            state=RefreshState.READING,
            submitted=0,
            finished=0,
            by_conclusion={},
            by_writeback={},
        )


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for source in world.sources.values():
        source.gate.set()
    world.desk.stop(SECONDS)


def test_a_refresh_reads_tells_submits_and_says_so(world):
    assert world.desk.take([lease()]) == []
    world.wait_until(world.is_done)

    assert world.reports == [(1, "reading"), (1, "reading"), (1, "read")]
    assert world.rows == [None, 4, 4]
    assert world.taken == [(refresh_id(1), f"r_{n}") for n in range(3)]
    assert world.sources["src_a"].cells["r_bad"]["conclusion"] == "invalid_url"
    assert world.events == ["refreshing", "refreshed"]


def test_a_refresh_taken_up_again_hands_in_the_same_batches_under_the_same_keys(world):
    world.desk.take([lease()])
    world.wait_until(world.is_done)
    first = list(world.keys)

    world.desk.take([lease(delivery=2)])
    world.wait_until(world.is_done)

    assert world.keys == first * 2


def test_what_is_in_hand_is_held_until_it_is_over(world):
    world.sources["src_a"].gate.clear()

    world.desk.take([lease()])
    world.wait_until(lambda: world.sources["src_a"].reading)

    assert [each.job_id for each in world.desk.all()] == [job_id(1)]
    assert len(world.desk) == 1
    world.sources["src_a"].gate.set()
    world.wait_until(world.is_done)
    assert world.desk.all() == []


@pytest.mark.parametrize(
    "not_ours",
    [
        pytest.param(lease(source_id="src_elsewhere"), id="a source that is not served here"),
        pytest.param(lease().model_copy(update={"refresh": None}), id="no order"),
        pytest.param(lease().model_copy(update={"source_id": None}), id="no source"),
    ],
)
def test_what_cannot_be_done_here_is_given_back(world, not_ours):
    assert world.desk.take([not_ours]) == [not_ours]

    assert len(world.desk) == 0
    assert world.reports == []


def test_one_source_is_read_once_at_a_time_and_others_beside_it(world):
    for source in world.sources.values():
        source.gate.clear()

    world.desk.take([lease(1), lease(2), lease(3, "src_b")])
    world.wait_until(lambda: world.sources["src_a"].reading and world.sources["src_b"].reading)
    assert (2, "reading") not in world.reports
    assert len(world.desk.all()) == 3
    for source in world.sources.values():
        source.gate.set()
    world.wait_until(world.is_done)

    assert world.sources["src_a"].most == 1
    assert {number for number, state in world.reports if state == "read"} == {1, 2, 3}


def test_no_more_are_under_way_or_asked_for_than_there_is_room_for(world):
    world.desk = world.new_desk(at_once=2)
    for source in world.sources.values():
        source.gate.clear()

    assert world.desk.has_room()
    world.desk.take([lease(1, "src_a"), lease(2, "src_b"), lease(3, "src_c")])
    world.wait_until(lambda: world.sources["src_a"].reading and world.sources["src_b"].reading)
    assert not world.desk.has_room()
    assert not world.sources["src_c"].reading
    for source in world.sources.values():
        source.gate.set()
    world.wait_until(world.is_done)

    assert (3, "read") in world.reports
    assert world.desk.has_room()


def test_a_lease_that_is_lost_or_canceled_stops_the_reading_with_nothing_written(world):
    source = world.sources["src_a"]
    source.gate.clear()
    world.desk.take([lease()])
    world.wait_until(lambda: source.reading)

    assert world.desk.drop(f"{job_id(1)}/1-aaaaaaaa")
    source.gate.set()
    world.wait_until(world.is_done)

    assert world.reports == [(1, "reading")]
    assert world.taken == []
    assert source.cells == {}
    assert world.events == ["refreshing", "refresh_left"]


def test_a_lease_that_is_lost_before_its_turn_never_begins(world):
    source = world.sources["src_a"]
    source.gate.clear()
    world.desk.take([lease(1), lease(2)])

    assert world.desk.drop(f"{job_id(2)}/1-aaaaaaaa")
    assert not world.desk.drop(f"{job_id(2)}/1-aaaaaaaa")
    source.gate.set()
    world.wait_until(world.is_done)

    assert {number for number, _ in world.reports} == {1}


@pytest.mark.parametrize("state", [ReadReportState.STALE, ReadReportState.CANCELED])
def test_a_relay_that_wants_it_no_more_is_left_alone(world, state):
    world.says = state

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert world.reports == [(1, "reading")]
    assert world.sources["src_a"].cells == {}
    assert world.taken == []


@pytest.mark.parametrize("code", ["refresh_canceled", "refresh_over"])
def test_a_batch_that_is_refused_because_it_was_canceled_ends_it_without_a_failure(world, code):
    world.refuses["submit"] = Refused(code=code, status=409, detail="it was canceled")

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert [state for _, state in world.reports] == ["reading", "reading"]


def test_a_relay_that_is_away_is_waited_for(world):
    world.error = DOWN
    world.contact.has_met = True
    world.desk.take([lease()])
    world.wait_until(lambda: world.log.count("asked") >= 3)
    world.error = NotARelay("http://relay", status=200, why="a hotel's login page")
    world.wait_until(lambda: world.log.count("asked") >= 6)

    world.error = None
    world.wait_until(world.is_done)

    assert world.reports[-1] == (1, "read")
    assert len(world.taken) == 3


def test_a_relay_that_goes_away_while_rows_are_handed_in_gets_them_when_it_is_back(world):
    world.contact.has_met = True
    source = world.sources["src_a"]
    source.gate.clear()
    world.desk.take([lease()])
    world.wait_until(lambda: source.reading)
    world.refuses["submit"] = NotARelay("http://relay", status=200, why="a hotel's login page")
    source.gate.set()
    world.wait_until(lambda: "submit" in world.log)

    del world.refuses["submit"]
    world.wait_until(world.is_done)

    assert world.reports[-1] == (1, "read")
    assert [row for _, row in world.taken] == ["r_0", "r_1", "r_2"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(FileNotFound(Path("links.csv")), "file_not_found", id="gone"),
        pytest.param(
            MissingColumn("tracking_url", "tracking_url", ["a"]), "missing_column", id="no column"
        ),
    ],
)
def test_a_source_that_cannot_be_read_fails_in_the_connectors_words(world, error, code):
    world.sources["src_a"].errors = [error]

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert world.reports[-1] == (1, "failed")
    assert world.whys[-1] == code
    assert world.taken == []


def test_a_file_that_is_away_for_a_moment_while_it_is_saved_is_read_after_all(world):
    world.desk = world.new_desk(
        patience=Patience(first_pause=0.001, longest_pause=0.002, hopeless_seconds=60.0)
    )
    world.sources["src_a"].errors = [FileNotFound(Path("links.csv"))] * 2

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert world.reports[-1] == (1, "read")


def test_trouble_that_passes_is_told_once_and_waited_out(world):
    world.sources["src_a"].errors = [Locked(Path("links.csv"))] * 5

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert world.whys == ["locked"]
    assert world.reports[-1] == (1, "read")


def test_trouble_that_never_passes_fails_at_last(world):
    world.desk = world.new_desk(
        patience=Patience(first_pause=0.001, longest_pause=0.002, longest=0.0)
    )
    world.sources["src_a"].errors = [Locked(Path("links.csv"))]

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert world.reports[-1] == (1, "failed")
    assert world.whys == ["locked"]


@pytest.mark.parametrize(
    ("code", "status"), [("quota_exceeded", 429), ("out_of_credits", 402), ("plan_required", 403)]
)
def test_a_relay_that_refuses_the_rows_fails_the_refresh_in_its_words(world, code, status):
    world.refuses["submit"] = Refused(code=code, status=status, detail="no more")

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert world.reports[-1] == (1, "failed")
    assert world.whys == [code]


def test_a_key_that_is_refused_ends_the_agent(world):
    world.error = Refused(code="unauthorized", status=401, detail="no")

    world.desk.take([lease()])
    world.wait_until(world.is_done)

    assert world.stop.is_set()
    assert world.course.error is world.error


def test_a_fault_of_ours_with_one_source_fails_its_refresh_and_nothing_else(world, caplog):
    world.sources["src_a"].errors = [ZeroDivisionError()]

    world.desk.take([lease(1), lease(2, "src_b")])
    world.wait_until(world.is_done)

    assert (1, "failed") in world.reports
    assert world.whys == ["agent_error"]
    assert (2, "read") in world.reports
    assert not world.stop.is_set()


def test_stopping_breaks_off_and_names_what_is_to_be_given_back(world):
    source = world.sources["src_a"]
    source.gate.clear()
    world.desk.take([lease(1), lease(2), lease(3, "src_b")])
    world.wait_until(lambda: (3, "read") in world.reports and len(world.desk) == 2)
    world.wait_until(lambda: source.reading)

    given_back = world.desk.stop(0.0)
    source.gate.set()
    world.wait_until(world.is_done)

    assert {each.job_id for each in given_back} == {job_id(1), job_id(2)}
    assert world.desk.take([lease(4)]) != []
    assert not world.desk.has_room()
    assert source.cells == {}
    assert (2, "reading") not in world.reports


def test_a_source_that_leaves_gives_back_its_refresh_only(world):
    for name in ("src_a", "src_b"):
        world.sources[name].gate.clear()
    world.desk.take([lease(1, "src_a"), lease(2, "src_b")])
    world.wait_until(lambda: world.sources["src_a"].reading and world.sources["src_b"].reading)

    given_back = world.desk.leave("src_a")
    for source in world.sources.values():
        source.gate.set()
    world.wait_until(world.is_done)

    assert [each.job_id for each in given_back] == [job_id(1)]
    assert world.reports[-1] == (2, "read")
    assert {row[0] for row in world.taken} == {refresh_id(2)}
