"""The gate's decisions, without a network, a queue or a clock."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.gate import (
    _DUMMY,
    Arrival,
    parse_json,
    read_headers,
    read_jobs,
    read_shape,
    verify,
)
from relay.refusals import Refusal
from wire import signing
from wire.models import LeaseRequest, ResultsRequest
from wire.signing import (
    IDEMPOTENCY_HEADER,
    KEY_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Credentials,
    sign_request,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
CREDENTIALS = Credentials(key_id="lrk_test0000", secret="lrs_very_secret")
BODY = b'{"tracking_url":"https://trk.example/a"}'
LINK = '"tracking_url":"https://trk.example/a"'


def arrival(
    *,
    method: str = "POST",
    target: str = "/v1/jobs",
    body: bytes = BODY,
    at: datetime = NOW,
    secret: str = CREDENTIALS.secret,
    idempotency_key: str = "order-42",
) -> Arrival:
    headers = sign_request(
        Credentials(key_id=CREDENTIALS.key_id, secret=secret),
        method=method,
        target=target,
        body=body,
        now=at,
        idempotency_key=idempotency_key,
    )
    return Arrival(method=method, target=target, headers=headers, body=body)


def judged(came: Arrival, *, secrets: tuple[str, ...] | None = (CREDENTIALS.secret,)) -> str:
    try:
        verify(came, read_headers(came), secrets, now=NOW)
    except Refusal as refusal:
        return refusal.problem.code
    return "ok"


def changed(came: Arrival, **changes: Any) -> Arrival:
    headers = dict(came.headers) | changes.pop("headers", {})
    given = {"method": came.method, "target": came.target, "body": came.body} | changes
    return Arrival(headers={name: v for name, v in headers.items() if v is not None}, **given)


def refused(decide: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as excinfo:
        decide()
    return excinfo.value


# Signatures.


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        pytest.param(-301, "stale_timestamp", id="too old"),
        pytest.param(-300, "ok", id="just young enough"),
        pytest.param(0, "ok", id="now"),
        pytest.param(300, "ok", id="a clock that is ahead"),
        pytest.param(301, "stale_timestamp", id="from the future"),
    ],
)
def test_a_request_is_fresh_for_five_minutes_on_both_sides(seconds: int, verdict: str) -> None:
    came = arrival(at=NOW + timedelta(seconds=seconds))

    assert judged(came) == verdict


def test_a_stale_request_is_told_by_how_much_its_clock_is_wrong() -> None:
    came = arrival(at=NOW - timedelta(seconds=3600))

    refusal = refused(lambda: verify(came, read_headers(came), (CREDENTIALS.secret,), now=NOW))

    assert json.loads(refusal.body("r"))["skew_seconds"] == 3600


def test_only_a_holder_of_the_secret_learns_about_clocks() -> None:
    came = arrival(at=NOW - timedelta(seconds=3600), secret="lrs_wrong")

    assert judged(came) == "unauthorized"


def test_an_unknown_key_and_a_wrong_signature_get_the_same_answer() -> None:
    came = arrival()
    wrong = arrival(secret="lrs_wrong")

    unknown_key = refused(lambda: verify(came, read_headers(came), None, now=NOW))
    wrong_signature = refused(
        lambda: verify(wrong, read_headers(wrong), (CREDENTIALS.secret,), now=NOW)
    )

    assert unknown_key.body("r") == wrong_signature.body("r")


@pytest.mark.parametrize("seconds", [0, 3600], ids=["fresh", "stale"])
def test_the_secret_that_unknown_keys_are_measured_with_opens_nothing(seconds: int) -> None:
    came = arrival(secret=_DUMMY, at=NOW - timedelta(seconds=seconds))

    assert judged(came, secrets=None) == "unauthorized"
    assert judged(came, secrets=()) == "unauthorized"


def test_an_unknown_key_costs_as_many_signatures_as_a_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    really = signing.signature

    def counted(secret: str, message: bytes) -> str:
        made.append(secret)
        return really(secret, message)

    came = arrival(secret="lrs_wrong")
    monkeypatch.setattr(signing, "signature", counted)

    costs = []
    for secrets in (None, (CREDENTIALS.secret,)):
        made.clear()
        assert judged(came, secrets=secrets) == "unauthorized"
        costs.append(len(made))

    assert costs == [1, 1]


def test_each_live_secret_of_a_key_is_good() -> None:
    came = arrival(secret="lrs_older")

    assert judged(came, secrets=("lrs_newer", "lrs_older")) == "ok"


def _mutated(came: Arrival, part: str, chance: random.Random) -> Arrival:
    def flipped(text: str, letters: str = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789") -> str:
        at = chance.randrange(len(text))
        other = chance.choice([letter for letter in letters if letter != text[at]])
        return text[:at] + other + text[at + 1 :]

    headers = came.headers
    match part:
        case "method":
            return changed(came, method=chance.choice(["GET", "PUT", "PATCH", "DELETE", "post"]))
        case "target":
            return changed(came, target="/" + flipped(came.target[1:]))
        case "body":
            at = chance.randrange(len(came.body))
            byte = bytes([came.body[at] ^ (1 << chance.randrange(8))])
            return changed(came, body=came.body[:at] + byte + came.body[at + 1 :])
        case "timestamp":
            other = int(headers[TIMESTAMP_HEADER]) + chance.choice([-1, 1]) * chance.randint(1, 299)
            return changed(came, headers={TIMESTAMP_HEADER: str(other)})
        case "nonce":
            return changed(came, headers={NONCE_HEADER: flipped(headers[NONCE_HEADER])})
        case "idempotency key":
            return changed(came, headers={IDEMPOTENCY_HEADER: flipped(headers[IDEMPOTENCY_HEADER])})
    prefix, digits = headers[SIGNATURE_HEADER].split("=")
    return changed(
        came, headers={SIGNATURE_HEADER: f"{prefix}={flipped(digits, '0123456789abcdef')}"}
    )


@pytest.mark.parametrize(
    "part",
    ["method", "target", "body", "timestamp", "nonce", "idempotency key", "signature"],
)
def test_a_request_in_which_anything_was_changed_is_refused(part: str) -> None:
    chance = random.Random(part)
    came = arrival()
    assert judged(came) == "ok"

    verdicts = {judged(_mutated(came, part, chance)) for _ in range(200)}

    assert verdicts == {"unauthorized"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({KEY_HEADER: None}, "unauthorized", id="no key"),
        pytest.param({TIMESTAMP_HEADER: None}, "unauthorized", id="no timestamp"),
        pytest.param({NONCE_HEADER: None}, "unauthorized", id="no nonce"),
        pytest.param({SIGNATURE_HEADER: None}, "unauthorized", id="no signature"),
        pytest.param({KEY_HEADER: "lrk_test0000,lrk_test0000"}, "unauthorized", id="key twice"),
        pytest.param({TIMESTAMP_HEADER: "1795176000,1795176000"}, "unauthorized", id="time twice"),
        pytest.param({TIMESTAMP_HEADER: "1e9"}, "unauthorized", id="a float for a timestamp"),
        pytest.param(
            {TIMESTAMP_HEADER: "\N{FULLWIDTH DIGIT ONE}795176000"}, "unauthorized", id="wide digits"
        ),
        pytest.param({NONCE_HEADER: "n" * 16 + "," + "n" * 16}, "unauthorized", id="nonce twice"),
        pytest.param({NONCE_HEADER: "short"}, "unauthorized", id="a short nonce"),
        pytest.param({NONCE_HEADER: "n" * 65}, "unauthorized", id="a long nonce"),
        pytest.param({NONCE_HEADER: "snowman-snowman-☃"}, "unauthorized", id="a snowman"),
        pytest.param({SIGNATURE_HEADER: "v1=" + "A" * 64}, "unauthorized", id="upper-case hex"),
        pytest.param({SIGNATURE_HEADER: "v0=" + "a" * 64}, "unauthorized", id="another version"),
        pytest.param({IDEMPOTENCY_HEADER: "a,a"}, "invalid_request", id="idempotency key twice"),
        pytest.param({IDEMPOTENCY_HEADER: ""}, "invalid_request", id="an empty idempotency key"),
        pytest.param({IDEMPOTENCY_HEADER: "k" * 256}, "invalid_request", id="a long one"),
    ],
)
def test_a_header_that_has_not_its_form_is_refused(headers: dict[str, str], code: str) -> None:
    assert judged(changed(arrival(), headers=headers)) == code


def test_a_missing_header_is_named() -> None:
    refusal = refused(lambda: read_headers(changed(arrival(), headers={NONCE_HEADER: None})))

    assert NONCE_HEADER in refusal.detail


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("http://relay.example/v1/jobs", id="absolute form"),
        pytest.param("*", id="asterisk form"),
        pytest.param("", id="nothing"),
        pytest.param("/v1/jobs?x=1", id="a query on a POST"),
        pytest.param("/v1/jobs?", id="an empty query on a POST"),
    ],
)
def test_a_target_with_two_readings_is_refused(target: str) -> None:
    assert judged(arrival(target=target)) == "invalid_request"


# JSON.


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half an object"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param('{"a":"ä"}'.encode("latin-1"), id="latin-1"),
        pytest.param("{}".encode("utf-16"), id="utf-16"),
        pytest.param(b'{"a":1,"a":1}', id="a name twice"),
        pytest.param(b'{"a":[{"b":1,"\\u0062":2}]}', id="a name twice, spelled differently"),
        pytest.param(b'{"a":NaN}', id="not a number"),
        pytest.param(b'{"a":-Infinity}', id="infinity"),
        pytest.param(b'{"a":1e999}', id="infinity in digits"),
        pytest.param(b'{"a":' + b"9" * 17 + b"}", id="a number no double holds"),
        pytest.param(b'{"a":' + b"9" * 100_000 + b"}", id="a hundred thousand digits"),
        pytest.param(b'{"a":"\\ud83d"}', id="half a snowman"),
        pytest.param(b'{"\\udc00":1}', id="the other half as a name"),
        pytest.param(b"[" * 33 + b"]" * 33, id="33 deep"),
        pytest.param(b'{"a":' * 33 + b"1" + b"}" * 33, id="33 objects deep"),
        pytest.param(b"[" * 500_000, id="half a million deep"),
        pytest.param(b'{"a":"\x01"}', id="a raw control character"),
        pytest.param(b'{"a":01}', id="a leading zero"),
        pytest.param(b"{'a':1}", id="single quotes"),
    ],
)
def test_json_with_two_readings_or_none_is_refused(body: bytes) -> None:
    refusal = refused(lambda: parse_json(body, "application/json"))

    assert refusal.problem.code == "invalid_request"
    assert refusal.errors[0].pointer == ""
    assert refusal.body("r")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(b"[" * 32 + b"]" * 32, None, id="32 deep"),
        pytest.param(b'{"a":"' + b"[{" * 100 + b'"}', {"a": "[{" * 100}, id="brackets in text"),
        pytest.param(b'{"a":"\\"[[\\\\"}', {"a": '"[[\\'}, id="escaped quotes"),
        pytest.param(b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}, id="a whole surrogate pair"),
        pytest.param(b'{"a":"\\\\ud83d"}', {"a": "\\ud83d"}, id="a backslash and letters"),
        pytest.param(b' {"a": 9007199254740991}\r\n', {"a": 9007199254740991}, id="white space"),
        pytest.param(b'{"a":1.5e3}', {"a": 1500.0}, id="a fraction"),
    ],
)
def test_json_with_one_reading_is_read(body: bytes, value: object) -> None:
    read = parse_json(body, "application/json; charset=utf-8")

    assert value is None or read == value


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'"' + b'\\"' * 500_000, id="a string without an end"),
        pytest.param(b'{"a":"' * 150_000, id="many beginnings"),
        pytest.param(b'"' * 1_000_001, id="nothing but quotes"),
        pytest.param(b"\\" * 1_000_001, id="nothing but backslashes"),
    ],
)
def test_a_megabyte_of_spite_costs_no_more_than_a_megabyte_of_links(body: bytes) -> None:
    # Were a byte looked at twice for every quote before it, this would take an hour: the suite's
    # time limit is the assertion.
    assert refused(lambda: parse_json(body, "application/json")).problem.code == "invalid_request"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "☃"])
def test_a_body_that_does_not_say_it_is_json_is_refused(kind: str) -> None:
    refusal = refused(lambda: parse_json(b"{}", kind))

    assert refusal.problem.code == "unsupported_media_type"


# Shapes.


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        pytest.param("[]", [""], id="a list"),
        pytest.param("{}", ["/tracking_url"], id="nothing in it"),
        pytest.param('{"jobs":[]}', ["/jobs"], id="no jobs"),
        pytest.param('{"jobs":{}}', ["/jobs"], id="jobs that are no list"),
        pytest.param(f'{{"jobs":[{{{LINK}}}],"x":1}}', ["/x"], id="an unknown field beside them"),
        pytest.param(f'{{{LINK},"x/y~z":1}}', ["/x~1y~0z"], id="an unknown field of odd name"),
        pytest.param(
            f'{{"jobs":[{{{LINK}}},{{"tier":"gold"}}]}}',
            ["/jobs/1/tracking_url", "/jobs/1/tier"],
            id="two faults in the second",
        ),
        pytest.param(
            f'{{{LINK},"trackingUrl":"https://b.example/"}}', ["/tracking_url"], id="both names"
        ),
        pytest.param(f'{{{LINK},"row_id":"r_1"}}', [""], id="a row of no source"),
        pytest.param(f'{{{LINK},"source_id":"sheet"}}', ["/source_id"], id="no source id"),
        pytest.param(f'{{{LINK},"source_id":"src_a\\n"}}', ["/source_id"], id="a line end"),
        pytest.param(f'{{{LINK},"expires_in":0}}', ["/expires_in"], id="expired at birth"),
        pytest.param(f'{{{LINK},"refresh_id":"rf_1"}}', ["/refresh_id"], id="no refresh id"),
        pytest.param('{"tracking_url":"www.example.com"}', ["/tracking_url"], id="no scheme"),
        pytest.param('{"tracking_url":"javascript:alert(1)"}', ["/tracking_url"], id="a script"),
        pytest.param(
            '{"tracking_url":"https://u:p@a.example/"}', ["/tracking_url"], id="a password"
        ),
        pytest.param('{"tracking_url":" https://a.example/"}', ["/tracking_url"], id="a space"),
        pytest.param(
            json.dumps({"tracking_url": "https://a.example/" + "a" * 9000}),
            ["/tracking_url"],
            id="9,000 characters",
        ),
        pytest.param(
            json.dumps({"tracking_url": "https://a.example/", "context": "ä" * 1024}),
            ["/context"],
            id="a context of more than 2 KiB",
        ),
        pytest.param(
            json.dumps(
                {
                    "jobs": [
                        {"tracking_url": "https://a.example/", "source_id": "src_a", "row_id": row}
                        for row in ("r_1", "r_2", "r_1")
                    ]
                }
            ),
            ["/jobs/2/row_id"],
            id="a row twice",
        ),
    ],
)
def test_every_fault_of_a_submission_is_named_by_its_pointer(
    body: str, pointers: list[str]
) -> None:
    refusal = refused(lambda: read_jobs(parse_json(body.encode(), "application/json")))

    assert refusal.problem.code == "invalid_request"
    assert [fault.pointer for fault in refusal.errors] == pointers
    assert all(fault.detail for fault in refusal.errors)


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"webhook_url": "https://hook.example/"}, "/webhook_url"),
        ({"max_age_seconds": 60}, "/max_age_seconds"),
    ],
    ids=["a webhook", "a cached answer"],
)
def test_what_is_not_there_yet_is_refused_by_name(more: dict[str, Any], pointer: str) -> None:
    refusal = refused(lambda: read_jobs({"tracking_url": "https://a.example/", **more}))

    assert refusal.problem.code == "not_available"
    assert [fault.pointer for fault in refusal.errors] == [pointer]


def test_one_job_and_a_list_of_one_are_the_same() -> None:
    job = {"trackingUrl": "https://a.example/", "maxAgeSeconds": 0, "context": {"n": [1, None]}}

    assert read_jobs(job) == read_jobs({"jobs": [job]})


def test_one_row_id_in_two_sources_is_two_rows() -> None:
    jobs = [
        {"tracking_url": "https://a.example/", "source_id": source, "row_id": "r_1"}
        for source in ("src_a", "src_b")
    ]

    assert len(read_jobs({"jobs": jobs})) == 2


def test_a_thousand_jobs_are_taken_and_one_more_is_not() -> None:
    jobs = [{"tracking_url": "https://a.example/"}] * 1000

    assert len(read_jobs({"jobs": jobs})) == 1000
    assert refused(lambda: read_jobs({"jobs": [*jobs, jobs[0]]})).errors[0].pointer == "/jobs"


def test_no_refusal_lists_more_than_fifty_faults() -> None:
    refusal = refused(lambda: read_jobs({"jobs": [{"tracking_url": "nowhere"}] * 1000}))

    assert len(refusal.errors) == 50


@pytest.mark.parametrize(
    ("shape", "value", "pointer"),
    [
        pytest.param(LeaseRequest, {"max": 5}, "", id="a lease of nothing"),
        pytest.param(
            LeaseRequest,
            {"sourceless": True, "wait_seconds": 26},
            "/wait_seconds",
            id="a long wait",
        ),
        pytest.param(LeaseRequest, {"sourceless": True, "max": 0}, "/max", id="no work at all"),
        pytest.param(ResultsRequest, {"results": []}, "/results", id="no results"),
        pytest.param(ResultsRequest, {"results": [{}]}, "/results/0/job_id", id="an empty result"),
        pytest.param(
            ResultsRequest,
            {
                "results": [
                    {
                        "job_id": "00000000-0000-5000-8000-000000000000",
                        "lease_id": "1-abcdefgh",
                        "outcome": {"status": "done", "conclusion": "timeout"},
                    }
                ]
            },
            "/results/0/outcome",
            id="an ending that is none",
        ),
    ],
)
def test_what_agents_send_is_held_to_its_shape(shape: Any, value: object, pointer: str) -> None:
    assert refused(lambda: read_shape(shape, value)).errors[0].pointer == pointer


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "", "☃", [], [[]], {"": ""}, {"jobs": "☃"}])
def test_any_json_at_all_is_read_or_refused(value: object) -> None:
    assert refused(lambda: read_jobs(value)).problem.code == "invalid_request"
