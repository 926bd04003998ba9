"""Which ids stand twice among very many, in sixteen bytes for each."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import Final

_WIDTH: Final = 16  # two of a million ids share a digest once in 10^26 files
_HEAPS: Final = 1024  # small enough to be sorted one by one without a second copy of all


class Seen:
    """Ids are added first; then it is asked which were there once and which twice.

    A set would hold each id as an object of its own, a hundred bytes and more. Here each leaves
    only a digest, in one of many heaps of bytes.
    """

    def __init__(self) -> None:
        self._heaps = [bytearray() for _ in range(_HEAPS)]
        self._is_sorted = True
        self._twice: frozenset[bytes] = frozenset()

    def add(self, row_id: str) -> None:
        """See *row_id*."""
        digest = _digest(row_id)
        self._heaps[_heap_of(digest)] += digest
        self._is_sorted = False

    def __contains__(self, row_id: str) -> bool:
        self._sort()
        digest = _digest(row_id)
        heap = self._heaps[_heap_of(digest)]
        low, high = 0, len(heap) // _WIDTH
        while low < high:
            middle = (low + high) // 2
            if heap[middle * _WIDTH : (middle + 1) * _WIDTH] < digest:
                low = middle + 1
            else:
                high = middle
        return heap[low * _WIDTH : (low + 1) * _WIDTH] == digest

    def is_twice(self, row_id: str) -> bool:
        """Whether *row_id* was added more than once."""
        self._sort()
        return bool(self._twice) and _digest(row_id) in self._twice

    def _sort(self) -> None:
        if self._is_sorted:
            return
        twice: set[bytes] = set()
        for heap in self._heaps:
            digests = sorted(_pieces(heap))
            twice.update(one for one, other in pairwise(digests) if one == other)
            heap[:] = b"".join(digests)
        self._twice = frozenset(twice)
        self._is_sorted = True


def _digest(row_id: str) -> bytes:
    return blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=_WIDTH).digest()


def _heap_of(digest: bytes) -> int:
    return int.from_bytes(digest[:2]) % _HEAPS


def _pieces(heap: bytearray) -> Iterator[bytes]:
    for start in range(0, len(heap), _WIDTH):
        yield bytes(heap[start : start + _WIDTH])
