"""Rate and time left, on made-up clocks."""

from collections.abc import Callable, Iterator

import pytest

from connector.running.estimate import Estimate, Recent, Sample, estimate, spoken


def said(done_at: Callable[[float], int], *, total: int, until: float) -> Iterator[Estimate]:
    """What a run says four times a second, when so many rows are done at each second."""
    recent = Recent()
    for tick in range(int(until * 4) + 1):
        now = 1000.0 + tick / 4
        done = done_at(tick / 4)
        yield estimate(recent.note(now, done), done=done, total=total)


def test_nothing_is_said_before_it_is_known() -> None:
    early = list(said(lambda at: int(at * 100), total=100_000, until=4.75))

    assert set(early) == {Estimate(rate=None, seconds_left=None)}


def test_a_steady_run_says_its_rate_and_counts_down_to_its_end() -> None:
    for tick, each in enumerate(said(lambda at: int(at * 100), total=20_000, until=199)):
        if tick >= 20:
            assert each.rate == pytest.approx(100, rel=0.01)
            assert each.seconds_left == pytest.approx(200 - tick / 4, rel=0.01)


def test_the_rate_is_of_lately_and_not_of_the_whole_run() -> None:
    def slower(at: float) -> int:
        return int(at * 1000) if at < 100 else int(100_000 + (at - 100) * 10)

    last = list(said(slower, total=200_000, until=170))[-1]

    assert last.rate == pytest.approx(10, rel=0.01)


def test_a_stall_of_five_seconds_does_not_make_the_time_left_jump() -> None:
    def stalling(at: float) -> int:
        return int(1000 * (at if at < 100 else max(100, at - 5)))

    lefts = [each.seconds_left for each in said(stalling, total=1_000_000, until=300)][400:]

    for before, after in zip(lefts, lefts[4:], strict=False):
        assert before is not None
        assert after is not None
        assert abs(after - before) < 0.03 * before + 2


def test_a_burst_of_finished_rows_moves_the_time_left_by_its_share_of_a_minute() -> None:
    def bursting(at: float) -> int:
        return int(1000 * at) + (5000 if at >= 100 else 0)

    lefts = [each.seconds_left for each in said(bursting, total=1_000_000, until=110)]

    before, after = lefts[399], lefts[400]
    assert before is not None
    assert after is not None
    assert 0.9 * before < after < before


def test_where_nothing_moves_the_end_is_not_known() -> None:
    last = list(said(lambda at: min(500, int(at * 100)), total=1000, until=90))[-1]

    assert last == Estimate(rate=0.0, seconds_left=None)


def test_at_the_end_nothing_is_left() -> None:
    assert estimate((), done=10, total=10).seconds_left == 0
    assert estimate((Sample(at=0, done=0), Sample(at=9, done=9)), done=9, total=9).rate == 1


def test_counts_that_fall_back_are_no_negative_rate() -> None:
    """A relay whose Redis was lost may count a little less at first."""
    samples = (Sample(at=0, done=100), Sample(at=10, done=90))

    assert estimate(samples, done=90, total=200) == Estimate(rate=0.0, seconds_left=None)


def test_a_run_of_days_remembers_a_minute() -> None:
    recent = Recent()
    kept = max(len(recent.note(tick / 4, tick)) for tick in range(4 * 3600))

    assert kept <= 63


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "a few seconds left"),
        (9.9, "a few seconds left"),
        (14.0, "about 10 s left"),
        (54.0, "about 50 s left"),
        (56.0, "about 1 min left"),
        (100.0, "about 2 min left"),
        (59.4 * 60, "about 59 min left"),
        (59.9 * 60, "about 1 h left"),
        (63.0 * 60, "about 1 h 5 min left"),
        (25.2 * 3600, "about 25 h 10 min left"),
    ],
)
def test_time_is_told_as_exactly_as_it_is_known(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
