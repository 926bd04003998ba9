import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.spool import Accepted, Settled
from agent.writeback import Owed, Pace, SourceWriter, batch_of
from connector.errors import FileNotFound, Locked
from connector.sheet_errors import SheetNotShared
from connector.source import Change, Written
from wire.models import JobAnswer
from wire.ready_for_ads import DEFAULT_MAX_AGE
from wire.vocab import CheckStatus, Conclusion, JobStatus, Writeback

FILE = Path("links.csv")
LOCKED, GONE = Locked(FILE), FileNotFound(FILE)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
JOB = "6a1f3f0e-0000-5000-8000-0000000000{:02}"


def accepted(
    number: int = 1, *, row: str | None = None, url: str = "", minutes: int = 0
) -> Accepted:
    job = JobAnswer(
        job_id=JOB.format(number),
        source_id="src_a",
        row_id=row or f"r_{number}",
        tracking_url=url or f"https://t.example/{number}",
        status=JobStatus.DONE,
        check_status=CheckStatus.VALID,
        conclusion=Conclusion.VALID,
        final_url="https://a.example/",
        http_status=200,
        created_at=NOW,
        checked_at=NOW + timedelta(minutes=minutes),
    )
    return Accepted(lease_id="1-aaaaaaaa", job=job)


def owed(given: Accepted) -> Owed:
    return Owed.of(given, now=NOW, max_age=DEFAULT_MAX_AGE)


class Keeper:
    """A source in memory that can be locked, and that says how it was written."""

    source_id = "src_a"
    name = "links.csv"

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.always: Exception | None = None
        self.flushes: list[Sequence[Change]] = []
        self.tries = 0
        self.missing: set[str] = set()

    def write(self, changes: Sequence[Change]) -> list[Written]:
        self.tries += 1
        if self.always:
            raise self.always
        if self.failures:
            raise self.failures.pop(0)
        self.flushes.append(changes)
        return [
            Written(row_id=each.row_id, writeback=Writeback.MISSING, detail="the row\nis gone")
            if each.row_id in self.missing
            else Written(row_id=each.row_id, writeback=Writeback.WRITTEN)
            for each in changes
        ]


class Desk:
    """A writer at work, and what it said."""

    def __init__(self) -> None:
        self.keeper = Keeper()
        self.settled: list[Settled] = []
        self.crashes: list[Exception] = []
        self.is_quiet = True
        self.heard = threading.Condition()
        self.writer: SourceWriter | None = None

    def start(self, pace: Pace) -> SourceWriter:
        self.writer = SourceWriter(
            self.keeper,
            on_settled=self._on_settled,
            is_quiet=lambda: self.is_quiet,
            on_crash=self.crashes.append,
            pace=pace,
            wall=lambda: NOW,
        )
        self.writer.start()
        return self.writer

    def _on_settled(self, settled: Sequence[Settled], owed: Sequence[Owed]) -> None:
        assert [each.report.job_id for each in settled] == [each.job_id for each in owed]
        with self.heard:
            self.settled += settled
            self.heard.notify_all()

    def wait_for(self, count: int) -> None:
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.settled) >= count, 20)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    if desk.writer:
        desk.writer.stop()
        desk.writer.join(10)
        assert not desk.writer.is_alive()
    assert desk.crashes == []


QUICK = Pace(first_pause=0.001, longest_pause=0.002, hopeless_seconds=0.01)
NEVER = Pace(shortest=1000.0, many=3)


@pytest.mark.parametrize(
    ("waiting", "since_last", "last_took", "is_quiet", "seconds"),
    [
        (1, 0.0, 0.1, True, 0.0),
        (1, 1.0, 8.0, True, 7.0),
        (1, 9.0, 8.0, True, 0.0),
        (50_000, 0.0, 100.0, False, 0.0),
        (1, 0.0, 0.0, False, 0.25),
        (1, 0.3, 0.01, False, 0.0),
        (49_999, 1.0, 2.0, False, 9.0),
        (49_999, 11.0, 2.0, False, 0.0),
        (1, 100.0, 60.0, False, 20.0),
        (1, 100.0, 600.0, True, 20.0),
    ],
    ids=[
        "a small file, and nothing else on its way",
        "a huge file is left in peace even when it is quiet",
        "a huge file when it was quiet for as long as a rewrite takes",
        "many",
        "a small file is not hammered",
        "a small file after a moment",
        "a huge file is left in peace",
        "a huge file after its share",
        "nothing waits longer than the longest",
        "nothing waits longer than the longest when it is quiet either",
    ],
)
def test_a_rewrite_happens_when_it_is_worth_it(waiting, since_last, last_took, is_quiet, seconds):
    wait = Pace().wait(waiting, since_last=since_last, last_took=last_took, is_quiet=is_quiet)

    assert wait == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("rows", "rewrite_seconds", "at_most"),
    [
        pytest.param(100_000, 0.8, 25, id="100,000 rows"),
        pytest.param(1_000_000, 8.0, 25, id="a million rows"),
        pytest.param(1_000_000, 40.0, 25, id="a million rows on a slow disk"),
    ],
)
def test_a_file_is_rewritten_a_few_dozen_times_however_many_rows_it_has(
    rows: int, rewrite_seconds: float, at_most: int
):
    """A run at 1,000 results a second on a made-up clock; a rewrite costs what the file is long."""
    pace = Pace()
    now = last_end = last_took = 0.0
    written = rewrites = 0
    while written < rows:
        found = min(rows, int(now * 1000))
        wait = pace.wait(
            found - written,
            since_last=now - last_end,
            last_took=last_took,
            is_quiet=found == rows,
        )
        if found == written or wait > 0:
            now += 0.25
            continue
        now += rewrite_seconds
        written += min(found - written, pace.many)
        last_end, last_took, rewrites = now, rewrite_seconds, rewrites + 1

    assert rewrites <= at_most


def test_pauses_between_failed_tries_grow_and_end():
    pauses = [Pace().pause(failures) for failures in range(1, 30)]

    assert pauses == sorted(pauses)
    assert pauses[0] == 0.2
    assert pauses[-1] == 5.0


def test_of_two_results_for_one_row_the_newer_stands_for_both():
    old = owed(accepted(1, row="r_1", url="u", minutes=1))
    new = owed(accepted(2, row="r_1", url="u", minutes=2))

    for order in ([old, new], [new, old]):
        batch = batch_of(order, now=NOW)

        assert [change.cells["job_id"] for change in batch.changes] == [new.job_id]
        assert batch.stands_for == ((old, new),)


def test_two_links_of_one_row_id_are_two_changes():
    batch = batch_of([owed(accepted(1, row="r_1")), owed(accepted(2, row="r_1"))], now=NOW)

    assert len(batch.changes) == 2


def test_results_are_written_and_every_row_gets_its_word(desk):
    desk.keeper.missing = {"r_2"}
    desk.start(Pace()).put([accepted(1), accepted(2)])

    desk.wait_for(2)

    assert [(each.report.writeback, each.report.detail) for each in desk.settled] == [
        ("written", ""),
        ("missing", "the row is gone"),
    ]


def test_few_results_wait_for_more_until_it_gets_quiet(desk):
    desk.is_quiet = False
    writer = desk.start(NEVER)
    writer.put([accepted(1)])
    writer.put([accepted(2)])
    assert len(writer) == 2

    desk.is_quiet = True
    writer.nudge()
    desk.wait_for(2)

    assert [len(changes) for changes in desk.keeper.flushes] == [2]


def test_many_results_are_written_although_more_will_come(desk):
    desk.is_quiet = False
    desk.start(NEVER).put([accepted(number) for number in range(1, 4)])

    desk.wait_for(3)

    assert [len(changes) for changes in desk.keeper.flushes] == [3]


def test_what_became_too_old_while_it_waited_is_not_called_ready(desk):
    waiting = owed(accepted(1, minutes=0))
    assert waiting.change.cells["ready_for_ads"] is True

    batch = batch_of([waiting], now=NOW + DEFAULT_MAX_AGE)

    assert batch.changes[0].cells == {**waiting.change.cells, "ready_for_ads": False}


def test_at_the_end_nothing_waits_for_its_pace(desk):
    desk.is_quiet = False
    writer = desk.start(NEVER)
    writer.put([accepted(1)])

    writer.hurry()

    desk.wait_for(1)


@pytest.mark.parametrize("error", [LOCKED, GONE, PermissionError(13, "in use")], ids=repr)
def test_a_locked_file_is_tried_again_and_nothing_is_lost(desk, error):
    desk.keeper.failures = [error] * 2
    desk.start(Pace(first_pause=0.001, longest_pause=0.002)).put([accepted(1)])

    desk.wait_for(1)

    assert desk.settled[0].report.writeback == "written"
    assert desk.keeper.tries == 3


def test_results_that_come_while_the_file_is_locked_are_written_with_the_others(desk):
    desk.keeper.always = LOCKED
    writer = desk.start(QUICK)
    writer.put([accepted(1)])
    until(lambda: desk.keeper.tries > 5)
    writer.put([accepted(2)])
    assert writer.trouble == str(LOCKED)

    desk.keeper.always = None
    desk.wait_for(2)

    assert [len(changes) for changes in desk.keeper.flushes] == [2]
    assert writer.trouble == ""


def test_a_file_that_stays_away_is_given_up_with_a_reason(desk):
    desk.keeper.always = GONE
    desk.start(QUICK).put([accepted(1)])

    desk.wait_for(1)

    assert desk.settled[0].report.writeback == "failed"
    assert desk.settled[0].report.detail == "there is no file links.csv"


def test_what_a_person_can_mend_is_given_the_time_to_mend_it(desk):
    desk.keeper.failures = [SheetNotShared("the sheet", "bot@example.com")] * 60
    writer = desk.start(QUICK)

    writer.put([accepted()])
    desk.wait_for(1)

    assert desk.settled[0].report.writeback == "written"
    assert desk.keeper.tries == 61


def test_a_writer_that_is_stopped_keeps_what_it_could_not_write(desk):
    desk.keeper.always = LOCKED
    writer = desk.start(QUICK)
    writer.put([accepted(1)])
    until(lambda: desk.keeper.tries > 2)

    writer.stop()
    writer.join(10)

    assert desk.settled == []
    assert len(writer) == 1


def until(condition: Callable[[], bool]) -> None:
    ticks = threading.Event()
    for _ in range(4000):
        if condition():
            return
        ticks.wait(0.005)
    pytest.fail("did not come about")
