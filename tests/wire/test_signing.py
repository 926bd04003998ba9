"""Signing: one form, over the bytes that travel, checked against published vectors."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from wire.errors import BadSignature, Malformed, OutsideWindow
from wire.signing import (
    Credentials,
    SignedHeaders,
    base_string,
    new_nonce,
    sign_request,
    sign_webhook,
    verify_request,
)

VECTORS = json.loads(
    (Path(__file__).parents[1] / "cases" / "signing_vectors.json").read_text("utf-8")
)
REQUESTS = [vector for vector in VECTORS if vector["kind"] == "request"]
WEBHOOKS = [vector for vector in VECTORS if vector["kind"] == "webhook"]
NOW = datetime.fromtimestamp(1_795_200_000, UTC)
CREDENTIALS = Credentials(key_id="lrk_abcdefgh12345678", secret="lrs_secret")


def fields(vector: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": vector["method"],
        "target": vector["target"],
        "timestamp": vector["timestamp"],
        "nonce": vector["nonce"],
        "idempotency_key": vector["idempotency_key"],
        "body": bytes.fromhex(vector["body_hex"]),
    }


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector["note"])
def test_a_request_is_signed_as_published(vector: dict[str, Any]) -> None:
    given = fields(vector)

    assert base_string(**given).decode() == vector["base_string"]
    headers = sign_request(
        Credentials(key_id="lrk_abcdefgh", secret=vector["secret"]),
        method=given["method"],
        target=given["target"],
        body=given["body"],
        now=datetime.fromtimestamp(vector["timestamp"], UTC),
        nonce=vector["nonce"],
        idempotency_key=vector["idempotency_key"],
    )
    assert headers["Linkrow-Signature"] == vector["signature"]
    assert ("Idempotency-Key" in headers) == bool(vector["idempotency_key"])


@pytest.mark.parametrize("vector", WEBHOOKS, ids=lambda vector: vector["note"])
def test_a_webhook_is_signed_as_published(vector: dict[str, Any]) -> None:
    now = datetime.fromtimestamp(vector["t"], UTC)

    assert sign_webhook(vector["secret"], body=vector["body"].encode(), now=now) == vector["header"]


REQUEST = {"method": "POST", "target": "/v1/jobs?a=1", "body": b'{"a":1}'}


def signed(**more: Any) -> SignedHeaders:
    given = REQUEST | {"now": NOW, "idempotency_key": "order-42"} | more
    return SignedHeaders.from_headers(sign_request(CREDENTIALS, **given))


def check(
    headers: SignedHeaders,
    *,
    now: datetime = NOW,
    secrets: tuple[str, ...] = ("lrs_secret",),
    **more: Any,
) -> None:
    verify_request(headers, secrets_=secrets, now=now, **(REQUEST | more))


def test_a_genuine_request_is_accepted_by_any_of_several_secrets() -> None:
    check(signed())
    check(signed(), secrets=("lrs_new", "lrs_secret", "lrs_old"))


@pytest.mark.parametrize(
    "secrets", [(), ("lrs_other",), ("lrs_ünïcode",)], ids=["none", "another", "no ASCII"]
)
def test_a_secret_that_did_not_sign_is_refused(secrets: tuple[str, ...]) -> None:
    with pytest.raises(BadSignature):
        check(signed(), secrets=secrets)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_clocks_may_differ_by_five_minutes_both_ways(seconds: int) -> None:
    check(signed(), now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-301, 301, 10**8])
def test_beyond_that_a_genuine_request_is_told_how_far_off_it_is(seconds: int) -> None:
    with pytest.raises(OutsideWindow) as refusal:
        check(signed(), now=NOW + timedelta(seconds=seconds))

    assert refusal.value.age == timedelta(seconds=seconds)


def test_a_stranger_learns_nothing_about_clocks() -> None:
    with pytest.raises(BadSignature) as refusal:
        check(signed(), secrets=("lrs_other",), now=NOW + timedelta(days=1))

    assert not isinstance(refusal.value, OutsideWindow)


@pytest.mark.parametrize(
    "field", ["method", "target", "timestamp", "nonce", "idempotency_key", "body", "signature"]
)
def test_a_change_in_any_signed_field_is_refused(field: str) -> None:
    random = Random(field)
    headers = signed()
    given = {
        "method": "POST", "target": "/v1/jobs?a=1", "body": b'{"a":1}',
        "timestamp": headers.timestamp, "nonce": headers.nonce,
        "idempotency_key": headers.idempotency_key, "signature": headers.signature,
    }  # fmt: skip
    for _ in range(200):
        changed = dict(given)
        changed[field] = mutated(given[field], random)
        altered = SignedHeaders(
            key_id=headers.key_id,
            **{
                name: changed[name]
                for name in ("timestamp", "nonce", "idempotency_key", "signature")
            },
        )
        with pytest.raises(BadSignature):
            verify_request(
                altered, secrets_=("lrs_secret",), now=NOW, tolerance=timedelta(days=10**5),
                **{name: changed[name] for name in ("method", "target", "body")},
            )  # fmt: skip


def mutated(value: Any, random: Random) -> Any:
    if isinstance(value, int):
        return value + random.choice([-1, 1]) * random.randint(1, 10**6)
    if isinstance(value, bytes):
        return mutated(value.decode(), random).encode()
    at = random.randrange(len(value))
    other = random.choice([letter for letter in "abcXYZ0189-_" if letter != value[at]])
    return random.choice(
        [value[:at] + other + value[at + 1 :], value + other, value[:at] + value[at + 1 :]]
    )


GOOD = sign_request(CREDENTIALS, now=NOW, idempotency_key="k", **REQUEST)


@pytest.mark.parametrize(
    "name", ["Linkrow-Key", "Linkrow-Timestamp", "Linkrow-Nonce", "Linkrow-Signature"]
)
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "garbage",
        "1e9",
        "☃",
        "a,b",
        " x",
        "x\ny",
        "-1",
        "0" * 10,
        "9" * 11,
        "v1=" + "A" * 64,
    ],
)
def test_headers_without_the_right_form_are_malformed_and_nothing_else(
    name: str, value: str | None
) -> None:
    headers = {key: text for key, text in GOOD.items() if key != name}
    if value is not None:
        headers[name] = value

    with pytest.raises(Malformed) as refusal:
        SignedHeaders.from_headers(headers)

    assert refusal.value.what == name


@pytest.mark.parametrize("value", ["", "a,b", "a b", "ü", "x" * 256, "a\n"])
def test_an_idempotency_key_has_a_form_too(value: str) -> None:
    with pytest.raises(Malformed):
        SignedHeaders.from_headers(GOOD | {"Idempotency-Key": value})


@pytest.mark.parametrize("value", ["x", '"order-42"', "!+-~", "x" * 255])
def test_an_idempotency_key_may_be_any_printable_word(value: str) -> None:
    assert SignedHeaders.from_headers(GOOD | {"Idempotency-Key": value}).idempotency_key == value


def test_a_target_no_header_can_hold_is_a_bad_signature_not_a_crash() -> None:
    with pytest.raises(BadSignature):
        check(signed(), target="/☃")


def test_nonces_have_their_form_and_never_repeat() -> None:
    nonces = {new_nonce() for _ in range(1000)}

    assert len(nonces) == 1000
    for nonce in nonces:
        SignedHeaders.from_headers(GOOD | {"Linkrow-Nonce": nonce})


def test_secrets_are_in_no_repr() -> None:
    assert "lrs_secret" not in repr(CREDENTIALS)
    assert signed().signature not in repr(signed())
