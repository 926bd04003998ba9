"""What Google's refusals mean: status and body become an error of ours. Pure."""

import json
import re
from datetime import datetime
from typing import Any, Final

from connector.patience import parse_retry_after
from connector.sheet_errors import (
    ApiDisabled,
    LoginRevoked,
    SheetBusy,
    SheetError,
    SheetNotFound,
    SheetNotShared,
    SheetQuota,
    SheetReadOnly,
    SheetRefused,
    SheetUnreachable,
)

_QUOTA_REASONS: Final = frozenset(
    {"RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"}
)
_DISABLED: Final = frozenset({"SERVICE_DISABLED", "accessNotConfigured"})
_TITLE: Final = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def refusal_of(
    status: int,
    text: str,
    *,
    retry_after: str | None,
    now: datetime,
    what: str,
    address: str,
    is_write: bool = False,
) -> SheetError:
    """The error that a response with *status* and body *text* is.

    *what* is the sheet as a person would name it, *address* the account that asked.
    """
    error = _error_of(text)
    message = str(error.get("message") or _title(text) or f"status {status}")
    reasons = _reasons(error)
    if status == 429 or (status == 403 and reasons & _QUOTA_REASONS):
        return _busy(SheetQuota(_limit(error)), 429, retry_after, now)
    if status == 408 or status >= 500:
        return _busy(SheetUnreachable(f"{status} {message}"), status, retry_after, now)
    if status == 401:
        return LoginRevoked(address, message)
    if status == 403 and (reasons & _DISABLED or "it is disabled" in message):
        return ApiDisabled(message)
    if status == 403:
        # Nobody writes what could not be read before.
        return (SheetReadOnly if is_write else SheetNotShared)(what, address)
    if status == 404:
        return SheetNotFound(what, address)
    return SheetRefused(status, message)


def _busy(error: SheetBusy, status: int, retry_after: str | None, now: datetime) -> SheetBusy:
    error.status = status
    error.retry_after = parse_retry_after(retry_after, now=now)
    return error


def _error_of(text: str) -> dict[str, Any]:
    try:
        error = json.loads(text)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    # Google's token endpoint says {"error": "invalid_grant"}.
    return error if isinstance(error, dict) else {"message": str(error)}


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def _reasons(error: dict[str, Any]) -> set[str]:
    found = {str(each.get("reason")) for each in _details(error)}
    errors = error.get("errors")
    if isinstance(errors, list):
        found |= {str(each.get("reason")) for each in errors if isinstance(each, dict)}
    return found


def _limit(error: dict[str, Any]) -> str:
    for each in _details(error):
        metadata = each.get("metadata")
        if isinstance(metadata, dict) and metadata.get("quota_limit"):
            return str(metadata["quota_limit"])
    return ""


def _title(text: str) -> str:
    found = _TITLE.search(text[:5000])
    return " ".join(found[1].split()) if found else ""
