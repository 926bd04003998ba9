"""One table from errors to refusals, and the answer that carries them."""

import logging
from typing import Final

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from relay.errors import LedgerError
from relay.queue import errors as queue
from relay.refusals import Refusal, refuse
from wire.errors import Malformed
from wire.vocab import RefreshState

logger = logging.getLogger(__name__)

_CODES: Final[dict[type[queue.QueueError], str]] = {
    queue.NonceReplayed: "nonce_replayed",
    queue.SignedBeforeEpoch: "stale_timestamp",
    queue.IdempotencyKeyReused: "idempotency_key_reused",
    queue.QueueFull: "queue_full",
    queue.QuotaExceeded: "quota_exceeded",
    queue.UnknownSource: "unknown_source",
    queue.AlreadyFinal: "already_final",
    queue.SourcePaused: "source_paused",
    queue.RecorderBehind: "recorder_behind",
    queue.Rebuilding: "rebuilding",
    queue.RedisUnsafe: "redis_unsafe",
}

_NO_REDIS: Final = "Redis does not answer; nothing was done, try again soon"

_HTTP: Final = {
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
}


def refusal_of(error: Exception) -> Refusal | None:
    """The refusal that *error* means to a caller, or None for what should not have happened.

    What a database says of itself may name a host or a file: that is for the log, not for callers.
    """
    match error:
        case Refusal():
            return error
        case queue.RedisUnavailable():
            logger.error("redis: %s", error)
            return refuse("redis_unavailable", _NO_REDIS, retry_after=error.retry_after)
        case queue.RefreshRunning():
            return refuse("refresh_running", str(error), refresh_id=error.refresh_id)
        case queue.RefreshIsOver():
            is_canceled = error.state is RefreshState.CANCELED
            code = "refresh_canceled" if is_canceled else "refresh_over"
            return refuse(code, str(error), refresh_id=error.refresh_id)
        case queue.QueueError() if type(error) in _CODES:
            return refuse(_CODES[type(error)], str(error), retry_after=error.retry_after)
        case LedgerError():
            logger.error("ledger: %s", error)
            return refuse("ledger_unavailable", "the ledger does not answer", retry_after=2)
        case Malformed():
            return refuse("invalid_request", str(error))
        case HTTPException() if error.code in _HTTP:
            return refuse(_HTTP[error.code], error.name)
        case HTTPException() if error.code is not None and error.code < 500:
            return refuse("invalid_request", error.name)
    return None


def answer_problems(app: Flask) -> None:
    """Let *app* turn every error into a problem; no traceback, no secret ever leaves."""

    @app.errorhandler(Exception)
    def on_error(error: Exception) -> Response:
        refusal = refusal_of(error)
        if refusal is None:
            logger.error("request %s failed", g.request_id, exc_info=error)
            refusal = refuse("internal_error", "this is our fault; the log has the request_id")
        response = problem_response(refusal)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response


def problem_response(refusal: Refusal) -> Response:
    """The answer that carries *refusal*."""
    response = Response(
        refusal.body(g.request_id),
        status=refusal.problem.status,
        content_type="application/problem+json",
    )
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, refusal.retry_after))
    return response
