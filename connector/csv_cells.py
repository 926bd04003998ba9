"""Cells of ours put into the records of a CSV file, every other character left as it is."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from connector.columns import heading_of
from connector.csv_reader import Format
from connector.csv_rows import Rows
from connector.errors import MissingColumn
from connector.rows import text_of
from connector.source import Cells, Revision
from connector.tables.formulas import neutralise
from connector.tables.tokenizer import split, value, written
from wire.vocab import TOOL_COLUMNS

_MAX_CELL: Final = 32_000  # a spreadsheet's cell holds 32,767 characters

Edit = Callable[[int, list[str]], int]
"""Change some of these records' texts, of which the first has this number; returns how many."""


class Maker:
    """Puts cells into records; columns of ours that are missing come after the widest record."""

    def __init__(self, found: Format, mapping: Mapping[str, str]) -> None:
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

    def edit_by(self, revision: Revision, rows: Rows) -> Edit:
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


def _cell_text(text: str) -> str:
    """What we put into a cell: one line, no control characters, not endless."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text[:_MAX_CELL]
