"""Read the head of an answer from its raw lines, as far as a walk wants to know it. No network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_FIRST: Final = frozenset(b"lLsS \t")  # of the headers below, and of blanks before them
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
    head = Head(0, [], [], is_complete=False)
    for line in lines:
        first = line[0]
        if first == _H and line.startswith(b"HTTP/"):
            head = Head(_status(line), [], [], is_complete=False)
        elif first in (_CR, _LF) and line in (b"\r\n", b"\n"):
            if head.status >= 200:
                head.is_complete = True
                return head
        elif first in _FIRST:
            name, _, value = line.partition(b":")
            name = name.strip().lower()
            if name == b"location":
                head.locations.append(_without_end(value))
            elif name == b"set-cookie":
                head.cookies.append(_without_end(value))
    return head


def _status(line: bytes) -> int:
    parts = line.split(maxsplit=2)
    if len(parts) < 2 or not parts[1].isdigit() or len(parts[1]) != 3:
        return 0
    return int(parts[1])


def _without_end(value: bytes) -> bytes:
    if value.endswith(b"\r\n"):
        return value[:-2]
    return value.removesuffix(b"\n")
