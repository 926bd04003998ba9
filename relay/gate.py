"""May this request come in? The steps before the queue's own script, each a pure decision."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from relay.refusals import Refusal, bad_shape, refuse
from wire.errors import BadSignature, Malformed, OutsideWindow
from wire.models import MAX_CONTEXT_BYTES, JobRequest, SubmitRequest
from wire.problems import FieldError
from wire.signing import (
    IDEMPOTENCY_HEADER,
    TOLERANCE,
    SignedHeaders,
    verify_request,
)
from wire.urls import UrlError, check_link

MAX_DEPTH: Final = 32
READING: Final = ("GET", "HEAD")
_MAX_DIGITS: Final = 16
_MAX_ERRORS: Final = 50

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = frozenset(b"[{")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SAID_BY_PYDANTIC: Final = "Value error, "

Shape = TypeVar("Shape", bound=BaseModel)

# What an unknown key is verified against, so that it costs what a known one costs.
_DUMMY: Final = "lrs_nobody-has-this-secret-and-nobody-ever-will"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request as it came in: what was sent, byte for byte."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def read_headers(arrival: Arrival) -> SignedHeaders:
    """The signed headers. A doubled header was joined with a comma, which none of them may hold.

    What is wrong with a header's form is said; it tells nothing about keys.
    """
    if not arrival.target.startswith("/"):
        raise refuse("invalid_request", "the request-target must begin with /")
    if arrival.method not in READING and "?" in arrival.target:
        raise refuse("invalid_request", f"{arrival.method} takes no query string")
    try:
        return SignedHeaders.from_headers(arrival.headers)
    except Malformed as error:
        if error.what == IDEMPOTENCY_HEADER:
            raise refuse("invalid_request", str(error)) from error
        raise refuse("unauthorized", f"sign the request: {error}") from error


def unauthorized() -> Refusal:
    """One and the same answer for an unknown key and a wrong signature."""
    return refuse("unauthorized", "the key is not known, or the signature is not of this request")


def verify(
    arrival: Arrival,
    signed: SignedHeaders,
    secrets: tuple[str, ...] | None,
    *,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Return when *signed* is genuine and fresh; *secrets* is None for an unknown key."""
    try:
        verify_request(
            signed,
            method=arrival.method,
            target=arrival.target,
            body=arrival.body,
            secrets_=secrets or (_DUMMY,),
            now=now,
            tolerance=tolerance,
        )
    except OutsideWindow as error:
        if not secrets:
            raise unauthorized() from error
        raise refuse(
            "stale_timestamp", str(error), skew_seconds=round(error.age.total_seconds())
        ) from error
    except BadSignature as error:
        raise unauthorized() from error
    if not secrets:
        raise unauthorized()


def parse_json(body: bytes, content_type: str) -> Any:
    """*body* as strict JSON: one meaning only, whoever reads it."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise refuse("unsupported_media_type", "send Content-Type: application/json")
    if body.startswith((b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")):
        raise bad_shape([("", "no byte order mark, please")])
    _check_depth(body)
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_doubles,
            parse_constant=_no_constants,
            parse_float=_no_infinities,
            parse_int=_no_giants,
        )
        if _SURROGATE.search(body):
            _no_halves(value)
    except UnicodeDecodeError as error:
        raise bad_shape([("", f"not UTF-8 at byte {error.start}")]) from error
    except json.JSONDecodeError as error:
        raise bad_shape([("", f"not JSON: {error.msg} at character {error.pos}")]) from error
    except (_NotStrict, ValueError, RecursionError) as error:
        raise bad_shape([("", str(error)[:200])]) from error
    else:
        return value


class _NotStrict(Exception):
    pass


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _NotStrict(f"{name[:80]!r} stands twice in one object")
            seen.add(name)
    return found


def _no_constants(word: str) -> Any:
    raise _NotStrict(f"{word} is no JSON number")


def _no_giants(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise _NotStrict("a number is too large")
    return int(digits)


def _no_infinities(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotStrict("a number is too large")
    return number


def _no_halves(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _NotStrict("half a surrogate pair is no character") from error


def _check_depth(body: bytes) -> None:
    # Without its escapes, every second piece between quotes is outside all strings.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    depth = 0
    for bracket in b"".join(plain.split(b'"')[::2]).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_DEPTH:
            raise bad_shape([("", f"nested deeper than {MAX_DEPTH}")])


def read_shape(shape: type[Shape], value: Any) -> Shape:
    """*value* as a model. Raises a refusal that names every fault with its JSON Pointer."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise bad_shape(
            [
                (_pointer(fault["loc"]), fault["msg"].removeprefix(_SAID_BY_PYDANTIC))
                for fault in error.errors(include_url=False, include_input=False)[:_MAX_ERRORS]
            ]
        ) from error


def _pointer(where: tuple[int | str, ...]) -> str:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in where)
    return "".join(f"/{part}" for part in parts)


def read_jobs(value: Any) -> list[JobRequest]:
    """The jobs of a submission: one, or ``{"jobs": […]}``; each is one that can be taken."""
    if isinstance(value, dict) and "jobs" in value:
        jobs, at = read_shape(SubmitRequest, value).jobs, "/jobs/{}"
    else:
        jobs, at = [read_shape(JobRequest, value)], ""
    faults: list[tuple[str, str]] = []
    missing: list[tuple[str, str]] = []
    rows: set[tuple[str | None, str]] = set()
    for index, job in enumerate(jobs):
        pointer = at.format(index)
        try:
            check_link(job.tracking_url)
        except UrlError as error:
            faults.append((f"{pointer}/tracking_url", error.detail))
        if job.context is not None and _json_size(job.context) > MAX_CONTEXT_BYTES:
            faults.append((f"{pointer}/context", f"more than {MAX_CONTEXT_BYTES} bytes"))
        if job.webhook_url is not None:
            missing.append((f"{pointer}/webhook_url", "webhooks are not available yet"))
        if job.max_age_seconds:
            missing.append((f"{pointer}/max_age_seconds", "cached answers are not available yet"))
        if job.row_id is not None:
            row = (job.source_id, job.row_id)
            if row in rows:
                faults.append((f"{pointer}/row_id", "this row stands twice in the request"))
            rows.add(row)
    if faults:
        raise bad_shape(faults[:_MAX_ERRORS])
    if missing:
        raise refuse(
            "not_available",
            "leave out what is not available yet",
            errors=[FieldError(pointer=where, detail=why) for where, why in missing[:_MAX_ERRORS]],
        )
    return jobs


def _json_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
