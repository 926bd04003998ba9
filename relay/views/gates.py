"""The gate of each blueprint: who may come in, said by name. A test sees that none forgot."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

from flask import Response, current_app, g, request

from relay.gate import READING, Arrival, read_headers, verify
from relay.ledger.accounts import KeyRecord
from relay.parts import parts
from relay.queue.terms import Caller
from relay.refusals import refuse
from wire.models import MAX_BODY_BYTES
from wire.signing import HEADERS
from wire.vocab import Scope

# Hop evidence is long: a batch of results may be larger than what callers send.
MAX_AGENT_BODY_BYTES: Final = 16 * MAX_BODY_BYTES


def requires_nothing() -> None:
    """Anybody may ask."""


def requires_signature(*, may: dict[str, Scope], limit: int = MAX_BODY_BYTES) -> Callable[[], None]:
    """A gate for signed requests; *may* names the scope each method of the blueprint needs."""

    def gate() -> None:
        body = _read_body(limit)
        headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
        arrival = Arrival(method=request.method, target=raw_target(), headers=headers, body=body)
        signed = read_headers(arrival)
        record = parts().keyring.find(signed.key_id)
        verify(arrival, signed, record.secrets if record else None, now=parts().now())
        assert record is not None
        scope = may.get("GET" if request.method in READING else request.method)
        if scope is None or scope not in record.scopes:
            raise refuse("forbidden_scope", f"this key lacks the scope {scope or 'for that'}")
        g.key = record
        g.body = body
        g.idempotency_key = signed.idempotency_key
        g.caller = Caller(
            account_id=record.account_id,
            key_id=record.key_id,
            device_id=record.device_id,
            timestamp=signed.timestamp,
            nonce=signed.nonce,
            body_sha256=sha256(body).hexdigest(),
        )

    return gate


def raw_target() -> str:
    """The request-target as it was sent: gunicorn's RAW_URI, werkzeug's REQUEST_URI."""
    target: Any = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI")
    return str(target or "")


def key() -> KeyRecord:
    """The key that signed."""
    found: KeyRecord = g.key
    return found


def caller() -> Caller:
    """Who signed what."""
    found: Caller = g.caller
    return found


def spend_nonce() -> Caller:
    """Let the request in, once. For every call but an admission, whose script does it itself."""
    parts().broker.spend_nonce(caller())
    return caller()


def _read_body(limit: int) -> bytes:
    length = request.content_length
    if length is not None and length > limit:
        raise refuse("payload_too_large", f"more than {limit:,} bytes; send less at once")
    try:
        body = request.stream.read(limit + 1)
    except OSError as error:
        raise refuse("invalid_request", "the body stopped before its end") from error
    if len(body) > limit:
        raise refuse("payload_too_large", f"more than {limit:,} bytes; send less at once")
    return bytes(body)


@contextmanager
def a_place_to_wait() -> Iterator[bool]:
    """Whether this request may hold its thread for long: some threads stay free for the others."""
    waiting: threading.BoundedSemaphore = current_app.extensions["linkrow.waiting"]
    may_wait = waiting.acquire(blocking=False)
    try:
        yield may_wait
    finally:
        if may_wait:
            waiting.release()


def json_answer(body: str, *, status: int = 200) -> Response:
    """A JSON text as an answer."""
    return Response(body, status=status, content_type="application/json")
