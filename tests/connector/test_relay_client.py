import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connector.patience import Patience, parse_retry_after
from connector.relay_client import RelayClient
from connector.relay_errors import BadRelayUrl, NotARelay, Refused, RelayError, Unreachable
from wire.models import JobRequest, LeaseRequest
from wire.signing import Credentials, SignedHeaders, verify_request
from wire.source_models import (
    RefreshesRequest,
    RefreshReport,
    RefreshRequest,
    SourcePatch,
    SourceRequest,
)
from wire.vocab import ReadState, RefreshScope

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CREDENTIALS = Credentials(key_id="lrk_test0000", secret="lrs_very_secret")
JOB = JobRequest(tracking_url="https://a.example/?q=ä b")


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Site:
    """A real server on loopback that gives its answers in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[Seen] = []
        self.connections: set[tuple[str, int]] = set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                site.seen.append(Seen(self.command, self.path, dict(self.headers), body))
                site.connections.add(self.client_address)
                answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
                self.send_response(answer.status)
                length = len(answer.body) + (1000 if answer.cut else 0)
                if answer.status != 204:
                    self.send_header("Content-Type", answer.kind)
                    self.send_header("Content-Length", str(length))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                if answer.cut:
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - named by http.server

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


class Pauses:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def client_of(pauses: Pauses) -> Iterator[Callable[..., RelayClient]]:
    made: list[RelayClient] = []

    def make(url: str, **settings: object) -> RelayClient:
        client = RelayClient(
            url,
            CREDENTIALS,
            clock=lambda: NOW,
            monotonic=lambda: pauses.now,
            sleep=pauses.sleep,
            chance=lambda: 0.0,
            **settings,  # type: ignore[arg-type]
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def problem(status: int, code: str, **headers: str) -> Answer:
    body = {
        "type": "about:blank",
        "title": "No",
        "status": status,
        "code": code,
        "detail": f"because {code}",
        "request_id": "req_1",
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), "application/problem+json", named)


def submitted() -> Answer:
    job = {"job_id": "j", "row_id": None, "status": "queued", "disposition": "created"}
    return Answer(202, json.dumps({"jobs": [job], "request_id": "req_1"}).encode())


def no_jobs() -> Answer:
    return Answer(200, b'{"items":[],"next_cursor":null}')


def signature_holds(seen: Seen) -> bool:
    verify_request(
        SignedHeaders.from_headers(seen.headers),
        method=seen.method,
        target=seen.target,
        body=seen.body,
        secrets_=[CREDENTIALS.secret],
        now=NOW,
    )
    return True


def test_what_is_signed_is_what_travels_query_and_body_included(site, client_of):
    site.answers = [no_jobs(), submitted()]
    client = client_of(site.url)

    client.jobs(source_id="src_ü /?&x", limit=2)
    client.submit([JOB], idempotency_key="key-1")

    assert all(signature_holds(seen) for seen in site.seen)
    assert site.seen[0].target == "/v1/jobs?source_id=src_%C3%BC+%2F%3F%26x&limit=2"
    assert site.seen[1].headers["Idempotency-Key"] == "key-1"


def test_a_retry_is_signed_afresh_under_the_same_idempotency_key(site, client_of, pauses):
    site.answers = [problem(503, "redis_unavailable"), Answer(202, b"{", cut=True), submitted()]

    answer = client_of(site.url).submit([JOB], idempotency_key="key-1")

    assert answer.jobs[0].job_id == "j"
    assert [seen.headers["Idempotency-Key"] for seen in site.seen] == ["key-1"] * 3
    assert len({seen.headers["Linkrow-Nonce"] for seen in site.seen}) == 3
    assert len({seen.body for seen in site.seen}) == 1
    assert all(signature_holds(seen) for seen in site.seen)
    assert pauses.slept == [0.25, 0.5]


@pytest.mark.parametrize("code", ["nonce_replayed", "stale_timestamp"])
def test_a_request_that_was_repeated_on_the_way_is_signed_once_more(site, client_of, pauses, code):
    site.answers = [problem(409, code), submitted()]

    client_of(site.url).submit([JOB], idempotency_key="key-1")

    assert len(site.seen) == 2
    assert pauses.slept == []


def test_a_network_that_repeats_every_request_is_outlasted(site, client_of, pauses):
    site.answers = [problem(409, "nonce_replayed")] * 3 + [submitted()]

    client_of(site.url).submit([JOB], idempotency_key="key-1")

    assert len({seen.headers["Linkrow-Nonce"] for seen in site.seen}) == 4
    assert pauses.slept == [0.25, 0.5]


def test_a_call_that_is_made_once_and_was_repeated_on_the_way_may_be_made_again(site, client_of):
    site.answers = [problem(409, "nonce_replayed")]

    with pytest.raises(Refused) as refused:
        client_of(site.url).lease(LeaseRequest(sources=["src_a"]))

    assert not refused.value.permanent


def test_a_clock_that_is_really_wrong_is_refused_after_two_sendings(site, client_of):
    site.answers = [problem(401, "stale_timestamp")]

    with pytest.raises(Refused) as refused:
        client_of(site.url).jobs()

    assert refused.value.code == "stale_timestamp"
    assert refused.value.permanent
    assert len(site.seen) == 2


@pytest.mark.parametrize(
    ("asked", "pause"),
    [("3", 3.0), ("Fri, 20 Nov 2026 12:00:05 GMT", 5.0), ("0", 0.25), ("soon", 0.25)],
    ids=["seconds", "a date", "zero", "garbage"],
)
def test_the_relay_is_not_asked_again_before_it_said(site, client_of, pauses, asked, pause):
    site.answers = [problem(429, "queue_full", Retry_After=asked), submitted()]

    client_of(site.url).submit([JOB], idempotency_key="key-1")

    assert pauses.slept == [pause]


def test_a_wait_longer_than_our_patience_is_the_callers_to_decide(site, client_of, pauses):
    site.answers = [problem(429, "quota_exceeded", Retry_After="40000")]

    with pytest.raises(Refused) as refused:
        client_of(site.url).submit([JOB], idempotency_key="key-1")

    assert refused.value.retry_after == 40000
    assert not refused.value.permanent
    assert pauses.slept == []


def test_patience_ends_after_its_attempts(site, client_of, pauses):
    site.answers = [problem(500, "internal_error")]

    with pytest.raises(Refused):
        client_of(site.url, patience=Patience(attempts=3)).jobs()

    assert len(site.seen) == 3


def test_a_lease_is_asked_once_because_a_lost_answer_may_hold_leases(site, client_of):
    site.answers = [problem(503, "redis_unavailable")]

    with pytest.raises(Refused):
        client_of(site.url).lease(LeaseRequest(sourceless=True))

    assert len(site.seen) == 1


@pytest.mark.parametrize(
    ("code", "status", "permanent"),
    [
        ("unauthorized", 401, True),
        ("forbidden_scope", 403, True),
        ("idempotency_key_reused", 422, True),
        ("recorder_behind", 503, False),
        ("a_code_of_tomorrow", 503, False),
        ("another_of_tomorrow", 418, True),
    ],
)
def test_a_refusal_knows_whether_asking_again_can_help(site, client_of, code, status, permanent):
    site.answers = [problem(status, code)]

    with pytest.raises(Refused) as refused:
        client_of(site.url, patience=Patience(attempts=1)).jobs()

    assert refused.value.code == code
    assert refused.value.status == status
    assert refused.value.permanent is permanent
    assert f"because {code}" in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        (Answer(200, b"<html>hello</html>", "text/html"), True),
        (Answer(200, b"\xff\xfe", "application/json"), True),
        (Answer(200, b'{"items": "no"}', "application/json"), True),
        (Answer(200, b"[" * 100_000, "application/json"), True),
        (Answer(404, b"<html>nginx</html>", "text/html"), True),
        (Answer(404, b'{"message":"no"}', "application/json"), True),
        (Answer(301, b"", "text/html", {"Location": "http://127.0.0.1:1/"}), True),
        (Answer(200, b"", ""), True),
        (Answer(501, b"<html>Unsupported method</html>", "text/html"), True),
        (Answer(502, b"<html>Bad Gateway</html>", "text/html"), False),
    ],
    ids=[
        "a website",
        "no text",
        "another shape",
        "deep nesting",
        "not found in html",
        "another service",
        "a redirect",
        "nothing",
        "a plain file server",
        "a gateway whose relay is away",
    ],
)
def test_what_is_no_relay_is_called_so(site, client_of, answer, permanent):
    site.answers = [answer]

    with pytest.raises(NotARelay) as error:
        client_of(site.url, patience=Patience(attempts=1)).jobs()

    assert error.value.permanent is permanent
    assert site.url in str(error.value)
    assert len(site.seen) == 1


def test_a_relay_that_is_down_is_unreachable_and_worth_another_try(client_of, pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

        with pytest.raises(Unreachable) as error:
            client_of(url, patience=Patience(attempts=2)).jobs()

    assert str(error.value) == f"the relay at {url} does not answer: connection refused"
    assert not error.value.permanent
    assert len(pauses.slept) == 1


def test_one_connection_serves_many_requests_of_a_thread(site, client_of):
    site.answers = [no_jobs()]
    client = client_of(site.url)

    for _ in range(5):
        client.jobs()

    assert len(site.connections) == 1


def test_a_proxy_from_the_environment_is_not_asked_for_a_relay_on_this_machine(
    site, client_of, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    site.answers = [no_jobs()]

    assert client_of(site.url).jobs().items == []


def test_a_password_in_netrc_is_not_sent(site, client_of, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setattr("connector.relay_http._is_loopback", lambda url: False)
    site.answers = [no_jobs()]

    client_of(site.url).jobs()

    assert "Authorization" not in site.seen[0].headers


def test_progress_of_an_unknown_refresh_is_none(site, client_of):
    site.answers = [problem(404, "not_found")]

    assert client_of(site.url).progress("src_a", "rf_1") is None


def test_the_secret_is_in_no_repr_no_error_and_no_log(site, client_of, caplog):
    caplog.set_level(logging.DEBUG)
    site.answers = [problem(503, "redis_unavailable"), problem(401, "unauthorized")]
    client = client_of(site.url)

    with pytest.raises(RelayError) as error:
        client.jobs()

    told = repr(client) + repr(error.value) + str(error.value) + caplog.text
    assert CREDENTIALS.secret not in told
    assert all(CREDENTIALS.secret not in str(seen) for seen in site.seen)
    assert site.seen[0].headers["User-Agent"].startswith("linkrow/")


@pytest.mark.parametrize(
    "url",
    ["", "relay", "ftp://a", "http://", "http://a:b@c", "http://a:99999", "http://a/?x=1", "☃"],
)
def test_an_address_that_is_none_is_said_before_anything_is_sent(url):
    with pytest.raises(BadRelayUrl) as error:
        RelayClient(url, CREDENTIALS)

    assert error.value.permanent
    assert "a:b" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("garbage", None),
        ("-5", None),
        ("1e9", None),
        ("☃", None),
        ("²", None),
        ("9" * 5000, 86400.0),
        ("7", 7.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86400.0),
        ("Thu, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_bounded_whatever_stands_in_it(text, seconds):
    assert parse_retry_after(text, now=NOW) == seconds


@pytest.mark.parametrize("attempt", range(1, 12))
def test_pauses_grow_are_spread_and_end(attempt):
    patience = Patience()

    longest = patience.pause(attempt, retry_after=None, chance=0.0)
    shortest = patience.pause(attempt, retry_after=None, chance=1.0)

    assert shortest == longest / 2
    assert longest <= patience.longest_pause
    assert timedelta(seconds=patience.pause(attempt, retry_after=60, chance=0.5)) > timedelta(
        minutes=1
    )


PROGRESS = {
    "refresh_id": "rf_1795200000_abcdefgh",
    "state": "reading",
    "submitted": 0,
    "finished": 0,
    "by_conclusion": {},
    "by_writeback": {},
}
A_SOURCE = {
    "source_id": "src_a",
    "kind": None,
    "name": "",
    "max_age_seconds": 86400,
    "paused": False,
    "device_id": None,
    "created_at": "2026-11-20T12:00:00Z",
    "last_seen_at": None,
    "refresh": None,
}
RID = "rf_1795200000_abcdefgh"
ALL = RefreshRequest()
READ = RefreshesRequest(
    refreshes=[
        RefreshReport(
            job_id="6a1f3f0e-0000-5000-8000-000000000001",
            lease_id="1-aaaaaaaa",
            state=ReadState.READ,
            rows=3,
        )
    ]
)


@pytest.mark.parametrize(
    ("call", "method", "target", "body", "answer"),
    [
        pytest.param(
            lambda client: client.refresh(
                "src_a",
                RefreshRequest(scope=RefreshScope.ROWS, row_ids=["r_1"]),
                idempotency_key="k",
            ),
            "POST",
            "/v1/sources/src_a/refresh",
            {"scope": "rows", "row_ids": ["r_1"]},
            {"refresh": PROGRESS, "disposition": "created"},
            id="refresh",
        ),
        pytest.param(
            lambda client: client.progress("src_a", RID),
            "GET",
            f"/v1/sources/src_a/refreshes/{RID}",
            None,
            PROGRESS,
            id="how far it is",
        ),
        pytest.param(
            lambda client: client.progress("src_a", RID, wait=25),
            "GET",
            f"/v1/sources/src_a/refreshes/{RID}?wait=25",
            None,
            PROGRESS,
            id="wait for it",
        ),
        pytest.param(
            lambda client: client.refreshes("src_a", limit=5, cursor="a b"),
            "GET",
            "/v1/sources/src_a/refreshes?limit=5&cursor=a+b",
            None,
            {"items": [PROGRESS], "next_cursor": None},
            id="refreshes",
        ),
        pytest.param(
            lambda client: client.cancel_refresh("src_a", RID),
            "POST",
            f"/v1/sources/src_a/refreshes/{RID}/cancel",
            None,
            PROGRESS,
            id="cancel",
        ),
        pytest.param(
            lambda client: client.sources(),
            "GET",
            "/v1/sources",
            None,
            {"items": [A_SOURCE], "next_cursor": None},
            id="sources",
        ),
        pytest.param(
            lambda client: client.source("src_a"),
            "GET",
            "/v1/sources/src_a",
            None,
            A_SOURCE,
            id="one source",
        ),
        pytest.param(
            lambda client: client.make_source(SourceRequest(name="Spring")),
            "POST",
            "/v1/sources",
            {"name": "Spring"},
            A_SOURCE,
            id="make",
        ),
        pytest.param(
            lambda client: client.patch_source("src_a", SourcePatch(paused=False)),
            "PATCH",
            "/v1/sources/src_a",
            {"paused": False},
            A_SOURCE,
            id="change",
        ),
        pytest.param(
            lambda client: client.report_refreshes(READ),
            "POST",
            "/v1/agent/refreshes",
            {
                "refreshes": [
                    {
                        "job_id": "6a1f3f0e-0000-5000-8000-000000000001",
                        "lease_id": "1-aaaaaaaa",
                        "state": "read",
                        "rows": 3,
                    }
                ]
            },
            {"refreshes": [{"job_id": "6a1f3f0e", "state": "accepted"}]},
            id="report",
        ),
    ],
)
def test_sources_and_refreshes_are_asked_for_as_the_relay_names_them(
    site, client_of, call, method, target, body, answer
):
    site.answers = [Answer(200, json.dumps(answer).encode())]

    found = call(client_of(site.url))

    (seen,) = site.seen
    assert (seen.method, seen.target) == (method, target)
    assert (json.loads(seen.body) if seen.body else None) == body
    assert found == type(found).model_validate(answer)


def test_a_source_that_is_deleted_answers_with_nothing(site, client_of):
    site.answers = [Answer(204)]

    client_of(site.url).delete_source("src_a")

    assert (site.seen[0].method, site.seen[0].target) == ("DELETE", "/v1/sources/src_a")


def test_nothing_at_all_is_no_answer_to_a_question(site, client_of):
    site.answers = [Answer(204)]

    with pytest.raises(NotARelay):
        client_of(site.url).sources()


@pytest.mark.parametrize("code", ["not_found", "unknown_source"])
def test_what_the_relay_has_not_heard_of_is_none(site, client_of, code):
    site.answers = [problem(404, code)]
    client = client_of(site.url)

    assert client.progress("src_a", RID) is None
    assert client.source("src_a") is None


def test_a_refresh_is_asked_for_again_under_its_key(site, client_of):
    answer = {"refresh": PROGRESS, "disposition": "created"}
    site.answers = [problem(503, "redis_unavailable"), Answer(202, json.dumps(answer).encode())]

    client_of(site.url).refresh("src_a", ALL, idempotency_key="nightly-1")

    assert [seen.headers["Idempotency-Key"] for seen in site.seen] == ["nightly-1"] * 2
    assert site.seen[0].headers["Linkrow-Nonce"] != site.seen[1].headers["Linkrow-Nonce"]
