import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from agent.courier import Courier
from agent.findings import Finding
from agent.spool import Settled
from connector.patience import Patience
from connector.relay_errors import NotARelay, Refused, RelayError, Unreachable
from wire import models
from wire.vocab import Conclusion, JobStatus, ReportState, Writeback

DOWN = Unreachable("http://relay", "connection refused")
BAD = Refused(code="invalid_request", status=400, detail="no")
KEY_REVOKED = Refused(code="unauthorized", status=401, detail="no")


def report(number: int, url: str = "https://a.example/") -> models.Report:
    outcome = models.Outcome(
        status=JobStatus.DONE, conclusion=Conclusion.VALID, final_url=url, http_status=200
    )
    job_id = f"6a1f3f0e-0000-5000-8000-{number:012}"
    return models.Report(job_id=job_id, lease_id="1-aaaaaaaa", outcome=outcome)


def finding(number: int, url: str = "https://a.example/") -> Finding:
    return Finding(lease=None, report=report(number, url))


def settled(number: int) -> Settled:
    said = models.WritebackReport(job_id=report(number).job_id, writeback=Writeback.WRITTEN)
    return Settled(lease_id="1-aaaaaaaa", report=said)


class Office:
    """A courier, a relay that can fail, and everything that was said."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.failures: list[RelayError] = []
        self.bad: set[str] = set()
        self.requests: list[models.ResultsRequest] = []
        self.heard: list[str] = []
        self.given_up: list[str] = []
        self.confirmed: list[str] = []
        self.crashes: list[Exception] = []
        self.shuffles = False
        self.stands_at: float | None = None
        self.asked = 0  # what time it is
        self.courier = Courier(
            self,
            on_answer=self._on_answer,
            on_confirmed=self._on_confirmed,
            on_progress=self._notify,
            is_fatal=lambda error: error is KEY_REVOKED,
            on_crash=self._on_crash,
            chance=lambda: 0.0,
            clock=self.clock,
            pace=Patience(first_pause=0.001, longest_pause=0.002),
        )

    def clock(self) -> float:
        self.asked += 1
        return time.monotonic() if self.stands_at is None else self.stands_at

    def results(self, ask: models.ResultsRequest) -> models.ResultsAnswer:
        if self.failures:
            raise self.failures.pop(0)
        if any(each.job_id in self.bad for each in ask.results):
            raise BAD
        self.requests.append(ask)
        answers = [
            models.Accepted(job_id=each.job_id, state=ReportState.RETRY) for each in ask.results
        ]
        if self.shuffles:
            self.shuffles = False
            answers.pop()
        return models.ResultsAnswer(results=answers)

    def writebacks(self, ask: models.WritebacksRequest) -> models.WritebacksAnswer:
        if self.failures:
            raise self.failures.pop(0)
        if any(each.job_id in self.bad for each in ask.writebacks):
            raise BAD
        return models.WritebacksAnswer(writebacks=[])

    def _on_answer(self, pairs: Sequence[tuple[Finding, models.Accepted | None]]) -> None:
        for asked, answer in pairs:
            (self.heard if answer else self.given_up).append(asked.report.job_id)
        self._notify()

    def _on_confirmed(self, words: Sequence[Settled]) -> None:
        self.confirmed += [each.report.job_id for each in words]
        self._notify()

    def _on_crash(self, error: Exception) -> None:
        self.crashes.append(error)
        self._notify()

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 20)


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.courier.stop()
    office.courier.join(10)
    assert not office.courier.is_alive()


def ids(*numbers: int) -> list[str]:
    return [report(number).job_id for number in numbers]


def test_results_travel_together_and_in_order(office):
    office.courier.report(finding(number) for number in range(250))
    office.courier.start()

    office.wait_until(lambda: len(office.heard) == 250)

    assert office.heard == ids(*range(250))
    assert [len(ask.results) for ask in office.requests] == [200, 50]


def test_long_results_travel_in_requests_the_relay_takes(office):
    long = "https://a.example/" + "x" * 16_000
    office.courier.report(finding(number, url=long) for number in range(150))
    office.courier.start()

    office.wait_until(lambda: len(office.heard) == 150)

    assert len(office.requests) == 3
    for ask in office.requests:
        assert len(ask.model_dump_json(exclude_defaults=True)) < models.MAX_BODY_BYTES


@pytest.mark.parametrize(
    "failure",
    [
        DOWN,
        NotARelay("http://relay", status=502, why="it answers text/html"),
        NotARelay("http://relay", status=200, why="a hotel's login page"),
        Refused(code="redis_unavailable", status=503, detail="no"),
    ],
    ids=["down", "a gateway", "a hotel", "no redis"],
)
def test_a_relay_that_is_away_is_waited_for(office, failure):
    office.failures = [failure] * 5
    office.courier.report([finding(1), finding(2)])
    office.courier.confirm([settled(3)])
    office.courier.start()

    office.wait_until(lambda: bool(office.confirmed))

    assert office.heard == ids(1, 2)
    office.wait_until(lambda: office.confirmed == ids(3))
    assert len(office.courier) == 0
    assert office.crashes == []


def test_the_one_result_the_relay_never_takes_is_found(office):
    office.bad = set(ids(3, 7))
    office.courier.report(finding(number) for number in range(10))
    office.courier.confirm(settled(number) for number in range(10))
    office.courier.start()

    office.wait_until(lambda: len(office.confirmed) == 10)

    assert office.heard == ids(0, 1, 2, 4, 5, 6, 8, 9)
    assert office.given_up == ids(3, 7)


def test_a_revoked_key_ends_it(office):
    office.failures = [KEY_REVOKED]
    office.courier.report([finding(1)])
    office.courier.start()

    office.wait_until(lambda: bool(office.crashes))

    assert office.crashes == [KEY_REVOKED]
    assert office.courier.reports_left() == 1


def test_answers_about_other_jobs_are_no_answers(office):
    office.shuffles = True
    office.courier.report([finding(1), finding(2)])
    office.courier.start()

    office.wait_until(lambda: len(office.heard) == 2)

    assert len(office.requests) == 2


def test_it_can_be_stopped_while_it_waits_for_the_relay(office):
    office.courier._pace = Patience(first_pause=1000.0, longest_pause=1000.0)
    office.failures = [DOWN]
    office.courier.report([finding(1)])
    office.courier.start()
    office.wait_until(lambda: not office.failures)

    office.courier.stop()
    office.courier.join(10)

    assert len(office.courier) == 1


def test_after_an_errand_a_few_results_wait_for_company_and_many_do_not(office):
    office.stands_at = 1000.0
    office.courier.start()
    office.courier.report([finding(1)])
    office.wait_until(lambda: office.heard == ids(1))

    office.courier.report([finding(2)])
    enough = office.asked + 5
    while office.asked < enough and len(office.heard) == 1:
        office.courier.confirm([])  # it looks whether it is time
    assert office.heard == ids(1)
    office.courier.confirm([settled(3)])
    office.courier.report(finding(number) for number in range(4, 203))
    office.wait_until(lambda: len(office.heard) == 201)

    assert [len(ask.results) for ask in office.requests] == [1, 200]
    office.wait_until(lambda: office.confirmed == ids(3))
    office.stands_at += 60
    office.courier.report([finding(203)])
    office.wait_until(lambda: len(office.heard) == 202)
