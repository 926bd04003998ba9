"""What callers and agents are promised, end by end, in one process."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest
from flask import Flask

from relay.queue import errors as queue_errors
from relay.queue.broker import Broker
from relay.queue.terms import QueueSettings
from relay.views.gates import requires_nothing
from wire.models import JobAnswer, LeaseAnswer, Outcome, SubmitAnswer
from wire.problems import PROBLEMS, Problem
from wire.signing import new_nonce
from wire.vocab import Conclusion, Disposition, JobStatus, RefreshState, Writeback

REFRESH = "rf_1795200000_abcdefgh"
LANDED = Outcome(
    status=JobStatus.DONE,
    conclusion=Conclusion.VALID,
    final_url="https://shop.example/",
    http_status=200,
).model_dump(mode="json", exclude_defaults=True)


def problem(answer: Any) -> Problem:
    assert answer.content_type == "application/problem+json"
    found = Problem.model_validate_json(answer.data)
    assert answer.status_code == found.status == PROBLEMS[found.code].status
    assert found.request_id == answer.headers["Linkrow-Request-Id"]
    return found


def submitted(answer: Any) -> SubmitAnswer:
    assert answer.status_code == 202, answer.text
    return SubmitAnswer.model_validate_json(answer.data)


def leased(service: Any, *, key: str = "ours/device", **ask: Any) -> LeaseAnswer:
    answer = service.post("/v1/agent/lease", {"sources": ["src_a"], **ask}, key=key)
    assert answer.status_code == 200, answer.text
    return LeaseAnswer.model_validate_json(answer.data)


def report(service: Any, lease: Any, outcome: dict[str, Any] = LANDED) -> dict[str, Any]:
    body = {"results": [{"job_id": lease.job_id, "lease_id": lease.lease_id, "outcome": outcome}]}
    answer = service.post("/v1/agent/results", body, key="ours/device")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json["results"][0]
    return found


# The whole way.


@pytest.fixture(params=["sqlite", "postgres"])
def any_service(
    request: pytest.FixtureRequest, broker: Broker, make_service: Any, make_books: Any
) -> Any:
    if request.param == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('tmp_path')}/l.sqlite3"
    else:
        url = request.getfixturevalue("postgres_url")
    books = make_books(url).fill()
    yield make_service(books, broker)
    books.ledger.close()


def test_a_row_goes_out_and_its_result_comes_back(any_service: Any, job: Any) -> None:
    service = any_service
    accepted = submitted(service.submit({"jobs": [job(refresh_id=REFRESH), job("r_2")]}))
    name = accepted.jobs[0].job_id

    leases = leased(service).leases
    accepted_report = report(service, leases[0])
    written = service.post(
        "/v1/agent/writebacks",
        {"writebacks": [{"job_id": name, "writeback": "written"}]},
        key="ours/device",
    )
    before = service.get(f"/v1/jobs/{name}").json
    service.book()
    after = service.get("/v1/jobs?source_id=src_a&status=done").json["items"]

    assert [lease.row_id for lease in leases] == ["r_1", "r_2"]
    assert accepted_report["state"] == "accepted"
    assert accepted_report["checked_at"] == before["checked_at"]
    assert written.json["writebacks"] == [{"job_id": name, "writeback": "written"}]
    assert JobAnswer.model_validate(before).writeback is Writeback.WRITTEN
    assert after == [before]


def test_a_refresh_says_how_far_it_is(service: Any, job: Any) -> None:
    submitted(service.submit({"jobs": [job(f"r_{n}", refresh_id=REFRESH) for n in range(3)]}))
    report(service, leased(service, max=1).leases[0])

    answer = service.get(f"/v1/sources/src_a/refreshes/{REFRESH}").json

    assert (answer["submitted"], answer["finished"], answer["state"]) == (3, 1, "running")
    assert answer["by_conclusion"] == {"valid": 1}


def test_an_agent_renews_and_gives_back_what_it_holds(service: Any, job: Any) -> None:
    submitted(service.submit(job()))
    lease = leased(service).leases[0]
    held = {"leases": [{"job_id": lease.job_id, "lease_id": lease.lease_id}]}

    renewed = service.post("/v1/agent/renew", held, key="ours/device").json
    released = service.post("/v1/agent/release", held, key="ours/device").json
    late = service.post("/v1/agent/renew", held, key="ours/device").json

    assert [each["state"] for each in renewed["leases"]] == ["renewed"]
    assert released == {"released": 1}
    assert [each["state"] for each in late["leases"]] == ["lost"]
    assert leased(service).leases[0].delivery == 2


# Idempotency and replays.


def test_a_submission_without_an_idempotency_key_is_refused(service: Any, job: Any) -> None:
    assert problem(service.post("/v1/jobs", job())).code == "idempotency_key_missing"


def test_a_retry_gets_the_first_answer_and_makes_no_second_job(service: Any, job: Any) -> None:
    first = service.submit(job(None), idempotency_key="order-42")
    again = service.submit(job(None), idempotency_key="order-42")

    assert submitted(again).jobs == submitted(first).jobs
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(leased(service, sources=[], sourceless=True).leases) == 1


def test_a_retry_by_another_key_is_another_request(service: Any, job: Any) -> None:
    submitted(service.submit(job(None), idempotency_key="order-42"))

    other = submitted(service.submit(job(None), idempotency_key="order-42", key="ours/device"))

    assert other.jobs[0].disposition is Disposition.CREATED


def test_an_idempotency_key_serves_one_body(service: Any, job: Any) -> None:
    submitted(service.submit(job(), idempotency_key="order-42"))

    answer = service.submit(job("r_2"), idempotency_key="order-42")

    assert problem(answer).code == "idempotency_key_reused"


def test_a_refused_submission_leaves_its_idempotency_key_free(service: Any, job: Any) -> None:
    answer = service.submit(job(tier="gold"), idempotency_key="order-42")
    assert problem(answer).code == "invalid_request"

    submitted(service.submit(job(), idempotency_key="order-42"))


# A body that each address takes; a job, a refresh or a lease it names need not be known.
NOBODY_HOLDS = {"job_id": str(uuid5(NAMESPACE_URL, "nobody")), "lease_id": "1-aaaaaaaa"}
BODIES = {
    "POST /v1/jobs": {"tracking_url": "https://a.example/"},
    "POST /v1/jobs/<job_id>/cancel": None,
    "POST /v1/agent/lease": {"sourceless": True},
    "POST /v1/agent/renew": {"leases": [NOBODY_HOLDS]},
    "POST /v1/agent/results": {"results": [NOBODY_HOLDS | {"outcome": LANDED}]},
    "POST /v1/agent/writebacks": {
        "writebacks": [{"job_id": NOBODY_HOLDS["job_id"], "writeback": "written"}]
    },
    "POST /v1/agent/release": {"leases": [NOBODY_HOLDS]},
    "POST /v1/agent/refreshes": {"refreshes": [NOBODY_HOLDS | {"state": "read"}]},
    "POST /v1/sources": {"source_id": "src_b"},
    "PATCH /v1/sources/<source_id>": {"paused": True},
    "POST /v1/sources/<source_id>/refresh": {},
    "POST /v1/sources/<source_id>/refreshes/<refresh_id>/cancel": None,
}


def test_no_closed_address_takes_a_request_twice_bit_by_bit(service: Any) -> None:
    app: Flask = service.client.application
    rules = [rule for rule in app.url_map.iter_rules() if not rule.endpoint.startswith("health.")]
    posted = {
        f"{method} {rule.rule}"
        for rule in rules
        for method in (rule.methods or set()) & {"POST", "PATCH"}
    }
    assert posted == BODIES.keys(), "give every address that takes a body one here"

    for rule in rules:
        for method in sorted(rule.methods or ()):
            value = BODIES.get(f"{method} {rule.rule}")
            body = b"" if value is None else json.dumps(value).encode()
            target = rule.rule.replace("<job_id>", NOBODY_HOLDS["job_id"])
            target = target.replace("<source_id>", "src_a").replace("<refresh_id>", REFRESH)
            key = "ours/device" if target.startswith("/v1/agent/") else "ours"
            headers = service.signed(method, target, body, key=key, idempotency_key=new_nonce())

            first = service.send(method, target, body, headers)
            again = service.send(method, target, body, headers)

            assert first.status_code in (200, 201, 202, 404), (method, target, first.text)
            assert again.status_code == 409, f"{method} {target} lets a replay in"
            assert method == "HEAD" or problem(again).code == "nonce_replayed"


def test_a_nonce_is_spent_only_by_a_good_signature(service: Any, redis: Any) -> None:
    nonce = new_nonce()
    headers = service.signed("GET", "/v1/jobs", nonce=nonce)
    forged = headers | {"Linkrow-Signature": "v1=" + "0" * 64}
    before = redis.dbsize()

    answers = {service.send("GET", "/v1/jobs", headers=forged).status_code for _ in range(50)}

    assert answers == {401}
    assert redis.dbsize() == before
    assert service.send("GET", "/v1/jobs", headers=headers).status_code == 200


def test_a_nonce_of_one_key_says_nothing_of_anothers(service: Any) -> None:
    nonce = new_nonce()
    assert service.get("/v1/jobs", nonce=nonce).status_code == 200

    assert service.get("/v1/jobs", nonce=nonce, key="theirs").status_code == 200


def test_a_request_older_than_the_memory_of_nonces_is_refused(service: Any, redis: Any) -> None:
    now = int(datetime.now(UTC).timestamp())
    redis.set("linkrow:epoch", now)

    older = service.get("/v1/jobs", at=datetime.fromtimestamp(now - 1, UTC))
    same = service.get("/v1/jobs", at=datetime.fromtimestamp(now, UTC))

    assert problem(older).code == "stale_timestamp"
    assert same.status_code == 200


def test_a_stale_request_is_told_its_skew(service: Any) -> None:
    service.later = timedelta(hours=-1)

    told = problem(service.get("/v1/jobs"))

    assert told.code == "stale_timestamp"
    assert abs(told.model_dump()["skew_seconds"] - 3600) <= 5


# Who may.


def test_an_unknown_key_and_a_wrong_signature_cannot_be_told_apart(service: Any) -> None:
    headers = service.signed("GET", "/v1/jobs")

    unknown = service.send("GET", "/v1/jobs", headers=headers | {"Linkrow-Key": "lrk_nobody00"})
    wrong = service.send(
        "GET", "/v1/jobs", headers=headers | {"Linkrow-Signature": "v1=" + "0" * 64}
    )

    bodies = [problem(answer).model_dump(exclude={"request_id"}) for answer in (unknown, wrong)]
    assert bodies[0] == bodies[1]
    assert {*unknown.headers.keys()} == {*wrong.headers.keys()}


@pytest.mark.parametrize(
    ("key", "method", "target", "body"),
    [
        pytest.param("ours/reader", "POST", "/v1/jobs", b"{}", id="a reader submits"),
        pytest.param("ours/reader", "POST", f"/v1/jobs/{uuid4()}/cancel", b"", id="or cancels"),
        pytest.param("ours", "POST", "/v1/agent/lease", b"{}", id="a caller leases"),
        pytest.param("ours", "POST", "/v1/agent/renew", b"{}", id="or renews"),
        pytest.param("ours", "POST", "/v1/agent/results", b"{}", id="or reports"),
        pytest.param("ours", "POST", "/v1/agent/writebacks", b"{}", id="or confirms"),
        pytest.param("ours", "POST", "/v1/agent/release", b"{}", id="or releases"),
    ],
)
def test_a_key_does_only_what_its_scopes_say(
    service: Any, key: str, method: str, target: str, body: bytes
) -> None:
    headers = service.signed(method, target, body, key=key, idempotency_key="k")

    assert problem(service.send(method, target, body, headers)).code == "forbidden_scope"


def test_a_revoked_key_opens_nothing(service: Any) -> None:
    service.books.ledger.revoke_key(service.books.keys["ours"].key_id, now=datetime.now(UTC))

    assert problem(service.get("/v1/jobs")).code == "unauthorized"


def test_what_belongs_to_others_is_not_there(service: Any, job: Any) -> None:
    name = submitted(service.submit(job(refresh_id=REFRESH))).jobs[0].job_id
    service.book()

    answers = [
        service.get(f"/v1/jobs/{name}", key="theirs"),
        service.post(f"/v1/jobs/{name}/cancel", key="theirs"),
        service.get(f"/v1/sources/src_a/refreshes/{REFRESH}", key="theirs"),
        service.submit(job(), key="theirs"),
        service.post("/v1/agent/lease", {"sources": ["src_a"]}, key="theirs/device"),
    ]

    assert [problem(answer).code for answer in answers] == [
        *["not_found"] * 3,
        *["unknown_source"] * 2,
    ]
    assert service.get("/v1/jobs", key="theirs").json["items"] == []


def test_every_address_names_its_gate(service: Any) -> None:
    app: Flask = service.client.application

    for rule in app.url_map.iter_rules():
        blueprint = rule.endpoint.partition(".")[0]
        gates = app.before_request_funcs.get(blueprint, [])
        assert len(gates) == 1, f"{rule} has no gate, or more than one"
        is_open = gates[0] is requires_nothing
        assert is_open or gates[0].__qualname__.startswith("requires_signature"), rule
        assert is_open == (blueprint == "health"), f"{rule}: may anybody ask?"


def test_no_closed_address_answers_without_a_signature(service: Any) -> None:
    app: Flask = service.client.application
    seen = 0
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<job_id>", str(uuid4())).replace("<source_id>", "src_a")
        path = path.replace("<refresh_id>", REFRESH)
        for method in sorted(rule.methods or ()):
            answer = service.send(method, path, b"{}" if method == "POST" else b"")
            assert answer.status_code == (200 if path.endswith("z") else 401), (method, path)
            seen += 1

    assert seen >= 15


# Limits.


def test_a_full_queue_takes_nothing_and_says_when_to_come_back(service: Any, job: Any) -> None:
    service.books.ledger.set_plan_limits("pro", rows_per_day=None, max_depth=2)
    submitted(service.submit({"jobs": [job("r_1"), job("r_2")]}))

    answer = service.submit({"jobs": [job("r_1"), job("r_3")]})

    assert problem(answer).code == "queue_full"
    assert int(answer.headers["Retry-After"]) >= 1
    assert len(leased(service).leases) == 2


def test_a_day_has_so_many_rows_and_ends_at_midnight(service: Any, job: Any) -> None:
    service.books.ledger.set_plan_limits("pro", rows_per_day=3, max_depth=None)
    submitted(service.submit({"jobs": [job("r_1"), job("r_2")]}, idempotency_key="first"))

    over = service.submit({"jobs": [job("r_3"), job("r_4")]})
    replayed = service.submit({"jobs": [job("r_1"), job("r_2")]}, idempotency_key="first")
    last = service.submit(job("r_3"))

    assert problem(over).code == "quota_exceeded"
    assert 1 <= int(over.headers["Retry-After"]) <= 86400
    assert replayed.status_code == 202
    assert last.status_code == 202


def test_a_recorder_that_fell_behind_stops_the_intake(
    books: Any, redis: Any, job: Any, make_service: Any, begin: Callable[[Broker], None]
) -> None:
    broker = Broker(redis, settings=QueueSettings(backlog_limit=1))
    begin(broker)
    service = make_service(books, broker)
    while True:
        answer = service.submit(job(f"r_{uuid4()}"))
        if answer.status_code != 202:
            break

    assert problem(answer).code == "recorder_behind"
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_redis_whose_life_has_not_begun_takes_nothing(service: Any, redis: Any, job: Any) -> None:
    redis.delete("linkrow:epoch")

    answer = service.submit(job())

    assert problem(answer).code == "rebuilding"
    assert int(answer.headers["Retry-After"]) >= 1


# Reading.


def test_a_job_that_has_ended_long_ago_is_read_from_the_books(
    service: Any, redis: Any, job: Any
) -> None:
    name = submitted(service.submit(job())).jobs[0].job_id
    report(service, leased(service).leases[0])
    service.book()
    before = service.get(f"/v1/jobs/{name}").json
    for key in redis.keys(f"*{name}*"):
        redis.delete(key)

    after = service.get(f"/v1/jobs/{name}").json

    assert after == before
    assert after["conclusion"] == "valid"


def test_a_list_shows_what_the_books_do_not_know_yet(service: Any, job: Any) -> None:
    submitted(service.submit(job()))
    service.book()
    report(service, leased(service).leases[0])

    items = service.get("/v1/jobs").json["items"]

    assert [item["status"] for item in items] == ["done"]


def test_a_list_is_read_page_by_page_newest_first(service: Any, job: Any) -> None:
    for number in range(5):
        submitted(service.submit(job(f"r_{number}")))
    service.book()

    rows: list[str] = []
    target = "/v1/jobs?limit=2"
    pages = 0
    while target:
        answer = service.get(target).json
        rows += [item["row_id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
        target = f"/v1/jobs?limit=2&cursor={cursor}" if cursor else ""
        pages += 1

    assert rows == ["r_4", "r_3", "r_2", "r_1", "r_0"]
    assert pages == 3


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("source_id=src_b", ["r_9"]),
        ("row_id=r_1", ["r_1"]),
        ("status=queued", ["r_9", "r_2"]),
        ("status=done&conclusion=valid", ["r_1"]),
        (f"refresh_id={REFRESH}", ["r_2"]),
        ("conclusion=timeout", []),
    ],
)
def test_a_list_is_filtered(service: Any, job: Any, query: str, rows: list[str]) -> None:
    submitted(service.submit(job("r_1")))
    report(service, leased(service).leases[0])
    submitted(service.submit(job("r_2", refresh_id=REFRESH)))
    submitted(service.submit(job("r_9", source_id="src_b")))
    service.book()

    items = service.get(f"/v1/jobs?{query}").json["items"]

    assert [item["row_id"] for item in items] == rows


@pytest.mark.parametrize(
    ("target", "pointer"),
    [
        ("/v1/jobs?colour=red", "?colour"),
        ("/v1/jobs?limit=0", "?limit"),
        ("/v1/jobs?limit=1001", "?limit"),
        ("/v1/jobs?limit=1e2", "?limit"),
        ("/v1/jobs?limit=", "?limit"),
        ("/v1/jobs?limit=1&limit=2", "?limit"),
        ("/v1/jobs?status=finished", "?status"),
        ("/v1/jobs?conclusion=good", "?conclusion"),
        ("/v1/jobs?source_id=src_a%00", "?source_id"),
        ("/v1/jobs?row_id=", "?row_id"),
        ("/v1/jobs?row_id=r%00", "?row_id"),
        ("/v1/jobs?refresh_id=1", "?refresh_id"),
        (f"/v1/jobs/{'0' * 8}-0000-5000-8000-{'0' * 12}?wait=26", "?wait"),
        (f"/v1/jobs/{'0' * 8}-0000-5000-8000-{'0' * 12}?wait=-1", "?wait"),
        (f"/v1/jobs/{'0' * 8}-0000-5000-8000-{'0' * 12}?waiting=1", "?waiting"),
    ],
)
def test_a_query_is_read_strictly(service: Any, target: str, pointer: str) -> None:
    told = problem(service.get(target))

    assert told.code == "invalid_request"
    assert [fault.pointer for fault in told.errors or ()] == [pointer]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%E2%98%83",
        "W10",  # []
        "WzEsMl0",  # [1,2]
        "WyJhIiwgImIiXQ",  # ["a", "b"]
        "W05hTiwgIngiXQ",  # [NaN, "x"]
        "WzEsICJcdTAwMDAiXQ",  # [1, "\u0000"]
        "WzFlOTk5OSwgIngiXQ",  # [1e9999, "x"]
        "W1tbW1tb",
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(any_service: Any, cursor: str) -> None:
    assert problem(any_service.get(f"/v1/jobs?cursor={cursor}")).code == "invalid_request"


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "%E2%98%83",
        "0" * 36,
        f"{'0' * 8}-0000-4000-8000-{'0' * 12}",
        "a" * 5000,
        "..%2f..",
        "%00",
    ],
)
def test_what_is_no_job_id_is_not_found(service: Any, name: str) -> None:
    assert problem(service.get(f"/v1/jobs/{name}")).code == "not_found"


# Canceling.


def test_a_canceled_job_ends_and_cannot_end_again(service: Any, job: Any) -> None:
    name = submitted(service.submit(job())).jobs[0].job_id

    canceled = service.post(f"/v1/jobs/{name}/cancel")
    again = service.post(f"/v1/jobs/{name}/cancel")

    assert (canceled.json["status"], canceled.json["conclusion"]) == ("canceled", "canceled")
    assert canceled.json["check_status"] == "skipped"
    assert problem(again).code == "already_final"
    assert leased(service).leases == []


def test_a_job_that_only_the_books_remember_has_ended(service: Any, redis: Any, job: Any) -> None:
    name = submitted(service.submit(job(None))).jobs[0].job_id
    report(service, leased(service, sources=[], sourceless=True).leases[0])
    service.book()
    redis.delete(f"rq:job:{name}")

    assert problem(service.post(f"/v1/jobs/{name}/cancel")).code == "already_final"


# What nobody planned.


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/", "not_found"),
        ("GET", "/v2/jobs", "not_found"),
        ("GET", "/v1/jobs/", "not_found"),
        ("POST", "/v1//jobs", "not_found"),
        ("GET", "/v1/%6Aobs/x/y", "not_found"),
        ("PUT", "/v1/jobs", "method_not_allowed"),
        ("OPTIONS", "/v1/jobs", "method_not_allowed"),
        ("POST", "/healthz", "method_not_allowed"),
        ("TRACE", "/v1/agent/lease", "method_not_allowed"),
    ],
)
def test_an_address_that_is_none_is_a_problem_too(
    service: Any, method: str, target: str, code: str
) -> None:
    answer = service.send(method, target)

    assert problem(answer).code == code
    assert ("Allow" in answer.headers) == (code == "method_not_allowed")


def test_an_accident_says_nothing_but_its_number(
    service: Any, job: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the innermost secret")

    monkeypatch.setattr(service.broker, "admit", explode)
    secret = service.books.keys["ours"].secret

    with caplog.at_level(logging.DEBUG):
        answer = service.submit(job(offer_name="a marketer's secret"))

    told = problem(answer)
    assert told.code == "internal_error"
    assert "innermost" not in answer.text
    assert told.request_id in caplog.text
    assert "the innermost secret" in caplog.text
    assert secret not in caplog.text
    assert "a marketer's secret" not in caplog.text
    assert request_headers_of(caplog) == []


def request_headers_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.text.splitlines() if "Linkrow-Signature" in line]


def test_every_way_the_queue_says_no_has_an_answer(service: Any, monkeypatch: Any) -> None:
    examples = [
        queue_errors.NonceReplayed(),
        queue_errors.SignedBeforeEpoch(),
        queue_errors.IdempotencyKeyReused(),
        queue_errors.QueueFull(),
        queue_errors.QuotaExceeded(5),
        queue_errors.UnknownSource("src_x"),
        queue_errors.AlreadyFinal("x"),
        queue_errors.SourcePaused("src_x"),
        queue_errors.RefreshRunning("src_x", "rf_1"),
        queue_errors.RefreshIsOver("rf_1", RefreshState.DONE),
        queue_errors.RecorderBehind(),
        queue_errors.Rebuilding(),
        queue_errors.RedisUnsafe("it forgets", "do not let it"),
        queue_errors.RedisUnavailable("ConnectionError: redis.internal:6379"),
    ]
    assert {type(each) for each in examples} == set(queue_errors.QueueError.__subclasses__())

    for error in examples:

        def refuse(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(service.broker, "spend_nonce", refuse)
        answer = service.get("/v1/jobs")
        told = problem(answer)
        assert told.code != "internal_error", error
        assert ("Retry-After" in answer.headers) == (told.status in (429, 503)), error
        assert "redis.internal" not in answer.text


# Health.


def test_health_and_readiness_are_for_everybody(service: Any) -> None:
    alive, ready = service.send("GET", "/healthz"), service.send("GET", "/readyz")

    assert (alive.status_code, alive.json["status"]) == (200, "ok")
    assert (ready.status_code, ready.json) == (200, {"status": "ok", "problems": []})


def test_readiness_names_what_is_in_the_way(service: Any, redis: Any) -> None:
    redis.delete("linkrow:epoch")
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        unsafe = service.send("GET", "/readyz")
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
    unopened = service.send("GET", "/readyz")

    assert unsafe.status_code == unopened.status_code == 503
    assert "noeviction" in unsafe.json["problems"][0]
    assert "clock" in unopened.json["problems"][0]
