"""Every refusal the relay can give: its code, its status, its title.

The relay answers with RFC 9457 ``application/problem+json``; a client reads ``code``. One table,
so that docs, relay and clients cannot disagree.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """One kind of refusal. *retry*: the same request, signed anew, may succeed later."""

    code: str
    status: int
    title: str
    retry: bool = False


class FieldError(BaseModel):
    """One thing that is wrong with a body. *pointer* is a JSON Pointer (RFC 6901)."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    detail: str


class Problem(BaseModel):
    """The body of every refusal (RFC 9457)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] | None = None


_ALL: Final = (
    ProblemType(
        code="invalid_request", status=400, title="The request does not have the right form"
    ),
    ProblemType(
        code="idempotency_key_missing", status=400, title="An Idempotency-Key is needed here"
    ),
    ProblemType(
        code="not_available", status=400, title="This part of the API is not available yet"
    ),
    ProblemType(code="unauthorized", status=401, title="The key or the signature is not right"),
    ProblemType(code="stale_timestamp", status=401, title="Signed too long ago, or in the future"),
    ProblemType(code="forbidden_scope", status=403, title="The key may not do this"),
    ProblemType(code="not_found", status=404, title="There is no such thing"),
    ProblemType(code="unknown_source", status=404, title="There is no such source"),
    ProblemType(
        code="method_not_allowed", status=405, title="This address does not take that method"
    ),
    ProblemType(code="nonce_replayed", status=409, title="This very request was seen before"),
    ProblemType(code="already_final", status=409, title="The job has ended already"),
    ProblemType(
        code="refresh_running", status=409, title="Another refresh of this source is running"
    ),
    ProblemType(code="refresh_canceled", status=409, title="The refresh was canceled"),
    ProblemType(code="refresh_over", status=409, title="The refresh is over"),
    ProblemType(code="source_paused", status=409, title="The source is paused"),
    ProblemType(code="payload_too_large", status=413, title="The request is too large"),
    ProblemType(code="unsupported_media_type", status=415, title="The body must be JSON"),
    ProblemType(
        code="idempotency_key_reused", status=422, title="The key was used for another body"
    ),
    ProblemType(code="queue_full", status=429, title="Too many jobs are waiting", retry=True),
    ProblemType(code="quota_exceeded", status=429, title="The daily quota is used up", retry=True),
    ProblemType(
        code="internal_error", status=500, title="Something went wrong on our side", retry=True
    ),
    ProblemType(code="redis_unavailable", status=503, title="Redis does not answer", retry=True),
    ProblemType(
        code="redis_unsafe", status=503, title="Redis is not set up to keep jobs", retry=True
    ),
    ProblemType(
        code="ledger_unavailable", status=503, title="The ledger does not answer", retry=True
    ),
    ProblemType(
        code="recorder_behind", status=503, title="The recorder has fallen behind", retry=True
    ),
    ProblemType(code="rebuilding", status=503, title="Counters are being rebuilt", retry=True),
)

PROBLEMS: Final[dict[str, ProblemType]] = {problem.code: problem for problem in _ALL}
