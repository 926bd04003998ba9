"""Links, expectations, readiness, words, times and names: the rules both sides obey."""

import inspect
import re
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from wire import errors, expected_domain, ids, times, urls
from wire.errors import Malformed
from wire.models import JobRequest, LeaseRequest, Outcome, SubmitRequest, WritebackReport
from wire.problems import PROBLEMS
from wire.ready_for_ads import is_ready
from wire.urls import UrlError, check_link, join, parse
from wire.vocab import (
    CONCLUSIONS,
    FINAL_STATUSES,
    STATUS_OF,
    CheckStatus,
    Conclusion,
    Event,
    JobStatus,
    check_status,
    event_of,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


# Words.


def test_every_conclusion_belongs_to_exactly_one_final_status() -> None:
    listed = [conclusion for conclusions in CONCLUSIONS.values() for conclusion in conclusions]

    assert sorted(listed) == sorted(Conclusion)
    assert set(CONCLUSIONS) == FINAL_STATUSES
    assert len(STATUS_OF) == len(Conclusion)


@pytest.mark.parametrize(
    ("status", "conclusion", "row", "event"),
    [
        (JobStatus.QUEUED, None, CheckStatus.QUEUED, None),
        (JobStatus.RUNNING, None, CheckStatus.RUNNING, None),
        (JobStatus.DONE, Conclusion.VALID, CheckStatus.VALID, Event.RESOLVE_DONE),
        (JobStatus.DONE, Conclusion.HTTP_4XX, CheckStatus.FAILED, Event.RESOLVE_DONE),
        (JobStatus.FAILED, Conclusion.TIMEOUT, CheckStatus.FAILED, Event.RESOLVE_FAILED),
        (JobStatus.INVALID, Conclusion.INVALID_URL, CheckStatus.FAILED, Event.RESOLVE_FAILED),
        (JobStatus.SKIPPED, Conclusion.PAUSED_BY_OPERATOR, CheckStatus.SKIPPED, None),
        (JobStatus.CANCELED, Conclusion.SUPERSEDED, CheckStatus.SKIPPED, None),
        (JobStatus.EXPIRED, Conclusion.JOB_EXPIRED, CheckStatus.SKIPPED, Event.RESOLVE_FAILED),
    ],
    ids=str,
)
def test_each_status_has_its_row_and_its_event(status, conclusion, row, event) -> None:
    assert check_status(status, conclusion) is row
    assert event_of(status) is event


def test_the_drawing_of_errors_is_true() -> None:
    drawn = re.findall(r"^( *)([A-Z]\w+)$", errors.__doc__ or "", re.MULTILINE)
    parents: list[tuple[int, str]] = []
    for indent, name in drawn:
        while parents and parents[-1][0] >= len(indent):
            parents.pop()
        if parents:
            assert getattr(errors, name).__bases__[0].__name__ == parents[-1][1]
        parents.append((len(indent), name))
    there = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception)
    }

    assert {name for _, name in drawn} == there


def test_every_problem_has_a_status_that_says_whether_to_come_back() -> None:
    for problem in PROBLEMS.values():
        assert problem.retry == (problem.status in (429, 500, 503)), problem


# Links.


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("https://EXAMPLE.com", "https://example.com/"),
        ("http://bücher.example/ä?ö#ü", "http://xn--bcher-kva.example/%C3%A4?%C3%B6#%C3%BC"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("https://a.example:8443/x", "https://a.example:8443/x"),
        ("http://[2001:200::1]/", "http://[2001:200::1]/"),
    ],
)
def test_a_link_is_understood_as_a_browser_does(text: str, href: str) -> None:
    assert check_link(text).href == href


@pytest.mark.parametrize(
    ("text", "reason", "code"),
    [
        ("", "not_a_url", "invalid_url"),
        ("garbage", "not_a_url", "invalid_url"),
        ("/relative", "not_a_url", "invalid_url"),
        ("☃", "not_a_url", "invalid_url"),
        ("http://", "not_a_url", "invalid_url"),
        ("https://a.example/" + "x" * 8192, "url_too_long", "invalid_url"),
        ("https://a.example/a b", "control_or_space", "invalid_url"),
        ("https://a.example/\ud800", "control_or_space", "invalid_url"),
        ("https://user@a.example/", "credentials_in_url", "invalid_url"),
        ("javascript:alert(1)", "scheme_not_allowed", "unsupported_link"),
        ("mailto:a@a.example", "scheme_not_allowed", "unsupported_link"),
    ],
)
def test_what_is_no_link_is_named(text: str, reason: str, code: str) -> None:
    with pytest.raises(UrlError) as refusal:
        check_link(text)

    assert (refusal.value.reason, refusal.value.code) == (reason, code)
    assert refusal.value.detail


def test_references_are_joined_as_a_browser_does() -> None:
    assert join(parse("https://a.example/x/y?q"), "../z").href == "https://a.example/z"
    assert join(parse("https://a.example/x"), "//b.example").href == "https://b.example/"
    assert parse("https://a.example:8080/").port == 8080
    with pytest.raises(UrlError):
        join(parse("https://a.example/"), "http://[")


@pytest.mark.parametrize("reference", ["/plain", "/with'quote", "?q", "x y"])
def test_a_page_of_an_address_leads_to_the_same_address(reference) -> None:
    link = join(parse("https://192.0.2.7/x"), reference)

    assert (link.host, link.is_address) == ("192.0.2.7", True)


# Where a link should land.


@pytest.mark.parametrize(
    ("expected", "url", "is_met"),
    [
        pytest.param("", "https://anything.example/", True, id="blank is no expectation"),
        pytest.param("shop.example", "https://shop.example/x", True, id="the host"),
        pytest.param("shop.example", "https://www.shop.example/x", True, id="a subdomain"),
        pytest.param("shop.example", "https://myshop.example/", False, id="a longer name"),
        pytest.param("=shop.example", "https://www.shop.example/", False, id="exactly"),
        pytest.param("=shop.example", "https://shop.example/", True, id="exactly that"),
        pytest.param("a.example, b.example", "https://b.example/", True, id="one of several"),
        pytest.param("a.example b.example", "https://c.example/", False, id="none of several"),
        pytest.param("SHOP.Example", "https://shop.example/", True, id="case"),
        pytest.param("bücher.example", "https://xn--bcher-kva.example/", True, id="IDN"),
        pytest.param("shop.example/spring", "https://shop.example/spring/sale", True, id="a path"),
        pytest.param(
            "shop.example/spring", "https://shop.example/springtime", False, id="another path"
        ),
        pytest.param(
            "shop.example/spring", "https://shop.example/spring?x=1", True, id="a path with a query"
        ),
        pytest.param(
            "https://shop.example/", "http://shop.example/", True, id="pasted with its scheme"
        ),
        pytest.param("*.shop.example", "https://www.shop.example/", True, id="with a star"),
        pytest.param("shop.example", "https://shop.example.:443/", True, id="a trailing dot"),
        pytest.param("127.0.0.1", "http://127.0.0.1:8000/", True, id="an address on any port"),
        pytest.param("localhost:80", "http://localhost:8000/", False, id="another port"),
    ],
)
def test_an_expectation_is_met_or_not(expected: str, url: str, is_met: bool) -> None:
    assert expected_domain.parse(expected).is_met_by(url) is is_met


@pytest.mark.parametrize(
    "text", ["http://[", "a b..c", "=", "user@host.example", "ftp://a.example"]
)
def test_what_names_no_host_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        expected_domain.parse(text)


# Money.

READY = {"conclusion": Conclusion.VALID, "checked_at": NOW - timedelta(hours=1), "now": NOW}


@pytest.mark.parametrize(
    ("more", "ready"),
    [
        ({}, True),
        ({"conclusion": Conclusion.DESTINATION_CHANGED}, False),
        ({"conclusion": None}, False),
        ({"checked_at": None}, False),
        ({"checked_at": NOW - timedelta(hours=24)}, False),
        ({"checked_at": NOW + timedelta(minutes=1)}, False),
        ({"is_paused": True}, False),
        ({"is_identity_verified": False}, False),
        ({"is_channel_active": False}, False),
    ],
    ids=str,
)
def test_money_is_spent_only_on_what_is_certainly_good_now(
    more: dict[str, object], ready: bool
) -> None:
    assert is_ready(**(READY | more)) is ready  # type: ignore[arg-type]


# Times and names.


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20 12:00:00",
        "2026-11-20T13:00+01:00",
        "2026-11-20T12:00:00.000Z",
    ],
)
def test_a_time_is_read_as_people_and_sheets_write_it(text: str) -> None:
    assert times.from_text(text) == NOW
    assert times.to_text(times.from_text(text)) == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize(
    "text", ["", "garbage", "1e9", "☃", "2026-13-01T00:00", "9999-12-31T23:59-23:00"]
)
def test_what_is_no_time_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        times.from_text(text)


def test_names_have_their_forms() -> None:
    refresh = ids.new_refresh_id(NOW)

    assert ids.born(refresh) == NOW
    assert re.fullmatch(ids.SOURCE_ID, ids.new_source_id())
    assert re.fullmatch(r"r_[a-z2-7]{12}", ids.new_row_id())
    with pytest.raises(Malformed):
        ids.born("rf_x_y")


# Shapes.


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tracking_url": ""},
        {"tracking_url": "https://a.example", "surprise": 1},
        {"tracking_url": "https://a.example", "row_id": "r_1"},
        {"tracking_url": "https://a.example", "source_id": "src_a", "row_id": "a\nb"},
        {"tracking_url": "https://a.example", "tier": "golden"},
        {"tracking_url": "https://a.example", "expires_in": 0},
        {"tracking_url": "https://a.example", "profile": "No Spaces"},
    ],
    ids=str,
)
def test_a_job_that_cannot_be_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JobRequest.model_validate(given)


def test_camel_case_is_understood_and_snake_case_is_spoken() -> None:
    job = JobRequest.model_validate(
        {"trackingUrl": "https://a.example", "sourceId": "src_a", "rowId": "r_1"}
    )

    assert job.row_id == "r_1"
    assert '"tracking_url"' in job.model_dump_json()


def test_a_submission_holds_one_to_a_thousand_jobs() -> None:
    job = {"tracking_url": "https://a.example"}

    assert len(SubmitRequest.model_validate({"jobs": [job] * 1000}).jobs) == 1000
    for jobs in ([], [job] * 1001):
        with pytest.raises(ValidationError):
            SubmitRequest.model_validate({"jobs": jobs})


@pytest.mark.parametrize(
    "given",
    [
        {"status": "done", "conclusion": "timeout"},
        {"status": "done", "conclusion": "valid"},
        {"status": "queued", "conclusion": "valid"},
    ],
    ids=str,
)
def test_an_outcome_tells_one_story(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Outcome.model_validate(given)


def test_an_agent_asks_for_work_from_somewhere_and_reports_an_end() -> None:
    with pytest.raises(ValidationError):
        LeaseRequest.model_validate({})
    with pytest.raises(ValidationError):
        WritebackReport.model_validate(
            {"job_id": "9b1d7c0e-2f3a-5b5c-8d6e-1a2b3c4d5e6f", "writeback": "pending"}
        )


def test_links_of_rows_may_be_longer_than_what_a_webhook_may_have() -> None:
    assert check_link("https://a.example/" + "x" * 5000)
    assert urls.MAX_LENGTH == 8192
