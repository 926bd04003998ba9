"""A new version of a CSV file takes its place in one step, or nothing happens.

It is written beside the file. When the file was changed meanwhile, all is read and decided anew.
"""

import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from connector.csv_cells import Edit, Maker
from connector.csv_reader import CsvReader, Format, Stamp, blocks
from connector.errors import (
    BadText,
    ChangedUnderneath,
    DiskFull,
    EmptyFile,
    FileNotFound,
    Locked,
    NoHeader,
    NotWritable,
    UnclosedQuote,
)
from connector.locks import try_lock

_BLOCK: Final = 1024 * 1024
_ATTEMPTS: Final = 6
_LOCK_SECONDS: Final = 30.0
_TICK_NS: Final = 2_500_000_000  # the coarsest clock of a file system (FAT) ticks every 2 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do with the records of a second reading; *edit* is None when there is nothing."""

    maker: Maker
    edit: Edit | None


MakePlan = Callable[[Format, Iterable[tuple[int, list[str]]]], Plan]


class Changed(Exception):
    """The file is not the one that was read before."""


class Rewriter:
    """Writes new versions of the file that *reader* reads. Raises ConnectorError."""

    def __init__(
        self, reader: CsvReader, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._reader = reader
        self._path = reader.path
        self._clock = clock
        self._sleep = sleep

    def rewrite(self, plan: MakePlan) -> int:
        """Carry out *plan* under the lock, again from the start when the file changed meanwhile.

        A file that cannot be used just now is given the same chances: an editor saves by
        emptying and filling it, or by putting another one in its place.
        """
        self._usable()
        with self._locked():
            self._sweep_leftovers()
            for attempt in range(_ATTEMPTS):
                is_last = attempt == _ATTEMPTS - 1
                try:
                    return self._carry_out(plan)
                except Changed:
                    pass
                except (FileNotFound, EmptyFile, NoHeader, UnclosedQuote, BadText):
                    if is_last:
                        raise
                if not is_last:
                    self._sleep(0.05 * 2**attempt)
        raise ChangedUnderneath(self._path)

    def _usable(self) -> None:
        """Refuse what is no file before a lock is laid beside it; a gone one may come back."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._reader.opened():
                    return
            except FileNotFound:
                if attempt == _ATTEMPTS - 1 or not self._path.parent.is_dir():
                    raise
                self._sleep(0.05 * 2**attempt)

    def _carry_out(self, plan: MakePlan) -> int:
        digest = hashlib.blake2b(digest_size=16)
        with ExitStack() as stack:
            file = stack.enter_context(self._reader.opened())
            found = self._reader.look(file)
            made = plan(found, self._reader.raws(file, found, digest))
            if made.edit is None:
                self._still(found)
                return 0
            with self._draft() as (temporary, output):
                changed, again = self._fill(output, file, found, made)
                if again.digest() != digest.digest():
                    raise Changed
                stack.close()  # Windows replaces no file that is open
                if not changed:
                    self._still(found)
                    return 0
                self._finish(temporary, output, found, digest.digest())
        return changed

    @contextmanager
    def _draft(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file beside ours that only its owner can read; gone at the end, unless renamed."""
        name = f".{self._path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        temporary = self._path.with_name(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with self._writing():
            output = open(os.open(temporary, flags, 0o600), "wb", buffering=_BLOCK)  # noqa: PTH123, SIM115 - a descriptor; closed below
        try:
            yield temporary, output
        finally:
            with suppress(OSError):
                output.close()
            with suppress(OSError):
                temporary.unlink()

    def _fill(
        self, output: BinaryIO, file: BinaryIO, found: Format, made: Plan
    ) -> tuple[int, hashlib.blake2b]:
        """Write the new version. How many rows changed, and the digest of what was read for it."""
        assert made.edit is not None
        encoding, changed = found.encoding, 0
        again = hashlib.blake2b(digest_size=16)
        with self._writing():
            output.write(encoding.bom + encoding.encode(found.sep))
        for start, raws in self._reader.raws(file, found, again):
            changed += made.edit(start, raws)
            if start <= found.header_at < start + len(raws):
                at = found.header_at - start
                raws[at] = made.maker.head(raws[at])
            with self._writing():
                output.write(encoding.encode("".join(raws)))
        with self._writing():
            output.flush()
        return changed, again

    def _finish(self, temporary: Path, output: BinaryIO, found: Format, digest: bytes) -> None:
        """Let the new version take the file's place, if it is still the file that was read."""
        self._liken(temporary)
        with self._writing():
            os.fsync(output.fileno())
            output.close()
            for attempt in range(_ATTEMPTS):
                self._still(found, digest, now_ns=temporary.stat().st_mtime_ns)
                try:
                    temporary.replace(self._path)
                    break
                except PermissionError:
                    # A spreadsheet program on Windows holds the file while it is open.
                    if attempt == _ATTEMPTS - 1:
                        raise
                    self._sleep(0.1 * 2**attempt)
        if os.name == "posix":
            # The rename is done; a file system that cannot sync a folder is no failure of it.
            with suppress(OSError):
                folder = os.open(self._path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def _still(self, found: Format, digest: bytes = b"", now_ns: int = 0) -> None:
        """Raise Changed unless the path still leads to what was read.

        A file saved less than a tick of the file system's clock before *now_ns* may have been
        saved once more without showing it; its *digest* is taken again.
        """
        with self._reader.reading():
            present = self._path.stat()
            is_writable = present.st_mode & stat.S_IWRITE or os.name != "nt"
            if Stamp.of(present) != found.stamp:
                raise Changed
            if not digest:
                return
            if not is_writable or not os.access(self._path, os.W_OK):
                raise NotWritable(self._path, "it is read-only")
            if now_ns - found.stamp.mtime_ns < _TICK_NS:
                again = hashlib.blake2b(digest_size=16)
                with self._path.open("rb", buffering=0) as file:
                    for block in blocks(file, len(found.encoding.bom), found.stamp.size):
                        again.update(block)
                if again.digest() != digest:
                    raise Changed

    def _liken(self, temporary: Path) -> None:
        """Give the new version the old one's owner and mode, as far as we may."""
        with suppress(OSError):
            owner = self._path.stat()
            if hasattr(os, "chown"):
                with suppress(OSError):
                    os.chown(temporary, -1, owner.st_gid)
                with suppress(OSError):
                    os.chown(temporary, owner.st_uid, -1)
            shutil.copymode(self._path, temporary)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name(f".{self._path.name}.lock")
        until = self._clock() + _LOCK_SECONDS
        while True:
            with ExitStack() as held:
                with self._writing():
                    is_ours = held.enter_context(try_lock(lock))
                if is_ours:
                    yield
                    return
            if self._clock() > until:
                raise Locked(self._path)
            self._sleep(0.05)

    def sweep(self) -> int:
        """Remove drafts that killed writers left. Returns how many."""
        self._usable()
        with self._locked():
            return self._sweep_leftovers()

    def _sweep_leftovers(self) -> int:
        """What a killed writer left: we hold the lock, so nobody is writing it."""
        swept = 0
        ours = re.compile(re.escape(f".{self._path.name}.") + r"\d+\.[0-9a-f]{8}\.tmp")
        for leftover in self._path.parent.glob(f".{glob.escape(self._path.name)}.*.tmp"):
            # Exactly the form we give: a neighbour may be called links.csv.old.
            if ours.fullmatch(leftover.name):
                with suppress(OSError):
                    leftover.unlink()
                    swept += 1
        return swept

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise DiskFull(self._path) from error
            raise NotWritable(self._path, error.strerror or type(error).__name__) from error
