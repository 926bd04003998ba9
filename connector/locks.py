"""Locks between processes that die with their holder: flock on POSIX, msvcrt on Windows."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes], *, shared: bool) -> bool:
        # Windows has no shared byte lock in the C runtime: every sharer locks a byte of its own.
        file.seek(os.getpid() % 0x7FFF0000 if shared else 0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes], *, shared: bool) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@contextmanager
def try_lock(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Whether *path* could be locked, without waiting; held until the block ends.

    The file stays behind on purpose: removing a lock file lets two processes hold it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("ab") as file:
        yield _try_lock(file, shared=shared)
