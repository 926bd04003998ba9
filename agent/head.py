"""Read the head of an answer from its raw lines, as far as a walk wants to know it. No network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# What a line of interest begins with; all others are passed over as fast as can be.
_FIRST: Final = frozenset(b"HlLsS \t\r\n")
_WANTED: Final = frozenset({b"loc", b"set"})
_BLANK: Final = frozenset(b" \t")
_USUAL: Final = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_H, _CR, _LF = b"H\r\n"


@dataclass(slots=True)
class Head:
    """The last answer's status and what somebody reads of its headers, as raw bytes.

    Until its blank line it is not *complete*.
    """

    status: int
    locations: list[bytes]
    cookies: list[bytes]
    is_complete: bool


def read_head(lines: Sequence[bytes]) -> Head:
    """What *lines* say; 1xx answers are passed over (RFC 9110 15.2), and so are trailers."""
    status = 0
    locations: list[bytes] = []
    cookies: list[bytes] = []
    for line in lines:
        first = line[0]
        if first not in _FIRST:
            continue
        if first == _H:
            if line.startswith(b"HTTP/"):
                status, locations, cookies = _status(line), [], []
        elif first in (_CR, _LF):
            if status >= 200 and line in (b"\r\n", b"\n"):
                return Head(status, locations, cookies, is_complete=True)
        elif first in _BLANK or line[:3].lower() in _WANTED:
            name, _, value = line.partition(b":")
            name = name.strip().lower()
            if name == b"location":
                locations.append(_without_end(value))
            elif name == b"set-cookie":
                cookies.append(_without_end(value))
    return Head(status, locations, cookies, is_complete=False)


def _status(line: bytes) -> int:
    if line.startswith(_USUAL) and (code := line[9:12]).isdigit() and line[12:13].isspace():
        return int(code)
    parts = line.split(maxsplit=2)
    if len(parts) < 2 or not parts[1].isdigit() or len(parts[1]) != 3:
        return 0
    return int(parts[1])


def _without_end(value: bytes) -> bytes:
    if value.endswith(b"\r\n"):
        return value[:-2]
    return value.removesuffix(b"\n")
