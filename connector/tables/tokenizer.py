"""Records of delimited text, kept so exactly that joining them again gives the same text.

RFC 4180 as spreadsheets write it: a quote opens a cell only at its very start, so ``5" screen`` is
text; a doubled quote inside a quoted cell is one quote; what follows the closing quote belongs to
the cell. A record ends with CRLF, LF or a lone CR.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

MAX_RECORD: Final = 8 * 1024 * 1024


class TokenError(Exception):
    """The text cannot be cut into records. *record* counts from 1."""

    def __init__(self, record: int) -> None:
        super().__init__(f"record {record}")
        self.record = record


class Unclosed(TokenError):
    """A quoted cell never ends."""


class TooLong(TokenError):
    """A record does not end within MAX_RECORD characters."""


@dataclass(slots=True)
class Record:
    """One record: its cells as they are written, and its line end ("" at the end of the text)."""

    cells: list[str]
    end: str

    @property
    def is_blank(self) -> bool:
        """Whether the line is empty, so that it is no row at all."""
        return len(self.cells) == 1 and not self.cells[0].strip()

    def text(self, delimiter: str) -> str:
        """The record as it is written."""
        return delimiter.join(self.cells) + self.end


_REST = r"[\s\S]+"
_LINES = re.compile(rf"[^\r\n]*+(?:\r\n|\n|\r)|{_REST}")


@dataclass(frozen=True, slots=True)
class _Patterns:
    """*whole*: one record. *all*: every whole record, then the rest. *cells*: cell and mark."""

    whole: re.Pattern[str]
    all: re.Pattern[str]
    cells: re.Pattern[str]


@cache
def _patterns(delimiter: str) -> _Patterns:
    mark = re.escape(delimiter)
    quoted = rf'"[^"]*+(?:""[^"]*+)*+"[^{mark}\r\n]*+'
    plain = rf'(?!")[^{mark}\r\n]*+'
    cell = rf"(?:{quoted}|{plain})"
    whole = rf"{cell}(?:{mark}{cell})*+(?:\r\n|\n|\r)"
    return _Patterns(
        whole=re.compile(whole),
        all=re.compile(rf"{whole}|{_REST}"),
        cells=re.compile(rf"({cell}){mark}"),
    )


def raw_records(blocks: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Cut *blocks* (the text in pieces of any size) into the texts of its records, in batches.

    Raises Unclosed or TooLong.
    """
    patterns = _patterns(delimiter)
    rest, count = "", 0
    for block in blocks:
        text = rest + block
        # A CR at the end may be the first half of a line end.
        limit = len(text) - 1 if text.endswith("\r") else len(text)
        pattern = patterns.all if '"' in text else _LINES
        found = pattern.findall(text, 0, limit)
        rest = text[limit:]
        if found and not _is_whole(found[-1], patterns):
            rest = found.pop() + rest
        if found:
            count += len(found)
            yield found
        if len(rest) > MAX_RECORD:
            raise TooLong(count + 1)
    if not rest:
        return
    found = patterns.all.findall(rest)
    if not _is_whole(found[-1], patterns) and not patterns.whole.fullmatch(found[-1] + "\n"):
        raise Unclosed(count + len(found))
    yield found


def _is_whole(raw: str, patterns: _Patterns) -> bool:
    """Whether *raw* ends where a record ends; a line end inside quotes is none."""
    if not raw.endswith(("\n", "\r")):
        return False
    return '"' not in raw or patterns.whole.fullmatch(raw) is not None


def records(blocks: Iterable[str], delimiter: str) -> Iterator[Record]:
    """Cut *blocks* (the text in pieces of any size) into records.

    Raises Unclosed or TooLong.
    """
    for batch in raw_records(blocks, delimiter):
        for raw in batch:
            yield split(raw, delimiter)


def split(raw: str, delimiter: str) -> Record:
    """One record's text, line end included, into its cells."""
    # A line end inside a record stands in quotes, so no more than its own is taken off.
    body = raw.rstrip("\r\n")
    if '"' not in body:
        return Record(body.split(delimiter), raw[len(body) :])
    return Record(_patterns(delimiter).cells.findall(body + delimiter), raw[len(body) :])


def value(cell: str) -> str:
    """What a cell says, without the quotes it is written with."""
    if not cell.startswith('"'):
        return cell
    closing = _closing(cell)
    return cell[1:closing].replace('""', '"') + cell[closing + 1 :]


def _closing(cell: str) -> int:
    position = 1
    while True:
        position = cell.index('"', position)
        if cell[position + 1 : position + 2] != '"':
            return position
        position += 2


def written(text: str, delimiter: str) -> str:
    """*text* as a cell, in quotes only where it needs them."""
    if (
        delimiter in text
        or '"' in text
        or "\n" in text
        or "\r" in text
        or (text and (text[0].isspace() or text[-1].isspace()))
    ):
        return '"' + text.replace('"', '""') + '"'
    return text
