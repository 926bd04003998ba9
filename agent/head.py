"""Read the head of an answer from its raw lines, as far as a walk wants to know it. No network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_READ: Final = {b"location": "location", b"set-cookie": "set-cookie"}
"""The headers that somebody reads; add a name (and its first letter) when somebody reads more."""

_FIRST: Final = frozenset(b"lLsS \t")
_H, _CR, _LF = b"H\r\n"


@dataclass(slots=True)
class Head:
    """The last answer's status and headers. Until its blank line it is not *complete*.

    Header names are lower case, values raw bytes.
    """

    status: int
    headers: list[tuple[str, bytes]]
    is_complete: bool


def read_head(lines: Sequence[bytes]) -> Head:
    """What *lines* say; 1xx answers are passed over (RFC 9110 15.2), and so are trailers."""
    status = 0
    headers: list[tuple[str, bytes]] = []
    for line in lines:
        first = line[0]
        if first == _H and line.startswith(b"HTTP/"):
            status = _status(line)
            headers = []
        elif first in (_CR, _LF) and line in (b"\r\n", b"\n"):
            if status >= 200:
                return Head(status, headers, is_complete=True)
        elif first in _FIRST:
            name, _, value = line.partition(b":")
            known = _READ.get(name.strip().lower())
            if known is not None:
                headers.append((known, _without_end(value)))
    return Head(status, headers, is_complete=False)


def _status(line: bytes) -> int:
    parts = line.split(maxsplit=2)
    if len(parts) < 2 or not parts[1].isdigit() or len(parts[1]) != 3:
        return 0
    return int(parts[1])


def _without_end(value: bytes) -> bytes:
    if value.endswith(b"\r\n"):
        return value[:-2]
    return value.removesuffix(b"\n")
