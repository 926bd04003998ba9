"""Where the next page of a list begins: behind a time and a name, as one word."""

import base64
import binascii
import json
import math
import re

from wire.errors import Malformed


def write_cursor(at: float, name: str) -> str:
    """The cursor of what comes after *name*, which was made *at*."""
    text = json.dumps([at, name])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, pattern: str) -> tuple[float, str]:
    """The time and the name in *cursor*. Raises Malformed, also where no name looks like that."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, name = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        if not math.isfinite(at) or not re.fullmatch(pattern, name):
            raise ValueError  # noqa: TRY301 - one sentence for all that is none of ours
        return float(at), name
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError) as error:
        raise Malformed("cursor", "none of ours; begin without one") from error
