from datetime import UTC, datetime, timedelta

import pytest

from connector.results import change_for
from wire.models import ErrorDetail, Hop, JobAnswer
from wire.vocab import (
    CONCLUSIONS,
    FINAL_STATUSES,
    RESULT_COLUMNS,
    STATUS_OF,
    TOOL_COLUMNS,
    CheckStatus,
    Conclusion,
    HopKind,
    check_status,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def job(conclusion: Conclusion = Conclusion.VALID, **more: object) -> JobAnswer:
    status = STATUS_OF[conclusion]
    facts: dict[str, object] = {
        "job_id": "j",
        "source_id": "src_a",
        "row_id": "r_1",
        "tracking_url": "https://t.example/1",
        "status": status,
        "check_status": check_status(status, conclusion),
        "conclusion": conclusion,
        "created_at": NOW - timedelta(minutes=2),
        "checked_at": NOW - timedelta(minutes=1),
    }
    return JobAnswer.model_validate(facts | more)


def hop(url: str, status: int) -> Hop:
    return Hop(url=url, status=status, kind=HopKind.HTTP, ms=5)


def test_a_valid_link_fills_its_row():
    landed = job(
        final_url="https://shop.example/?a=1",
        http_status=200,
        hops=[hop("https://t.example/1", 302), hop("https://shop.example/?a=1", 200)],
        previous_final_url="https://shop.example/",
    )

    change = change_for(landed, now=NOW)

    assert (change.row_id, change.tracking_url) == ("r_1", "https://t.example/1")
    assert change.checked_at == NOW - timedelta(minutes=1)
    assert change.cells == {
        "check_status": "valid",
        "final_url": "https://shop.example/?a=1",
        "conclusion": "valid",
        "error": "",
        "skip_reason": "",
        "last_checked": "2026-11-20T11:59:00Z",
        "ready_for_ads": True,
        "http_status": "200",
        "hop_count": "1",
        "previous_final_url": "https://shop.example/",
        "job_id": "j",
    }


def test_a_failed_check_does_not_keep_the_last_good_url():
    failed = job(Conclusion.TIMEOUT, error=ErrorDetail(code="timeout", detail="no answer"))

    cells = change_for(failed, now=NOW).cells

    assert cells["final_url"] == ""
    assert cells["error"] == "no answer"
    assert cells["ready_for_ads"] is False


@pytest.mark.parametrize(
    "conclusion",
    [
        Conclusion.AGENT_LOST,
        Conclusion.JOB_EXPIRED,
        Conclusion.CANCELED,
        Conclusion.SUPERSEDED,
    ],
)
def test_a_link_nobody_looked_at_keeps_what_the_last_check_said(conclusion):
    cells = change_for(job(conclusion), now=NOW).cells

    assert not {"final_url", "last_checked", "http_status", "hop_count"} & set(cells)
    assert cells["error"] or cells["skip_reason"]


def test_an_old_answer_is_valid_but_not_ready_for_ads():
    late = job(final_url="https://a.example/", http_status=200)

    cells = change_for(late, now=NOW + timedelta(days=2)).cells

    assert cells["check_status"] == CheckStatus.VALID
    assert cells["ready_for_ads"] is False


@pytest.mark.parametrize("conclusion", list(Conclusion))
def test_every_ending_says_why_in_exactly_one_place(conclusion):
    change = change_for(job(conclusion, http_status=404), now=NOW)

    error, skip_reason = change.cells["error"], change.cells["skip_reason"]
    is_skip = change.cells["check_status"] == "skipped"
    assert bool(error) is (not is_skip and conclusion is not Conclusion.VALID)
    assert bool(skip_reason) is is_skip
    assert set(change.cells) <= {*RESULT_COLUMNS, *TOOL_COLUMNS}


def test_every_conclusion_is_an_ending():
    assert set(CONCLUSIONS) == FINAL_STATUSES


def test_a_sentence_stays_on_one_line():
    told = ErrorDetail(code="bad_response", detail="two\r\nlines\x00 and\u2028more")

    cells = change_for(job(Conclusion.BAD_RESPONSE, error=told), now=NOW).cells

    assert cells["error"] == "two lines  and more"


@pytest.mark.parametrize("missing", ["row_id", "conclusion"])
def test_a_job_without_row_or_ending_is_no_change(missing):
    with pytest.raises(ValueError):
        change_for(job().model_copy(update={missing: None}), now=NOW)
