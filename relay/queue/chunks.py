"""Long sequences in pieces of a size that Redis likes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

_CHUNK: Final = 500

T = TypeVar("T")


def chunks(items: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    """*items* in pieces."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def chunked(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """*items*, which may come one by one, in pieces."""
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
