"""Python's cyclic collector, held back while a call makes a million small objects that live on.

Without, each generation of them is walked again and again: filling a sheet of 100,000 rows takes
five times as long.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_holding = {"calls": 0, "was_on": False}


@contextmanager
def held_back() -> Iterator[None]:
    """Off as long as any thread is inside; on again after the last, if it was on before."""
    with _LOCK:
        if not _holding["calls"]:
            _holding["was_on"] = gc.isenabled()
            gc.disable()
        _holding["calls"] += 1
    try:
        yield
    finally:
        with _LOCK:
            _holding["calls"] -= 1
            if not _holding["calls"] and _holding["was_on"]:
                gc.enable()
