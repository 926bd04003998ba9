"""Sign a request, verify a request, sign a webhook: once, over the bytes that travel.

What is signed is what is sent: the request-target as it stands in the request line, header values
as they stand in the headers, the raw body. Nothing is canonicalised, so nothing can be
canonicalised differently at the other end.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from wire.errors import BadSignature, Malformed, OutsideWindow

LABEL: Final = b"LINKROW-HMAC-SHA256"
TOLERANCE: Final = timedelta(seconds=300)

KEY_HEADER: Final = "Linkrow-Key"
TIMESTAMP_HEADER: Final = "Linkrow-Timestamp"
NONCE_HEADER: Final = "Linkrow-Nonce"
SIGNATURE_HEADER: Final = "Linkrow-Signature"
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"
HEADERS: Final = (
    KEY_HEADER,
    TIMESTAMP_HEADER,
    NONCE_HEADER,
    IDEMPOTENCY_HEADER,
    SIGNATURE_HEADER,
)
"""Every header that has to do with a signature."""

_KEY = re.compile(r"lrk_[A-Za-z0-9]{8,64}", re.ASCII)
_TIMESTAMP = re.compile(r"[1-9][0-9]{9}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[!-+\--~]{1,255}", re.ASCII)
_SIGNATURE = re.compile(r"v1=([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A key and its secret, as a caller or a device holds them."""

    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeaders:
    """The five values that make a request a signed one, checked for form but not for truth."""

    key_id: str
    timestamp: int
    nonce: str
    idempotency_key: str
    signature: str = field(repr=False)

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "SignedHeaders":
        """Read them out of *headers* (any mapping that ignores case). Raises Malformed."""
        key = _required(headers, KEY_HEADER, _KEY, "expected lrk_ and letters or digits")
        timestamp = _required(headers, TIMESTAMP_HEADER, _TIMESTAMP, "expected unix seconds")
        nonce = _required(headers, NONCE_HEADER, _NONCE, "expected 16 to 64 of A-Z a-z 0-9 _ -")
        signature = _required(
            headers, SIGNATURE_HEADER, _SIGNATURE, "expected v1= and 64 lower-case hex digits"
        )
        idempotency_key = headers.get(IDEMPOTENCY_HEADER)
        if idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise Malformed(
                IDEMPOTENCY_HEADER,
                "expected 1 to 255 of printable ASCII, no space or comma",
            )
        return cls(
            key_id=key,
            timestamp=int(timestamp),
            nonce=nonce,
            idempotency_key=idempotency_key or "",
            signature=signature,
        )


def _required(
    headers: Mapping[str, str], name: str, pattern: re.Pattern[str], expected: str
) -> str:
    value = headers.get(name)
    if value is None:
        raise Malformed(name, "missing")
    if not pattern.fullmatch(value):
        raise Malformed(name, expected)
    return value


def base_string(
    *, method: str, target: str, timestamp: int, nonce: str, idempotency_key: str, body: bytes
) -> bytes:
    """The bytes that are signed. *target* is the request-target as sent, query string included."""
    return b"\n".join(
        (
            LABEL,
            method.encode("ascii"),
            # A request-target is ASCII by RFC 9112; what is not was put there by a stranger, and
            # WSGI hands it over as Latin-1.
            target.encode("latin-1"),
            str(timestamp).encode("ascii"),
            nonce.encode("ascii"),
            idempotency_key.encode("ascii"),
            hashlib.sha256(body).hexdigest().encode("ascii"),
        )
    )


def signature(secret: str, message: bytes) -> str:
    """``v1=<hex>`` of *message* under *secret*."""
    return "v1=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def sign_request(
    credentials: Credentials,
    *,
    method: str,
    target: str,
    body: bytes,
    now: datetime,
    nonce: str | None = None,
    idempotency_key: str = "",
) -> dict[str, str]:
    """The headers that sign one sending of this request. Every sending needs its own nonce."""
    nonce = nonce or new_nonce()
    timestamp = int(now.timestamp())
    message = base_string(
        method=method,
        target=target,
        timestamp=timestamp,
        nonce=nonce,
        idempotency_key=idempotency_key,
        body=body,
    )
    headers = {
        KEY_HEADER: credentials.key_id,
        TIMESTAMP_HEADER: str(timestamp),
        NONCE_HEADER: nonce,
        SIGNATURE_HEADER: signature(credentials.secret, message),
    }
    if idempotency_key:
        headers[IDEMPOTENCY_HEADER] = idempotency_key
    return headers


def verify_request(
    signed: SignedHeaders,
    *,
    method: str,
    target: str,
    body: bytes,
    secrets_: Iterable[str],
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Return when *signed* was made with one of *secrets_* within *tolerance* of *now*.

    Raises BadSignature, or OutsideWindow for a genuine request of another time: the signature is
    checked first, so only a holder of the secret learns about clocks.
    """
    try:
        message = base_string(
            method=method,
            target=target,
            timestamp=signed.timestamp,
            nonce=signed.nonce,
            idempotency_key=signed.idempotency_key,
            body=body,
        )
    except UnicodeEncodeError as error:
        raise BadSignature from error
    given = signed.signature.encode()
    # Every secret is tried, whichever matches: how long it takes says nothing.
    matches = [
        hmac.compare_digest(given, signature(secret, message).encode()) for secret in secrets_
    ]
    if not any(matches):
        raise BadSignature
    age = now - datetime.fromtimestamp(signed.timestamp, UTC)
    if abs(age) > tolerance:
        raise OutsideWindow(age=age, tolerance=tolerance)


def new_nonce() -> str:
    """A nonce that nobody used before: 128 random bits."""
    return secrets.token_urlsafe(16)


def sign_webhook(secret: str, *, body: bytes, now: datetime) -> str:
    """The value of ``X-Linkrow-Signature``: ``t=<unix>,v1=<hex>``, keyed with the whole secret."""
    timestamp = int(now.timestamp())
    message = str(timestamp).encode("ascii") + b"." + body
    return f"t={timestamp},{signature(secret, message)}"
