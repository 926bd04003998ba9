"""A1 and R1C1 notation: reading what clients send, spelling what Google answers."""

import re
from typing import NamedTuple

from tests.emulators.sheets.gridrange import GridRange


class Corner(NamedTuple):
    """One end of a range, zero-based; None where a whole row or column is meant."""

    row: int | None
    column: int | None


class Parsed(NamedTuple):
    """`title` is None where the text names no tab. Ends are half-open; None is open."""

    title: str | None
    r0: int | None
    r1: int | None
    c0: int | None
    c1: int | None

    def on(self, sheet_id: int) -> GridRange:
        return GridRange(sheet_id, self.r0, self.r1, self.c0, self.c1)


class NotARange(ValueError):
    """The text is no A1 and no R1C1 notation; it may still be a tab's or a named range's name."""


_A1 = re.compile(r"\$?([A-Za-z]{1,3})?\$?([0-9]{1,7})?\Z")
_R1C1 = re.compile(r"(?:R([0-9]{1,7}))?(?:C([0-9]{1,5}))?\Z", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LOOKS_LIKE_A_CELL = re.compile(
    r"(?:[A-Za-z]{1,3}[0-9]{1,7}|R[0-9]+C[0-9]+|R|C|RC)\Z", re.IGNORECASE
)


def column_name(column: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def column_number(name: str) -> int:
    number = 0
    for letter in name.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def cell_name(row: int, column: int) -> str:
    return f"{column_name(column)}{row + 1}"


def quoted(title: str) -> str:
    """A tab's title as a range spells it: in quotes only where it needs them."""
    if _BARE.match(title) and not _LOOKS_LIKE_A_CELL.match(title):
        return title
    return "'" + title.replace("'", "''") + "'"


def split_title(text: str) -> tuple[str | None, str | None]:
    """(title, rest) of `'Tab'!A1`, `Tab!A1`, `'Tab'`; (None, text) where no tab is named.

    The rest is None where the whole text is a quoted title.
    """
    if text.startswith("'"):
        end = 1
        while True:
            end = text.find("'", end)
            if end < 0:
                raise NotARange(text)
            if text[end + 1 : end + 2] != "'":
                break
            end += 2
        title = text[1:end].replace("''", "'")
        rest = text[end + 1 :]
        if not rest:
            return title, None
        if rest.startswith("!"):
            return title, rest[1:]
        raise NotARange(text)
    title, mark, rest = text.rpartition("!")
    return (title, rest) if mark else (None, text)


def parse_cells(text: str) -> Parsed:
    """`A1`, `A1:B2`, `A:C`, `3:4`, `A2:C`, `A1:1`, `$A$1`, `R1C1:R2C2`; corners in any order."""
    first, colon, second = text.partition(":")
    a = _corner(first, alone=not colon)
    b = _corner(second, alone=False) if colon else a
    rows = [c.row for c in (a, b) if c.row is not None]
    columns = [c.column for c in (a, b) if c.column is not None]
    r0, r1 = _span(rows)
    c0, c1 = _span(columns)
    return Parsed(None, r0, r1, c0, c1)


def _span(ends: list[int]) -> tuple[int | None, int | None]:
    if not ends:
        return None, None
    if len(ends) == 1:
        return ends[0], None
    return min(ends), max(ends) + 1


def _corner(text: str, *, alone: bool) -> Corner:
    if match := _A1.match(text):
        letters, digits = match.groups()
        row = int(digits) - 1 if digits else None
        column = column_number(letters) if letters else None
    elif text and (match := _R1C1.match(text)):
        r, c = match.groups()
        row = int(r) - 1 if r else None
        column = int(c) - 1 if c else None
    else:
        raise NotARange(text)
    if (row is None and column is None) or row == -1 or column == -1:
        raise NotARange(text)
    if alone and (row is None or column is None):
        raise NotARange(text)
    return Corner(row, column)


def range_text(r: GridRange) -> str:
    """`A1:B2`, `A1` for one cell, `A:C`, `2:3`; an open end is left open."""
    if None not in (r.r0, r.r1, r.c0, r.c1) and r.r1 == r.r0 + 1 and r.c1 == r.c0 + 1:  # type: ignore[operator]
        return cell_name(r.r0, r.c0)  # type: ignore[arg-type]
    whole_rows = r.c0 is None and r.c1 is None
    whole_columns = r.r0 is None and r.r1 is None
    if whole_rows and whole_columns:
        return ""
    start = "" if whole_rows else column_name(r.c0 or 0)
    end = "" if r.c1 is None else column_name(r.c1 - 1)
    if not whole_columns:
        start += str((r.r0 or 0) + 1)
        end += "" if r.r1 is None else str(r.r1)
    return f"{start}:{end}"
