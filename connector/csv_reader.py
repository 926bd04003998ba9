"""How a CSV file is written (encoding, delimiter, columns), and its records as they stand there."""

import codecs
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from connector.columns import Columns, count_ours
from connector.errors import (
    BadText,
    EmptyFile,
    FileNotFound,
    NoHeader,
    NotAFile,
    RecordTooLong,
    UnclosedQuote,
    Unreadable,
)
from connector.tables.detection import Encoding, find_delimiter, find_encoding, split_sep
from connector.tables.tokenizer import TooLong, Unclosed, raw_records, records, value
from wire.vocab import RESULT_COLUMNS

_BLOCK: Final = 1024 * 1024
_FIRST_BLOCK: Final = 64 * 1024  # enough for a header, looked at once per delimiter
_INPUT: Final = ("tracking_url", "offer_name", "expected_domain", "source_mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What shows that a file is still the one that was read."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        """What the system says of a file."""
        return cls(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the file is written, found out by looking at all of it."""

    stamp: Stamp
    encoding: Encoding
    sep: str
    delimiter: str
    columns: Columns
    header_at: int  # the header is this record, from 0

    @property
    def missing(self) -> list[str]:
        """The columns that are made with the first change."""
        return [name for name in ("row_id", *RESULT_COLUMNS) if name not in self.columns.at]


class CsvReader:
    """Reads one path; *mapping* says how its columns are headed where that differs.

    Every method raises ConnectorError.
    """

    def __init__(self, path: Path, mapping: Mapping[str, str]) -> None:
        self.path = path
        self._mapping = mapping

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file as it is now; what takes its place meanwhile is another one."""
        with self.reading():
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise NotAFile(self.path)
            file = self.path.open("rb", buffering=0)
        with file:
            yield file

    def look(self, file: BinaryIO) -> Format:
        """Find out how the file is written; reads all of it once for its encoding."""
        with self.reading():
            stamp = Stamp.of(os.fstat(file.fileno()))
            encoding = find_encoding(lambda: blocks(file, 0, stamp.size))
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
                    headings = [readable(value(cell)).strip() for cell in record.cells]
                    required = [name for name in _INPUT if name in self._mapping]
                    columns = Columns.find(
                        headings, self._mapping, required=("tracking_url", *required)
                    )
                    return Format(
                        stamp=stamp,
                        encoding=encoding,
                        sep=sep,
                        delimiter=delimiter,
                        columns=columns,
                        header_at=number,
                    )
        raise NoHeader(self.path)

    def raws(
        self, file: BinaryIO, found: Format, digest: hashlib.blake2b | None = None
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
    def reading(self) -> Iterator[None]:
        """What goes wrong while bytes are read, in our words."""
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
        with self.reading():
            for block in blocks(file, len(encoding.bom), size):
                if digest is not None:
                    digest.update(block)
                text = decoder.decode(block)
                if skip:
                    text, skip = text[skip:], max(0, skip - len(text))
                if text:
                    yield text
            if text := decoder.decode(b"", final=True):
                yield text

    @contextmanager
    def _tokens(self) -> Iterator[None]:
        try:
            yield
        except Unclosed as error:
            raise UnclosedQuote(error.record) from error
        except TooLong as error:
            raise RecordTooLong(error.record) from error


def blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The bytes from *start* to *end*, in blocks; a small one first."""
    file.seek(start)
    wanted, left = _FIRST_BLOCK, end - start
    while left > 0 and (block := file.read(min(wanted, left))):
        yield block
        left -= len(block)
        wanted = _BLOCK


def readable(text: str) -> str:
    """*text* without what is no text, so that it can travel."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
