"""A CSV file as a keeper of rows: our cells change, every other byte stays.

Reading and writing share one tokenizer, so a record that is not changed is written as it was read.
A new version is written beside the file and takes its place in one step, unless the file was
changed meanwhile: then all is read and decided anew.
"""

import codecs
import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from connector.columns import Columns, count_ours, heading_of
from connector.errors import (
    BadText,
    ChangedUnderneath,
    DiskFull,
    EmptyFile,
    FileNotFound,
    Locked,
    MissingColumn,
    NoHeader,
    NotAFile,
    NotWritable,
    RecordTooLong,
    UnclosedQuote,
    Unreadable,
)
from connector.locks import try_lock
from connector.memory import IdsOnly
from connector.rows import Targets, text_of
from connector.source import Cells, Change, Revision, Row, Written
from connector.tables.detection import Encoding, find_delimiter, find_encoding, split_sep
from connector.tables.formulas import neutralise, restore
from connector.tables.tokenizer import (
    TooLong,
    Unclosed,
    raw_records,
    records,
    split,
    value,
    written,
)
from wire.vocab import RESULT_COLUMNS, TOOL_COLUMNS

_BLOCK: Final = 1024 * 1024
_FIRST_BLOCK: Final = 64 * 1024  # enough for a header, looked at once per delimiter
_BATCH: Final = 1000
_ATTEMPTS: Final = 6
_LOCK_SECONDS: Final = 30.0
_INPUT: Final = ("tracking_url", "offer_name", "expected_domain", "source_mode")
_MAX_CELL: Final = 32_000  # a spreadsheet's cell holds 32,767 characters
_TICK_NS: Final = 2_500_000_000  # the coarsest clock of a file system (FAT) ticks every 2 s

Edit = Callable[[int, list[str]], int]
"""Change some of these records' texts, of which the first has this number; returns how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """What shows that a file is still the one that was read."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
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

    @property
    def missing(self) -> list[str]:
        """The columns that are made with the first change."""
        return [name for name in ("row_id", *RESULT_COLUMNS) if name not in self.columns.at]


class _Changed(Exception):
    """The file is not the one that was read before."""


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
        with self._opened() as file:
            self._look(file)

    def read(self) -> Iterator[list[Row]]:
        """All rows in order, a thousand at a time.

        They are of one version of the file, also when a writer puts a new one in its place.
        """
        with self._opened() as file:
            found = self._look(file)
            rows = _Rows(found)
            batch: list[Row] = []
            for start, raws in self._raws(file, found):
                for number, raw in enumerate(raws, start):
                    if number > found.header_at and (row := rows.row(number, raw)) is not None:
                        batch.append(row)
                        if len(batch) >= _BATCH:
                            yield batch
                            batch = []
            if batch:
                yield batch

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into the row it belongs to, or say why not; all in one go."""
        if not changes:
            return []
        answers: list[Written] = []

        def plan(found: _Format, numbered: Iterable[tuple[int, list[str]]]) -> "_Plan":
            targets, rows, maker = Targets(changes), _Rows(found), _Maker(found, self._mapping)
            for start, raws in numbered:
                maker.see(raws)
                rows.show(start, raws, targets)
            answers[:], at = targets.settle()
            return _Plan(maker=maker, edit=maker.edit_at(at) if at else None)

        self._settled(plan)
        return answers

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row, and put it all down in one go."""

        def plan(found: _Format, numbered: Iterable[tuple[int, list[str]]]) -> "_Plan":
            revision, rows, maker = begin(), _Rows(found), _Maker(found, self._mapping)
            for start, raws in numbered:
                maker.see(raws)
                for number, raw in enumerate(raws, start):
                    if number > found.header_at and (row := rows.row(number, raw)) is not None:
                        revision.survey(row)
            return _Plan(maker=maker, edit=maker.edit_by(revision, rows))

        return self._settled(plan)

    def assign_ids(self) -> int:
        """Give every row with a link and no id one."""
        return self.revise(IdsOnly)

    # How the file is looked at.

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The file as it is now; what takes its place meanwhile is another one."""
        with self._reading():
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise NotAFile(self.path)
            file = self.path.open("rb", buffering=0)
        with file:
            yield file

    def _look(self, file: BinaryIO) -> _Format:
        """Find out how the file is written; reads all of it once for its encoding."""
        with self._reading():
            stamp = _Stamp.of(os.fstat(file.fileno()))
            encoding = find_encoding(lambda: _blocks(file, 0, stamp.size))
        if stamp.size <= len(encoding.bom):
            raise EmptyFile(self.path)
        with self._tokens():
            first = next(self._text(file, encoding, stamp.size), "")
            sep, delimiter = split_sep(first[:16])
            if not delimiter:
                delimiter = find_delimiter(
                    lambda: self._text(file, encoding, stamp.size),
                    lambda found: count_ours(found, self._mapping),
                )
            text = self._text(file, encoding, stamp.size, sep)
            for number, record in enumerate(records(text, delimiter)):
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

    def _text(
        self,
        file: BinaryIO,
        encoding: Encoding,
        size: int,
        sep: str = "",
        digest: hashlib.blake2b | None = None,
    ) -> Iterator[str]:
        """The text in blocks, behind its byte order mark and its sep= line; *digest* is fed.

        Not more than *size* bytes: a file that grows while it is read would never end.
        """
        decoder = codecs.getincrementaldecoder(encoding.name)(encoding.errors)
        skip = len(sep)
        with self._reading():
            for block in _blocks(file, len(encoding.bom), size):
                if digest is not None:
                    digest.update(block)
                text = decoder.decode(block)
                if skip:
                    text, skip = text[skip:], max(0, skip - len(text))
                if text:
                    yield text
            if text := decoder.decode(b"", final=True):
                yield text

    def _raws(
        self, file: BinaryIO, found: _Format, digest: hashlib.blake2b | None = None
    ) -> Iterator[tuple[int, list[str]]]:
        """The texts of all records, header and blank lines included, numbered from 0."""
        text = self._text(file, found.encoding, found.stamp.size, found.sep, digest)
        start = 0
        with self._tokens():
            for raws in raw_records(text, found.delimiter):
                count = len(raws)  # the taker may change the list
                yield start, raws
                start += count

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFound(self.path) from error
        except UnicodeDecodeError as error:
            raise BadText(self.path, f"{error.encoding}: {error.reason}") from error
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.EISDIR):
                raise NotAFile(self.path) from error
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

    def _settled(self, plan: "_MakePlan") -> int:
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
                except _Changed:
                    pass
                except (FileNotFound, EmptyFile, NoHeader, UnclosedQuote, BadText):
                    if is_last:
                        raise
                if not is_last:
                    self._sleep(0.05 * 2**attempt)
        raise ChangedUnderneath(self.path)

    def _usable(self) -> None:
        """Refuse what is no file before a lock is laid beside it; a gone one may come back."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._opened():
                    return
            except FileNotFound:
                if attempt == _ATTEMPTS - 1 or not self.path.parent.is_dir():
                    raise
                self._sleep(0.05 * 2**attempt)

    def _carry_out(self, plan: "_MakePlan") -> int:
        digest = hashlib.blake2b(digest_size=16)
        with ExitStack() as stack:
            file = stack.enter_context(self._opened())
            found = self._look(file)
            made = plan(found, self._raws(file, found, digest))
            if made.edit is None:
                self._still(found)
                return 0
            with self._draft() as (temporary, output):
                changed, again = self._fill(output, file, found, made)
                if again.digest() != digest.digest():
                    raise _Changed
                stack.close()  # Windows replaces no file that is open
                if not changed:
                    self._still(found)
                    return 0
                self._finish(temporary, output, found, digest.digest())
        return changed

    @contextmanager
    def _draft(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file beside ours that only its owner can read; gone at the end, unless renamed."""
        name = f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        temporary = self.path.with_name(name)
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
        self, output: BinaryIO, file: BinaryIO, found: _Format, made: "_Plan"
    ) -> tuple[int, hashlib.blake2b]:
        """Write the new version. How many rows changed, and the digest of what was read for it."""
        assert made.edit is not None
        encoding, changed = found.encoding, 0
        again = hashlib.blake2b(digest_size=16)
        with self._writing():
            output.write(encoding.bom + encoding.encode(found.sep))
        for start, raws in self._raws(file, found, again):
            changed += made.edit(start, raws)
            if start <= found.header_at < start + len(raws):
                at = found.header_at - start
                raws[at] = made.maker.head(raws[at])
            with self._writing():
                output.write(encoding.encode("".join(raws)))
        with self._writing():
            output.flush()
        return changed, again

    def _finish(self, temporary: Path, output: BinaryIO, found: _Format, digest: bytes) -> None:
        """Let the new version take the file's place, if it is still the file that was read."""
        self._liken(temporary)
        with self._writing():
            os.fsync(output.fileno())
            output.close()
            for attempt in range(_ATTEMPTS):
                self._still(found, digest, now_ns=temporary.stat().st_mtime_ns)
                try:
                    temporary.replace(self.path)
                    break
                except PermissionError:
                    # A spreadsheet program on Windows holds the file while it is open.
                    if attempt == _ATTEMPTS - 1:
                        raise
                    self._sleep(0.1 * 2**attempt)
        if os.name == "posix":
            # The rename is done; a file system that cannot sync a folder is no failure of it.
            with suppress(OSError):
                folder = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def _still(self, found: _Format, digest: bytes = b"", now_ns: int = 0) -> None:
        """Raise _Changed unless the path still leads to what was read.

        A file saved less than a tick of the file system's clock before *now_ns* may have been
        saved once more without showing it; its *digest* is taken again.
        """
        with self._reading():
            present = self.path.stat()
            is_writable = present.st_mode & stat.S_IWRITE or os.name != "nt"
            if _Stamp.of(present) != found.stamp:
                raise _Changed
            if not digest:
                return
            if not is_writable or not os.access(self.path, os.W_OK):
                raise NotWritable(self.path, "it is read-only")
            if now_ns - found.stamp.mtime_ns < _TICK_NS:
                again = hashlib.blake2b(digest_size=16)
                with self.path.open("rb", buffering=0) as file:
                    for block in _blocks(file, len(found.encoding.bom), found.stamp.size):
                        again.update(block)
                if again.digest() != digest:
                    raise _Changed

    def _liken(self, temporary: Path) -> None:
        """Give the new version the old one's owner and mode, as far as we may."""
        with suppress(OSError):
            owner = self.path.stat()
            if hasattr(os, "chown"):
                with suppress(OSError):
                    os.chown(temporary, -1, owner.st_gid)
                with suppress(OSError):
                    os.chown(temporary, owner.st_uid, -1)
            shutil.copymode(self.path, temporary)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.path.with_name(f".{self.path.name}.lock")
        until = self._clock() + _LOCK_SECONDS
        while True:
            with ExitStack() as held:
                with self._writing():
                    is_ours = held.enter_context(try_lock(lock))
                if is_ours:
                    yield
                    return
            if self._clock() > until:
                raise Locked(self.path)
            self._sleep(0.05)

    def _sweep_leftovers(self) -> None:
        """What a killed writer left: we hold the lock, so nobody is writing it."""
        ours = re.compile(re.escape(f".{self.path.name}.") + r"\d+\.[0-9a-f]{8}\.tmp")
        for leftover in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
            # Exactly the form we give: a neighbour may be called links.csv.old.
            if ours.fullmatch(leftover.name):
                with suppress(OSError):
                    leftover.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(self.path) from error
            raise NotWritable(self.path, error.strerror or type(error).__name__) from error


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The bytes from *start* to *end*, in blocks; a small one first."""
    file.seek(start)
    wanted, left = _FIRST_BLOCK, end - start
    while left > 0 and (block := file.read(min(wanted, left))):
        yield block
        left -= len(block)
        wanted = _BLOCK


class _Rows:
    """Makes rows of records' texts."""

    def __init__(self, found: _Format) -> None:
        at = found.columns.at
        self._header_at = found.header_at
        self._delimiter = found.delimiter
        # Short records are padded with blanks to this; the last is blank in all of them, and
        # stands for the columns that this file does not have.
        self._width = max(at.values()) + 2
        self._at = [at.get(name, -1) for name in _READ]
        self._row_id = at.get("row_id")
        self._link = at["tracking_url"]
        self._last_checked = at.get("last_checked")

    def row(self, number: int, raw: str) -> Row | None:
        """One row; None for a blank line, and for one of nothing but delimiters."""
        record = split(raw, self._delimiter)
        if record.is_blank:
            return None
        cells = record.cells[: self._width - 1]
        cells += [""] * (self._width - len(cells))
        found = [cells[index] for index in self._at]
        if '"' in raw:
            found = [value(cell) for cell in found]
        if not any(found) and not any(value(cell).strip() for cell in record.cells):
            return None
        fault = "" if raw.isascii() else _mend(found)
        (row_id, link, offer_name, expected, mode, status, final_url, conclusion, checked) = found
        return Row(
            row_id=row_id.strip(),
            tracking_url=link.strip(),
            offer_name=offer_name,
            expected_domain=expected.strip(),
            source_mode=mode,
            check_status=status,
            final_url=restore(final_url),
            conclusion=conclusion,
            last_checked=checked,
            where=f"row {number + 1}",
            fault=fault,
        )

    def show(self, start: int, raws: list[str], targets: Targets) -> None:
        """Let the rows that *targets* looks for pass by."""
        at = self._row_id
        if at is None:
            return
        wanted, delimiter = targets.found, self._delimiter
        for number, raw in enumerate(raws, start):
            has_quotes = '"' in raw
            # What is cut off here is not asked for: the cells behind the id.
            cells = split(raw, delimiter).cells if has_quotes else raw.split(delimiter, at + 1)
            if len(cells) <= at:
                continue
            row_id = value(cells[at]).strip() if has_quotes else cells[at].strip()
            if row_id in wanted and number > self._header_at:
                cells = split(raw, delimiter).cells
                link, checked = _cell(cells, self._link), _cell(cells, self._last_checked)
                targets.see(row_id, link.strip(), checked, place=number)


class _Maker:
    """Puts cells into records; columns of ours that are missing come after the widest record."""

    def __init__(self, found: _Format, mapping: Mapping[str, str]) -> None:
        self._header_at = found.header_at
        self._delimiter = found.delimiter
        self._encoding = found.encoding
        self._present = found.columns.at
        self._missing = found.missing
        self._headings = [heading_of(name, mapping) for name in self._missing]
        for name, heading in zip(self._missing, self._headings, strict=True):
            if self._encoding.fit(heading) != heading:
                # Written with question marks it would never be found again.
                raise MissingColumn(name, heading, found.columns.headings)
        self._width = 0

    def see(self, raws: list[str]) -> None:
        """Find the widest record; those that are all blank do not count."""
        if not self._missing:
            return
        for raw in raws:
            # A delimiter in quotes makes this too many, never too few.
            if raw.count(self._delimiter) >= self._width:
                cells = split(raw, self._delimiter).cells
                if len(cells) > self._width and any(cells):
                    self._width = len(cells)

    def head(self, raw: str) -> str:
        """The header with the new columns."""
        if not self._missing:
            return raw
        record = split(raw, self._delimiter)
        self._pad(record.cells, self._width)
        record.cells += [written(each, self._delimiter) for each in self._headings]
        return record.text(self._delimiter)

    def edit_at(self, at: Mapping[int, Cells]) -> Edit:
        """Put these cells into the records of these numbers."""
        columns, places = self._columns(), sorted(at)

        def edit(start: int, raws: list[str]) -> int:
            changed = 0
            first = bisect_left(places, start)
            for number in places[first : bisect_left(places, start + len(raws))]:
                raw = self._put(raws[number - start], at[number], columns)
                changed += raw is not None
                raws[number - start] = raw if raw is not None else raws[number - start]
            return changed

        return edit

    def edit_by(self, revision: Revision, rows: _Rows) -> Edit:
        """Put into each row what *revision* decides."""
        columns = self._columns()

        def edit(start: int, raws: list[str]) -> int:
            changed = 0
            for index, raw in enumerate(raws):
                number = start + index
                if number <= self._header_at or (row := rows.row(number, raw)) is None:
                    continue
                cells = revision.decide(row)
                if cells and (made := self._put(raw, cells, columns)) is not None:
                    raws[index] = made
                    changed += 1
            return changed

        return edit

    def _columns(self) -> dict[str, int]:
        """Where each column of ours is or will be; the width must have been seen."""
        new = {name: self._width + index for index, name in enumerate(self._missing)}
        return dict(self._present) | new

    def _put(self, raw: str, cells: Cells, columns: Mapping[str, int]) -> str | None:
        """The record with *cells* in it; None when it says so already."""
        record = split(raw, self._delimiter)
        changed = False
        for name, cell in cells.items():
            index = columns.get(name)
            if index is None:
                continue  # a tool column that this file does not have
            text = self._said(text_of(cell))
            present = record.cells[index] if index < len(record.cells) else None
            if present is not None and value(present) == text:
                continue
            if present is None and not text and name in TOOL_COLUMNS:
                continue
            self._pad(record.cells, index + 1)
            record.cells[index] = written(text, self._delimiter)
            changed = True
        return record.text(self._delimiter) if changed else None

    def _said(self, text: str) -> str:
        """What we put into a cell for *text*: it can be written, stays on its line, and is text."""
        if text.isascii() and text.isprintable() and text[:1].isalnum():
            return text[:_MAX_CELL]
        return neutralise(self._encoding.fit(_cell_text(text)))

    @staticmethod
    def _pad(cells: list[str], width: int) -> None:
        cells.extend([""] * (width - len(cells)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What to do with the records of a second reading; *edit* is None when there is nothing."""

    maker: _Maker
    edit: Edit | None


_MakePlan = Callable[[_Format, Iterable[tuple[int, list[str]]]], _Plan]


def _cell_text(text: str) -> str:
    """What we put into a cell: one line, no control characters, not endless."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text[:_MAX_CELL]


def _readable(text: str) -> str:
    """*text* without what is no text, so that it can travel."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def _cell(cells: Sequence[str], index: int | None) -> str:
    return value(cells[index]) if index is not None and index < len(cells) else ""


def _mend(cells: list[str]) -> str:
    """Make *cells* (those of _READ) text, and say what is wrong with them."""
    fault = ""
    for index, text in enumerate(cells):
        if not text.isascii() and (readable := _readable(text)) != text:
            fault = f"not valid text (column {_READ[index]}); retype it"
            cells[index] = readable
    return fault


_READ: Final = (
    "row_id", "tracking_url", "offer_name", "expected_domain", "source_mode", "check_status",
    "final_url", "conclusion", "last_checked",
)  # fmt: skip
