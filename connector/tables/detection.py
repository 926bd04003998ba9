"""Which text these bytes are: byte order mark, encoding, ``sep=`` line, delimiter."""

import codecs
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from connector.tables.tokenizer import Record, Unclosed, records, value

DELIMITERS: Final = (",", ";", "\t", "|")
_SEP = re.compile(r"sep=(.)(?:\r\n|\n|\r)", re.IGNORECASE)
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How bytes are read as text and written again, byte for byte, faulty ones too."""

    name: str
    bom: bytes = b""

    @property
    def errors(self) -> str:
        """The error handler that keeps what is no text."""
        return "surrogatepass" if self.name.startswith("utf-16") else "surrogateescape"

    def encode(self, text: str) -> bytes:
        """*text* in bytes; what the encoding lacks becomes a question mark."""
        try:
            return text.encode(self.name, self.errors)
        except UnicodeEncodeError:
            return b"".join(self._encode_one(character) for character in text)

    def _encode_one(self, character: str) -> bytes:
        try:
            return character.encode(self.name, self.errors)
        except UnicodeEncodeError:
            return "?".encode(self.name)


class EncodingFinder:
    """Fed with all bytes in order, says which encoding they are in.

    A byte order mark decides. Then UTF-8, if all of it is valid, or if more of its non-ASCII text
    is valid than not (some rows are spoilt); else Windows-1252.
    """

    def __init__(self) -> None:
        self._head = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._valid = 0
        self._faults = 0

    def feed(self, block: bytes, *, final: bool = False) -> None:
        """Look at the next bytes."""
        if len(self._head) < 64:
            self._head += block[:64]
        text = self._decoder.decode(block, final)
        if not text.isascii():
            faults = sum("\udc80" <= character <= "\udcff" for character in text)
            self._faults += faults
            self._valid += sum(character > "\x7f" for character in text) - faults

    def result(self) -> Encoding:
        """What was found."""
        for bom, name in _BOMS:
            if self._head.startswith(bom):
                return Encoding(name=name, bom=bom)
        sample = self._head[: len(self._head) // 2 * 2]
        if len(sample) >= 4:
            if not any(sample[1::2]) and all(sample[0::2]):
                return Encoding(name="utf-16-le")
            if not any(sample[0::2]) and all(sample[1::2]):
                return Encoding(name="utf-16-be")
        if self._faults and self._faults >= self._valid:
            return Encoding(name="cp1252")
        return Encoding(name="utf-8")


def split_sep(text: str) -> tuple[str, str]:
    """A leading ``sep=;`` line and its delimiter; both empty where there is none."""
    found = _SEP.match(text)
    return (found[0], found[1]) if found else ("", "")


def find_delimiter(
    blocks: Callable[[], Iterable[str]], is_ours: Callable[[Sequence[str]], int]
) -> str:
    """The delimiter under which most of our headings are found in the header, else most cells.

    *blocks* gives the text from its first record on; *is_ours* counts our headings.
    """
    best, score = ",", (-1, -1)
    for delimiter in DELIMITERS:
        header = _first(blocks(), delimiter)
        if header is None:
            continue
        headings = [value(cell) for cell in header.cells]
        found = (is_ours(headings), len(headings))
        if found > score:
            best, score = delimiter, found
    return best


def _first(blocks: Iterable[str], delimiter: str) -> Record | None:
    try:
        return next((each for each in records(blocks, delimiter) if not each.is_blank), None)
    except Unclosed:
        return None
