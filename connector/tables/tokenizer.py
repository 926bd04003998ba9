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


_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\n|\r)")


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A whole record, and one cell."""
    mark = re.escape(delimiter)
    quoted = rf'"(?:[^"]++|"")*+"[^{mark}\r\n]*+'
    plain = rf'(?!")[^{mark}\r\n]*+'
    cell = rf"(?:{quoted}|{plain})"
    return re.compile(rf"{cell}(?:{mark}{cell})*+(?:\r\n|\n|\r)"), re.compile(cell)


def records(blocks: Iterable[str], delimiter: str) -> Iterator[Record]:
    """Cut *blocks* (the text in pieces of any size) into records.

    Raises Unclosed or TooLong.
    """
    whole, _ = _patterns(delimiter)
    rest, count = "", 0
    for block in blocks:
        text = rest + block
        position = 0
        # A CR at the end may be the first half of a line end.
        limit = len(text) - 1 if text.endswith("\r") else len(text)
        has_quotes = '"' in text
        pattern = whole if has_quotes else _LINE
        while found := pattern.match(text, position, limit):
            position = found.end()
            count += 1
            yield split(found[0], delimiter)
        rest = text[position:]
        if len(rest) > MAX_RECORD:
            raise TooLong(count + 1)
    while rest:
        found = whole.match(rest + "\n") if not rest.endswith(("\r", "\n")) else whole.match(rest)
        count += 1
        if not found:
            raise Unclosed(count)
        raw = found[0]
        if len(raw) > len(rest):
            yield Record(split(raw, delimiter).cells, "")
            return
        yield split(raw, delimiter)
        rest = rest[len(raw) :]


def split(raw: str, delimiter: str) -> Record:
    """One record's text, line end included, into its cells."""
    end = ""
    if raw.endswith("\r\n"):
        end = "\r\n"
    elif raw.endswith(("\n", "\r")):
        end = raw[-1]
    body = raw[: len(raw) - len(end)]
    if '"' not in body:
        return Record(body.split(delimiter), end)
    _, cell = _patterns(delimiter)
    cells, position = [], 0
    while True:
        found = cell.match(body, position)
        assert found is not None
        cells.append(found[0])
        position = found.end() + len(delimiter)
        if position > len(body):
            return Record(cells, end)


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
