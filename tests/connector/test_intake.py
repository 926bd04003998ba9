"""Which rows become jobs, and what the others are told."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from connector import intake
from connector.errors import Interrupted
from connector.intake import Check, Leave, PassBy, Tell, Terms, judge_row
from connector.memory import MemorySource
from connector.source import Row
from wire.models import JobRequest, RefreshOrder, SubmitRequest
from wire.vocab import Conclusion, RefreshScope

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TERMS = Terms(source_id="src_spring", now=NOW)
STALE_AFTER_A_DAY = Terms(source_id="src_spring", now=NOW, only_stale=timedelta(days=1))
LINK = "https://trk.example/a"


def row(row_id: str = "r_1", tracking_url: str = LINK, **more: str) -> Row:
    return Row(row_id=row_id, tracking_url=tracking_url, **more)


@pytest.mark.parametrize(
    ("told", "conclusion", "word"),
    [
        pytest.param(row(tracking_url=""), Conclusion.INVALID_URL, "blank", id="a blank link"),
        pytest.param(row(tracking_url="/go/1"), Conclusion.INVALID_URL, "", id="a relative link"),
        pytest.param(
            row(tracking_url="javascript:alert(1)"), Conclusion.UNSUPPORTED_LINK, "", id="a script"
        ),
        pytest.param(
            row(tracking_url="https://a.example/" + "x" * 9000),
            Conclusion.INVALID_URL,
            "",
            id="9,000 characters",
        ),
        pytest.param(
            row(fault="not valid UTF-8"), Conclusion.INVALID_URL, "not valid UTF-8", id="no text"
        ),
        pytest.param(
            row(expected_domain="http://["),
            Conclusion.INVALID_URL,
            "expected_domain",
            id="an expectation that is none",
        ),
        pytest.param(row(row_id="x" * 300), Conclusion.INVALID_URL, "row_id", id="an endless id"),
        pytest.param(
            row(check_status=" Paused "), Conclusion.PAUSED_BY_OPERATOR, "paused", id="typed"
        ),
        pytest.param(
            row(conclusion="paused_by_operator"), Conclusion.PAUSED_BY_OPERATOR, "", id="concluded"
        ),
        pytest.param(
            row(tracking_url="", check_status="paused"),
            Conclusion.PAUSED_BY_OPERATOR,
            "",
            id="a pause outlives a blank link",
        ),
    ],
)
def test_a_row_that_is_not_checked_is_told_why(
    told: Row, conclusion: Conclusion, word: str
) -> None:
    verdict = judge_row(told, TERMS, is_duplicate=False)

    assert isinstance(verdict, Tell)
    assert verdict.conclusion is conclusion
    assert word in verdict.sentence
    assert "final_url" not in verdict.cells
    assert "last_checked" not in verdict.cells


def test_a_skip_never_looks_like_a_failure() -> None:
    verdict = judge_row(row(check_status="paused"), TERMS, is_duplicate=False)

    assert isinstance(verdict, Tell)
    assert verdict.cells["check_status"] == "skipped"
    assert verdict.cells["error"] == ""
    assert verdict.cells["skip_reason"]
    assert verdict.cells["ready_for_ads"] is False


def test_an_invalid_row_looks_like_a_failure() -> None:
    verdict = judge_row(row(tracking_url="nonsense"), TERMS, is_duplicate=False)

    assert isinstance(verdict, Tell)
    assert verdict.cells["check_status"] == "failed"
    assert verdict.cells["error"]
    assert verdict.cells["skip_reason"] == ""


def test_a_private_link_is_the_agents_to_judge() -> None:
    verdict = judge_row(row(tracking_url="http://192.168.0.1/"), TERMS, is_duplicate=False)

    assert isinstance(verdict, Check)


@pytest.mark.parametrize(
    ("left", "is_fresh"),
    [
        pytest.param(
            {"conclusion": "valid", "last_checked": "2026-11-20T11:00:00Z"}, True, id="an hour old"
        ),
        pytest.param(
            {"conclusion": "dns_error", "last_checked": "2026-11-20T11:00:00Z"}, True, id="failed"
        ),
        pytest.param(
            {"conclusion": "valid", "last_checked": "2026-11-19T11:00:00Z"},
            False,
            id="25 hours old",
        ),
        pytest.param({"conclusion": "valid", "last_checked": "yesterday"}, False, id="no time"),
        pytest.param({"conclusion": "valid", "last_checked": ""}, False, id="never"),
        pytest.param(
            {"conclusion": "duplicate_row_id", "last_checked": "2026-11-20T11:00:00Z"},
            False,
            id="a skip is no check",
        ),
        pytest.param(
            {"conclusion": "?", "last_checked": "2026-11-20T11:00:00Z"}, False, id="no word"
        ),
    ],
)
def test_only_stale_leaves_what_was_checked_recently(left: dict[str, str], is_fresh: bool) -> None:
    verdict = judge_row(row(**left), STALE_AFTER_A_DAY, is_duplicate=False)

    assert isinstance(verdict, Leave if is_fresh else Check)


def test_the_last_final_url_travels_with_the_job_when_it_is_a_link() -> None:
    known = judge_row(row(final_url="https://shop.example/"), TERMS, is_duplicate=False)
    noise = judge_row(row(final_url="n/a"), TERMS, is_duplicate=False)

    assert isinstance(known, Check)
    assert known.job.previous_final_url == "https://shop.example/"
    assert isinstance(noise, Check)
    assert noise.job.previous_final_url is None


def test_every_row_that_shares_an_id_is_skipped_the_first_included() -> None:
    source = MemorySource(
        [row("r_1", LINK), row("r_2", LINK), row("r_1", "https://trk.example/b")],
        source_id="src_spring",
    )

    tally = intake.prepare(source, TERMS)

    says = [(each.check_status, each.conclusion) for batch in source.read() for each in batch]
    assert says == [("skipped", "duplicate_row_id"), ("", ""), ("skipped", "duplicate_row_id")]
    assert tally.told[Conclusion.DUPLICATE_ROW_ID] == 2
    assert [job.row_id for job in intake.jobs(source, TERMS, seen=tally.seen)] == ["r_2"]


def test_blank_ids_are_filled_and_the_rows_are_checked_under_them() -> None:
    source = MemorySource(
        [row("", LINK), row("", "nonsense"), row("r_9", LINK)], source_id="src_spring"
    )

    tally = intake.prepare(source, TERMS)

    ids = [each.row_id for batch in source.read() for each in batch]
    assert len(set(ids)) == 3
    assert all(ids)
    assert tally.ids_given == 2
    jobs = list(intake.jobs(source, TERMS, seen=tally.seen))
    assert [job.row_id for job in jobs] == [ids[0], "r_9"]


def test_a_second_intake_changes_nothing() -> None:
    source = MemorySource([row("", LINK), row("r_2", "nonsense")], source_id="src_spring")
    intake.prepare(source, TERMS)
    before = list(source.read())

    tally = intake.prepare(source, TERMS)

    assert list(source.read()) == before
    assert tally.ids_given == 0


def test_batches_are_cut_by_number_by_size_and_where_a_row_comes_twice() -> None:
    jobs = [JobRequest(tracking_url=LINK, source_id="src_a", row_id=f"r_{n}") for n in range(5)]
    again = [*jobs[:2], jobs[0]]
    long = [job.model_copy(update={"tracking_url": LINK + "x" * 400}) for job in jobs]

    assert [len(batch) for batch in intake.batches(jobs, max_jobs=2)] == [2, 2, 1]
    assert [len(batch) for batch in intake.batches(again)] == [2, 1]
    assert [len(batch) for batch in intake.batches(long, max_bytes=1000)] == [2, 2, 1]


def test_the_same_batch_of_the_same_refresh_has_the_same_key() -> None:
    batch = [JobRequest(tracking_url=LINK, source_id="src_a", row_id="r_1")]

    key = intake.idempotency_key("rf_1795200000_abcdefgh", batch)

    assert key == intake.idempotency_key("rf_1795200000_abcdefgh", list(batch))
    assert key != intake.idempotency_key("rf_1795200001_abcdefgh", batch)
    assert len(key) <= 255
    assert SubmitRequest(jobs=batch)


def ordered(scope: RefreshScope, **more: object) -> Terms:
    order = RefreshOrder.model_validate(
        {"refresh_id": "rf_1795200000_abcdefgh", "scope": scope, **more}
    )
    return intake.terms_of(order, source_id="src_spring", now=NOW)


@pytest.mark.parametrize(
    ("asked", "is_meant"),
    [
        pytest.param({"check_status": "failed", "conclusion": "timeout"}, True, id="failed"),
        pytest.param({"check_status": " Failed "}, True, id="as a person types it"),
        pytest.param({"check_status": "valid", "conclusion": "valid"}, False, id="valid"),
        pytest.param({"check_status": "skipped", "conclusion": "paused"}, False, id="a skip"),
        pytest.param({"check_status": "", "conclusion": ""}, False, id="never checked"),
    ],
)
def test_failed_means_rows_that_say_they_failed(asked: dict[str, str], is_meant: bool) -> None:
    verdict = judge_row(row(**asked), ordered(RefreshScope.FAILED), is_duplicate=False)

    assert isinstance(verdict, Check if is_meant else PassBy)


def test_rows_that_are_not_meant_are_neither_written_nor_submitted_but_counted() -> None:
    source = MemorySource(
        [
            row("r_1", "nonsense"),
            row("r_2", LINK),
            row("", LINK),
            row("r_4", LINK, check_status="paused"),
            row("r_5", "also nonsense"),
            row("r_6", fault="not valid UTF-8"),
        ],
        source_id="src_spring",
    )
    before = [each for batch in source.read() for each in batch]
    terms = ordered(RefreshScope.ROWS, row_ids=["r_2", "r_5", "r_gone"])

    tally = intake.prepare(source, terms)

    after = [each for batch in source.read() for each in batch]
    assert [each.row_id for each, was in zip(after, before, strict=True) if each != was] == ["r_5"]
    assert (tally.rows, tally.passed_by, tally.to_check, tally.ids_given) == (6, 4, 1, 0)
    assert [job.row_id for job in intake.jobs(source, terms, seen=tally.seen)] == ["r_2"]
    assert tally.not_submitted == {Conclusion.INVALID_URL: 1, Conclusion.ROW_MISSING: 1}
    assert tally.missing == ("r_gone",)
    assert tally.meant == tally.to_check + sum(tally.not_submitted.values())


def test_a_named_row_whose_id_stands_twice_is_told_so_in_both_places() -> None:
    source = MemorySource([row("r_1"), row("r_2"), row("r_1")], source_id="src_spring")
    terms = ordered(RefreshScope.ROWS, row_ids=["r_1"])

    tally = intake.prepare(source, terms)

    says = [each.conclusion for batch in source.read() for each in batch]
    assert says == ["duplicate_row_id", "", "duplicate_row_id"]
    assert tally.not_submitted == {Conclusion.DUPLICATE_ROW_ID: 2}


@pytest.mark.parametrize(
    ("more", "hours", "is_checked"),
    [
        pytest.param({"max_age_seconds": 3600}, 2, True, id="older than was asked"),
        pytest.param({"max_age_seconds": 3 * 3600}, 2, False, id="younger than was asked"),
        pytest.param({}, 25, True, id="over a day where nothing was asked"),
        pytest.param({}, 23, False, id="under a day where nothing was asked"),
        pytest.param({"max_age_seconds": 0}, 0, True, id="any age"),
    ],
)
def test_stale_leaves_rows_that_are_young_enough(
    more: dict[str, int], hours: int, is_checked: bool
) -> None:
    at = NOW - timedelta(hours=hours)
    young = row(conclusion="valid", last_checked=at.strftime("%Y-%m-%dT%H:%M:%SZ"))

    verdict = judge_row(young, ordered(RefreshScope.STALE, **more), is_duplicate=False)

    assert isinstance(verdict, Check if is_checked else Leave)


def test_an_order_of_all_rows_leaves_no_row_for_its_age() -> None:
    young = row(conclusion="valid", last_checked="2026-11-20T11:59:59Z")

    verdict = judge_row(young, ordered(RefreshScope.ALL), is_duplicate=False)

    assert isinstance(verdict, Check)
    assert verdict.job.refresh_id == "rf_1795200000_abcdefgh"


class StoppingAt(MemorySource):
    """Rows during whose reading somebody says stop, at the row of this link."""

    def __init__(self, rows: list[Row], stop: threading.Event) -> None:
        super().__init__(rows, source_id="src_spring")
        self._stop = stop
        self.decided = 0

    def revise(self, begin):  # type: ignore[no-untyped-def]
        source = self

        class Watched:
            def __init__(self) -> None:
                self._inner = begin()

            def survey(self, row: Row) -> None:
                self._inner.survey(row)

            def decide(self, row: Row):  # type: ignore[no-untyped-def]
                source.decided += 1
                if source.decided == 2:
                    source._stop.set()
                return self._inner.decide(row)

        return super().revise(Watched)


def test_an_intake_that_is_stopped_goes_no_further() -> None:
    stop = threading.Event()
    source = StoppingAt([row(f"r_{n}", "nonsense") for n in range(5)], stop)

    with pytest.raises(Interrupted):
        intake.prepare(source, TERMS, stop=stop)

    assert source.decided == 2
