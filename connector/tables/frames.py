"""pandas frames over records: every cell is text, nothing is turned into a number or NaN."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import pandas as pd

from connector.tables.tokenizer import Record, value

_NO_TEXT: Final = re.compile("[\ud800-\udfff]")


def frames(
    rows: Iterable[Record], headings: Sequence[str], *, size: int = 10_000
) -> Iterator[pd.DataFrame]:
    """*rows* in frames of at most *size*; short rows are padded, cells beyond the headings kept.

    A heading that stands twice gets ``.1``, ``.2`` behind it, so that every column has a name.
    What is no text (a lone surrogate, as faulty bytes are decoded) becomes U+FFFD.
    """
    names = _unique(headings)
    source = (row for row in rows if not row.is_blank)
    while batch := list(islice(source, size)):
        width = max(len(names), *(len(row.cells) for row in batch))
        columns = [*names, *_beyond(names, width)]
        cells = [
            [_text(value(cell)) for cell in row.cells] + [""] * (width - len(row.cells))
            for row in batch
        ]
        yield pd.DataFrame(cells, columns=columns, dtype=str)


def _text(cell: str) -> str:
    return cell if cell.isascii() else _NO_TEXT.sub("\ufffd", cell)


def _unique(headings: Sequence[str]) -> list[str]:
    names: list[str] = []
    taken = set(headings)
    for heading in headings:
        name, count = heading, 0
        while name in names or (count and name in taken):
            count += 1
            name = f"{heading}.{count}"
        names.append(name)
    return names


def _beyond(names: Sequence[str], width: int) -> list[str]:
    """Names for cells beyond the headings, none of which is a heading."""
    taken = set(names)
    found: list[str] = []
    for number in range(len(names) + 1, width + 1):
        name = f"column {number}"
        while name in taken:
            name += "'"
        taken.add(name)
        found.append(name)
    return found
