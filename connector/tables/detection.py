"""Which text these bytes are: byte order mark, encoding, ``sep=`` line, delimiter."""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from connector.tables.tokenizer import Record, TokenError, records, value

DELIMITERS: Final = (",", ";", "\t", "|")
_SEP = re.compile(r"sep=([^\r\n\"])(?:\r\n|\n|\r)", re.IGNORECASE)
_ASCII: Final = bytes(range(128))
_UNDEFINED: Final = b"\x81\x8d\x8f\x90\x9d"  # in Windows-1252
_UNLIKELY: Final = b"\xfe\xff"  # thorn and y with two dots: alone they are rather no text
_LONGEST_LINE: Final = 8 * 1024 * 1024
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
        """*text* in bytes. Raises UnicodeEncodeError for what neither was read nor is fitted."""
        return text.encode(self.name, self.errors)

    def fit(self, text: str) -> str:
        """*text* with a question mark for each character that the encoding lacks."""
        return text if text.isascii() else text.encode(self.name, "replace").decode(self.name)


def find_encoding(blocks: Callable[[], Iterable[bytes]]) -> Encoding:
    """Which encoding the bytes are in; *blocks* gives all of them, from the start, at each call.

    A byte order mark decides. Then UTF-8 if all of it is valid. Else it is UTF-8 with spoilt lines,
    or Windows-1252: whichever more lines speak for, UTF-8 at a tie, since a line that is called
    spoilt is seen and one that is read wrongly is not.
    """
    head = b"".join(islice(blocks(), 1))[:64]
    for bom, name in _BOMS:
        if head.startswith(bom):
            return Encoding(name=name, bom=bom)
    sample = head[: len(head) // 2 * 2]
    if len(sample) >= 4:
        if not any(sample[1::2]) and all(sample[0::2]):
            return Encoding(name="utf-16-le")
        if not any(sample[0::2]) and all(sample[1::2]):
            return Encoding(name="utf-16-be")
    if _is_utf8(blocks()):
        return Encoding(name="utf-8")
    votes = Counter(_vote(line) for line in _lines(blocks()) if not line.isascii())
    return Encoding(name="cp1252" if votes["cp1252"] > votes["utf-8"] else "utf-8")


def _is_utf8(blocks: Iterable[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Roughly the lines of *blocks*; an endless one is cut."""
    rest = b""
    for block in blocks:
        lines = (rest + block).splitlines(keepends=True)
        rest = lines.pop() if lines else b""
        yield from lines
        if len(rest) > _LONGEST_LINE:
            yield rest
            rest = b""
    yield rest


def _vote(line: bytes) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        high = line.translate(None, _ASCII)
        is_defined = not any(byte in _UNDEFINED for byte in high)
        is_likely = any(byte not in _UNLIKELY for byte in high)
        return "cp1252" if is_defined and is_likely else "neither"
    return "utf-8"


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
    except TokenError:  # under a wrong delimiter anything may look endless
        return None
