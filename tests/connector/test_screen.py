"""What a person reads at the end of a run, and while it goes on."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from connector.running.estimate import Estimate
from connector.running.footprint import Peak
from connector.running.screen import Bar, as_json, counted, show
from connector.running.summary import Summary
from wire.vocab import Conclusion, Writeback

SUMMARY = Summary(
    file=Path("links.csv"),
    source_id="src_a",
    refresh_id="rf_1",
    relay="http://x",
    rows=3,
    submitted=3,
    finished=3,
    by_conclusion={Conclusion.VALID: 3},
    by_writeback={Writeback.WRITTEN: 3},
    not_written=(),
    p50_ms=0,
    p95_ms=12,
    seconds=4.0,
    checking_seconds=2.0,
    memory=(Peak(process="run", pid=7, peak=50 * 2**20),),
)


def shown(summary: Summary) -> str:
    output = io.StringIO()
    show(summary, Console(file=output, width=120))
    return output.getvalue()


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_000_000, "1,000,000 rows")]
)
def test_things_are_counted_as_people_count_them(number: int, words: str) -> None:
    assert counted(number, "row") == words


def test_a_walk_of_no_whole_millisecond_is_not_said_to_take_none() -> None:
    said = shown(SUMMARY)

    assert "half of the links took under 1 ms" in said
    assert "12 ms" in said
    assert " 0 ms" not in said


def test_what_is_missing_is_counted_too() -> None:
    said = shown(replace(SUMMARY, finished=2, by_writeback={Writeback.CONFLICT: 1}))

    assert "1 row unfinished" in said
    assert "1 result not in the file: conflict" in said


def test_machines_read_rate_time_and_memory() -> None:
    found = as_json(SUMMARY)

    assert found["seconds"] == 4.0
    assert found["rows_per_second"] == 1.5
    assert found["memory"] == [{"process": "run", "pid": 7, "peak_mb": 50.0}]


def test_without_a_checked_link_there_is_no_rate() -> None:
    assert as_json(replace(SUMMARY, finished=0))["rows_per_second"] is None
    assert as_json(replace(SUMMARY, checking_seconds=0.0))["rows_per_second"] is None


def drawn(finished: int, estimate: Estimate, text: str = "") -> str:
    output = io.StringIO()
    bar = Bar(Console(file=output, width=160, force_terminal=True), quiet=False)
    bar.begin(1000)
    bar.advance(finished - 30, finished=finished, estimate=estimate, text=text)
    bar.end()
    return output.getvalue()


def test_the_bar_says_nothing_of_the_time_left_until_it_is_known() -> None:
    said = drawn(100, Estimate())

    assert "100/1000" in said
    assert "left" not in said
    assert "/s" not in said


def test_the_bar_says_rate_time_left_and_what_is_still_to_be_written() -> None:
    said = drawn(100, Estimate(rate=1234.5, seconds_left=300.0))

    assert "1,234/s" in said
    assert "about 5 min left" in said
    assert "30 to be written" in said


def test_what_is_waited_for_goes_before_what_is_to_be_written() -> None:
    assert "the queue is full" in drawn(100, Estimate(), "the queue is full")
