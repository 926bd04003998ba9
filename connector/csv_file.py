"""A CSV file as a keeper of rows: our cells change, every other byte stays.

Reading and writing share one tokenizer, so a record that is not changed is written as it was read.
A new version is written beside the file and takes its place in one step, unless the file was
changed meanwhile: then all is read and decided anew.
"""

import codecs
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from connector.columns import Columns, count_ours, heading_of
from connector.errors import (
    BadText,
    ChangedUnderneath,
    DiskFull,
    EmptyFile,
    FileNotFound,
    Locked,
    NoHeader,
    NotAFile,
    NotWritable,
    RecordTooLong,
    UnclosedQuote,
    Unreadable,
)
from connector.locks import try_lock
from connector.memory import IdsOnly
from connector.rows import Targets, in_order, latest, text_of
from connector.source import Cells, Change, Revision, Row, Written
from connector.tables.detection import Encoding, EncodingFinder, find_delimiter, split_sep
from connector.tables.formulas import neutralise, restore
from connector.tables.tokenizer import Record, TooLong, Unclosed, records, value, written
from wire.vocab import RESULT_COLUMNS, TOOL_COLUMNS

_BLOCK: Final = 1024 * 1024
_BATCH: Final = 1000
_ATTEMPTS: Final = 6
_LOCK_SECONDS: Final = 30.0
_INPUT: Final = ("tracking_url", "offer_name", "expected_domain", "source_mode")
_MAX_CELL: Final = 32_000  # a spreadsheet's cell holds 32,767 characters

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """What shows that a file is still the one that was read."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "_Stamp":
        found = path.stat()
        return cls(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How the file is written, found out by looking at all of it."""

    stamp: _Stamp
    encoding: Encoding
    sep: str
    delimiter: str
    columns: Columns
    header_at: int  # the header is this record, from 0


class _Changed(Exception):
    """The file is not the one that was read before."""


@dataclass(slots=True)
class _Pass:
    """One reading of all rows: the digest of what was read is known at its end."""

    format: _Format
    digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    width: int = 0


class CsvFile:
    """One CSV file. *columns*: how it heads our columns, where its headings differ.

    Every method raises ConnectorError; what fails leaves the file as it was.
    """

    def __init__(
        self,
        path: Path,
        *,
        source_id: str,
        columns: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self._source_id = source_id
        self._mapping = dict(columns or {})
        self._clock = clock
        self._sleep = sleep

    @property
    def source_id(self) -> str:
        """What the relay calls this source."""
        return self._source_id

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def check(self) -> None:
        """Return when the file can be worked on; nothing is changed."""
        self._look()

    def read(self) -> Iterator[list[Row]]:
        """All rows in order, a thousand at a time."""
        found = self._look()
        batch: list[Row] = []
        for number, record in self._records(_Pass(format=found)):
            if number <= found.header_at or record.is_blank:
                continue
            batch.append(_row(record, found.columns, number))
            if len(batch) >= _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into the row it belongs to, or say why not; all in one go."""
        if not changes:
            return []
        wanted = latest(changes)
        answers: list[Written] = []

        def splice(found: _Format) -> int:
            targets = Targets(wanted)
            first = _Pass(format=found)
            for number, record in self._data(first):
                row_id, link, checked = _identity(record, found.columns)
                targets.see(row_id, link, checked, place=number)
            answers[:], at = targets.settle()
            return self._rewrite(
                first, lambda number, _: change.cells if (change := at.get(number)) else None
            )

        self._settled(splice)
        return in_order(changes, {answer.row_id: answer for answer in answers})

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row, and put it all down in one go."""

        def splice(found: _Format) -> int:
            revision = begin()
            first = _Pass(format=found)
            for number, record in self._data(first):
                revision.survey(_row(record, found.columns, number))
            return self._rewrite(
                first,
                lambda number, record: revision.decide(_row(record, found.columns, number)),
            )

        return self._settled(splice)

    def assign_ids(self) -> int:
        """Give every row with a link and no id one."""
        return self.revise(IdsOnly)

    # How the file is looked at.

    def _look(self) -> _Format:
        """Find out how the file is written; reads all of it once for its encoding."""
        with self._reading():
            stamp = _Stamp.of(self.path)
            if not self.path.is_file():
                raise NotAFile(self.path)
            finder = EncodingFinder()
            with self.path.open("rb") as file:
                size = 0
                while block := file.read(_BLOCK):
                    size += len(block)
                    finder.feed(block)
                finder.feed(b"", final=True)
        encoding = finder.result()
        if size <= len(encoding.bom):
            raise EmptyFile(self.path)
        with self._tokens():
            sep, delimiter = split_sep("".join(self._first_text(encoding)))
            if not delimiter:
                delimiter = find_delimiter(
                    lambda: self._text(encoding), lambda found: count_ours(found, self._mapping)
                )
            for number, record in enumerate(records(self._text(encoding, sep), delimiter)):
                if not record.is_blank:
                    headings = [_readable(value(cell)).strip() for cell in record.cells]
                    required = [name for name in _INPUT if name in self._mapping]
                    columns = Columns.find(
                        headings, self._mapping, required=("tracking_url", *required)
                    )
                    return _Format(
                        stamp=stamp,
                        encoding=encoding,
                        sep=sep,
                        delimiter=delimiter,
                        columns=columns,
                        header_at=number,
                    )
        raise NoHeader(self.path)

    def _first_text(self, encoding: Encoding) -> Iterator[str]:
        for text in self._text(encoding):
            yield text[:16]
            return

    def _text(
        self,
        encoding: Encoding,
        sep: str = "",
        digest: hashlib.blake2b | None = None,
        size: int | None = None,
    ) -> Iterator[str]:
        """The file's text in blocks, behind its byte order mark and its sep= line.

        Not more than *size* bytes: a file that grows while it is read would never end.
        """
        left = size
        decoder = codecs.getincrementaldecoder(encoding.name)(encoding.errors)
        with self._reading(), self.path.open("rb") as file:
            head = file.read(len(encoding.bom))
            if digest is not None:
                digest.update(head)
            skip = len(sep)
            while True:
                block = file.read(_BLOCK if left is None else min(_BLOCK, left))
                if left is not None:
                    left -= len(block)
                if digest is not None:
                    digest.update(block)
                text = decoder.decode(block, not block)
                if skip:
                    text, skip = text[skip:], max(0, skip - len(text))
                if text:
                    yield text
                if not block:
                    return

    def _records(self, reading: _Pass) -> Iterator[tuple[int, Record]]:
        """Every record with its number from 0, header and blank lines included."""
        found = reading.format
        size = found.stamp.size - len(found.encoding.bom)
        text = self._text(found.encoding, found.sep, reading.digest, size)
        with self._tokens():
            for number, record in enumerate(records(text, found.delimiter)):
                if len(record.cells) > reading.width and any(record.cells):
                    reading.width = len(record.cells)
                yield number, record

    def _data(self, reading: _Pass) -> Iterator[tuple[int, Record]]:
        """Every row: behind the header, not blank."""
        header_at = reading.format.header_at
        for number, record in self._records(reading):
            if number > header_at and not record.is_blank:
                yield number, record

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFound(self.path) from error
        except IsADirectoryError as error:
            raise NotAFile(self.path) from error
        except UnicodeDecodeError as error:
            raise BadText(self.path, f"{error.encoding}: {error.reason}") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Unreadable(self.path, error.strerror or type(error).__name__) from error

    @contextmanager
    def _tokens(self) -> Iterator[None]:
        try:
            yield
        except Unclosed as error:
            raise UnclosedQuote(error.record) from error
        except TooLong as error:
            raise RecordTooLong(error.record) from error

    # How it is written.

    def _settled(self, splice: Callable[[_Format], T]) -> T:
        """*splice* under the lock, again from the start when the file changed meanwhile."""
        with self._locked():
            self._sweep_leftovers()
            for attempt in range(_ATTEMPTS):
                try:
                    return splice(self._look())
                except _Changed:
                    self._sleep(0.05 * 2**attempt)
        raise ChangedUnderneath(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.path.with_name(f".{self.path.name}.lock")
        until = self._clock() + _LOCK_SECONDS
        while True:
            with self._lock_errors(), try_lock(lock) as is_ours:
                if is_ours:
                    yield
                    return
            if self._clock() > until:
                raise Locked(self.path)
            self._sleep(0.05)

    @contextmanager
    def _lock_errors(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise NotWritable(self.path, error.strerror or "not allowed") from error

    def _sweep_leftovers(self) -> None:
        """What a killed writer left: we hold the lock, so nobody is writing it."""
        for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            with suppress(OSError):
                leftover.unlink()

    def _rewrite(self, first: _Pass, decide: Callable[[int, Record], Cells | None]) -> int:
        """Write the file anew with what *decide* says of each row. How many rows changed."""
        found = first.format
        maker = _Maker(found, width=first.width, mapping=self._mapping)
        second = _Pass(format=found)
        temporary = self.path.with_name(
            f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        )
        changed = 0
        try:
            with self._writing():
                with temporary.open("xb", buffering=_BLOCK) as output:
                    output.write(found.encoding.bom)
                    output.write(found.encoding.encode(found.sep))
                    pending: list[str] = []
                    for number, record in self._records(second):
                        if number == found.header_at:
                            maker.head(record)
                        elif number > found.header_at and not record.is_blank:
                            cells = decide(number, record)
                            if cells and maker.put(record, cells):
                                changed += 1
                        pending.append(record.text(found.delimiter))
                        if len(pending) >= _BATCH:
                            output.write(found.encoding.encode("".join(pending)))
                            pending.clear()
                    output.write(found.encoding.encode("".join(pending)))
                    output.flush()
                    os.fsync(output.fileno())
                if second.digest.digest() != first.digest.digest():
                    raise _Changed
                if changed:
                    self._replace(temporary, found.stamp)
        finally:
            with suppress(OSError):
                temporary.unlink()
        return changed

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(self.path) from error
            raise NotWritable(self.path, error.strerror or type(error).__name__) from error

    def _replace(self, temporary: Path, stamp: _Stamp) -> None:
        """Let the new version take the file's place, if it is still the file that was read."""
        with suppress(OSError):
            shutil.copymode(self.path, temporary)
            if hasattr(os, "chown"):
                owner = self.path.stat()
                os.chown(temporary, owner.st_uid, owner.st_gid)
        for attempt in range(_ATTEMPTS):
            try:
                if _Stamp.of(self.path) != stamp:
                    raise _Changed
                temporary.replace(self.path)
                break
            except FileNotFoundError as error:
                raise FileNotFound(self.path) from error
            except PermissionError:
                # A spreadsheet program on Windows holds the file while it is open.
                if attempt == _ATTEMPTS - 1:
                    raise
                self._sleep(0.1 * 2**attempt)
        if os.name == "posix":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class _Maker:
    """Puts cells into records; columns of ours that are missing come after the widest record."""

    def __init__(self, found: _Format, *, width: int, mapping: Mapping[str, str]) -> None:
        self._delimiter = found.delimiter
        self._encoding = found.encoding
        self._at = dict(found.columns.at)
        self._new = [name for name in ("row_id", *RESULT_COLUMNS) if name not in self._at]
        self._width = width
        self._headings = [heading_of(name, mapping) for name in self._new]
        self._at |= {name: width + index for index, name in enumerate(self._new)}

    def head(self, record: Record) -> None:
        """Name the new columns."""
        if self._new:
            self._pad(record.cells, self._width)
            record.cells += [written(heading, self._delimiter) for heading in self._headings]

    def put(self, record: Record, cells: Cells) -> bool:
        """Change *record*. Whether anything in it is different now."""
        changed = False
        for name, cell in cells.items():
            index = self._at.get(name)
            if index is None:
                continue  # a tool column that this file does not have
            text = _cell_text(text_of(cell))
            present = record.cells[index] if index < len(record.cells) else None
            if present is not None and restore(value(present)) == text:
                continue
            if present is None and not text and name in TOOL_COLUMNS:
                continue
            self._pad(record.cells, index + 1)
            record.cells[index] = written(neutralise(text), self._delimiter)
            changed = True
        return changed

    @staticmethod
    def _pad(cells: list[str], width: int) -> None:
        cells.extend([""] * (width - len(cells)))


def _cell_text(text: str) -> str:
    """What we put into a cell: one line, no control characters, not endless."""
    one_line = "".join(character if character.isprintable() else " " for character in text)
    return one_line[:_MAX_CELL]


def _readable(text: str) -> str:
    """*text* without what is no text, so that it can travel."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def _at(record: Record, columns: Columns, name: str) -> str:
    index = columns.at.get(name)
    if index is None or index >= len(record.cells):
        return ""
    return value(record.cells[index])


def _identity(record: Record, columns: Columns) -> tuple[str, str, str]:
    return (
        _at(record, columns, "row_id").strip(),
        _at(record, columns, "tracking_url").strip(),
        _at(record, columns, "last_checked"),
    )


_READ: Final = (
    "row_id", "tracking_url", "offer_name", "expected_domain", "source_mode", "check_status",
    "final_url", "conclusion", "last_checked",
)  # fmt: skip


def _row(record: Record, columns: Columns, number: int) -> Row:
    cells = {name: _at(record, columns, name) for name in _READ}
    fault = ""
    for name, text in cells.items():
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            fault = f"not valid text (column {name}); retype it"
            cells[name] = _readable(text)
    return Row(
        row_id=cells["row_id"].strip(),
        tracking_url=cells["tracking_url"].strip(),
        offer_name=cells["offer_name"],
        expected_domain=cells["expected_domain"].strip(),
        source_mode=cells["source_mode"],
        check_status=cells["check_status"],
        final_url=restore(cells["final_url"]),
        conclusion=cells["conclusion"],
        last_checked=cells["last_checked"],
        where=f"row {number + 1}",
        fault=fault,
    )
