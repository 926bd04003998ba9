"""Names of things: their forms, and how a new one is made."""

import re
import secrets
from datetime import UTC, datetime
from typing import Final

from wire.errors import Malformed

_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"

SOURCE_ID: Final = r"src_[A-Za-z0-9_-]{1,60}"
REFRESH_ID: Final = r"rf_[1-9][0-9]{9}_[a-z2-7]{8,26}"
JOB_ID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

_REFRESH_ID = re.compile(REFRESH_ID, re.ASCII)


def token(length: int) -> str:
    """*length* random base32 letters (5 bits each), lower case, never mistaken for a number."""
    return "".join(secrets.choice(_BASE32) for _ in range(length))


def new_row_id() -> str:
    """``r_`` and 60 random bits: starts with a letter, so no spreadsheet makes a number of it."""
    return "r_" + token(12)


def new_source_id() -> str:
    """``src_`` and 100 random bits: not to be guessed by another account."""
    return "src_" + token(20)


def new_refresh_id(now: datetime) -> str:
    """A refresh id carries the second of its birth, so a resumed refresh names the same jobs."""
    return f"rf_{int(now.timestamp())}_{token(16)}"


def born(refresh_id: str) -> datetime:
    """The second in which *refresh_id* was made. Raises Malformed."""
    if not _REFRESH_ID.fullmatch(refresh_id):
        raise Malformed("refresh_id", "expected rf_<unix seconds>_<letters>")
    return datetime.fromtimestamp(int(refresh_id.split("_")[1]), UTC)
