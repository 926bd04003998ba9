"""How a source's rows are handed in: never more at once than the relay takes, each batch once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from connector.intake import Terms
from connector.memory import MemorySource
from connector.relay_errors import Refused, RelayError, Unreachable
from connector.seen import Seen
from connector.source import Row
from connector.submitter import Submitter
from wire.models import JobRequest, RefreshProgress
from wire.vocab import RefreshState

REFRESH = "rf_1795200000_abcdefgh"
TERMS = Terms(source_id="src_a", now=datetime(2026, 11, 20, tzinfo=UTC), refresh_id=REFRESH)
DOWN = Unreachable("http://relay", "connection refused")
FULL = Refused(code="queue_full", status=429, detail="full", retry_after=0.01)
NO_MORE = Refused(code="quota_exceeded", status=429, detail="that was all for today")


def rows(count: int) -> MemorySource:
    return MemorySource(
        [Row(row_id=f"r_{n}", tracking_url=f"https://t.example/{n}") for n in range(count)],
        source_id="src_a",
    )


def progress(submitted: int, finished: int) -> RefreshProgress:
    return RefreshProgress(
        refresh_id=REFRESH,
        state=RefreshState.READING,
        submitted=submitted,
        finished=finished,
        by_conclusion={},
        by_writeback={},
    )


class Relay:
    """Takes *depth* rows; what is asked how far it is finishes all it has."""

    def __init__(self, *errors: RelayError, depth: int = 10**6) -> None:
        self.errors = list(errors)
        self.depth = depth
        self.taken: list[str | None] = []
        self.keys: list[str] = []
        self.lies = 0
        self.most = 0
        self.known = 0

    def submit(self, jobs: list[JobRequest], *, idempotency_key: str, patience: object) -> None:
        if self.errors:
            raise self.errors.pop(0)
        if self.lies + len(jobs) > self.depth:
            raise FULL
        self.lies += len(jobs)
        self.most = max(self.most, self.lies)
        self.taken += [job.row_id for job in jobs]
        self.keys.append(idempotency_key)

    def ask(self) -> RefreshProgress:
        self.lies = 0
        return progress(self.known + len(self.taken), self.known + len(self.taken))


def submitter(
    source: MemorySource, relay: Relay, stop: threading.Event | None = None, **more: object
) -> Submitter:
    return Submitter(
        source,
        TERMS,
        Seen(),
        relay=lambda: relay,  # type: ignore[arg-type,return-value]
        stop=stop or threading.Event(),
        ask=relay.ask,
        **more,  # type: ignore[arg-type]
    )


def test_every_row_is_handed_in_once_through_absence_and_a_full_queue(monkeypatch):
    monkeypatch.setattr("connector.submitter._ASK_SECONDS", 0.001)
    relay = Relay(DOWN, FULL, depth=300)
    stop = threading.Event()
    stop.wait = lambda seconds: False  # type: ignore[assignment,method-assign]

    assert submitter(rows(1000), relay, stop).run()

    assert relay.taken == [f"r_{n}" for n in range(1000)]
    assert len(set(relay.keys)) == len(relay.keys)
    assert relay.most <= 300


def test_a_batch_that_is_sent_again_has_the_key_it_had():
    relay, again = Relay(), Relay()

    submitter(rows(700), relay).run()
    submitter(rows(700), again).run()

    assert relay.keys == again.keys
    assert len(relay.keys) == 2


def test_what_an_earlier_life_handed_in_does_not_hide_what_lies_there_now():
    relay = Relay()
    work = submitter(rows(800), relay)
    work.heard(progress(10_000, 10_000), when_submitted=0)

    work.run()

    assert work.submitted == 800
    assert work.lying == 800
    work.heard(progress(10_800, 10_300), when_submitted=800)
    assert work.lying == 500


def test_stopped_while_there_is_no_room_it_ends_and_says_so():
    relay = Relay()
    stop = threading.Event()

    def ask() -> RefreshProgress:
        stop.set()
        return progress(25_000, 0)

    work = Submitter(
        rows(5),
        TERMS,
        Seen(),
        relay=lambda: relay,
        stop=stop,
        ask=ask,  # type: ignore[arg-type,return-value]
    )
    work.heard(progress(25_000, 0), when_submitted=0)

    assert not work.run()
    assert relay.taken == []


@pytest.mark.parametrize(
    ("error", "is_over"),
    [
        pytest.param(NO_MORE, None, id="a quota that is used up"),
        pytest.param(DOWN, lambda error: True, id="whatever the caller calls the end"),
    ],
)
def test_what_will_not_pass_is_raised(
    error: RelayError, is_over: Callable[[RelayError], bool] | None
) -> None:
    relay = Relay(error)
    more = {} if is_over is None else {"is_over": is_over}

    with pytest.raises(type(error)):
        submitter(rows(5), relay, **more).run()

    assert relay.taken == []
