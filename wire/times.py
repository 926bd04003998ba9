"""Instants as they travel: ISO 8601, UTC, with a Z."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer

from wire.errors import Malformed

_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)


def to_text(instant: datetime) -> str:
    """*instant* as ``2026-11-20T22:17:00Z``; fractions of a second are cut.

    Raises ValueError for a naive datetime: it does not say which instant it means.
    """
    if instant.tzinfo is None:
        raise ValueError("a naive datetime is no instant")
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_text(text: str) -> datetime:
    """The instant that *text* names; without an offset it is UTC.

    Lenient where people and spreadsheets differ: a space for the T, seconds missing, fractions.
    Raises Malformed for anything else.
    """
    text = text.strip()
    if not _INSTANT.fullmatch(text):
        raise Malformed("time", "expected something like 2026-11-20T22:17:00Z")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed("time", str(error)) from error
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise Malformed("time", "outside the calendar") from error


Instant = Annotated[AwareDatetime, PlainSerializer(to_text, return_type=str, when_used="json")]
"""A model field that reads any ISO 8601 instant with an offset and writes ours."""
