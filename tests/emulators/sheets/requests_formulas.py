"""The references in formula texts: found, moved along with their cells, or turned into #REF!."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.emulators.sheets.a1 import column_name, column_number, quoted
from tests.emulators.sheets.gridrange import GridRange

if TYPE_CHECKING:
    from tests.emulators.sheets.document import Spreadsheet
    from tests.emulators.sheets.sheet import Sheet

LOST = "#REF!"

_TOKEN = re.compile(
    r"""
    (?P<text>"(?:[^"]|"")*")
    | (?P<reference>
        (?<![\w.$])
        (?P<title>'(?:[^']|'')+'!|[^\W\d][\w.]*!)?
        (?:
            (?P<cell>\$?[A-Za-z]{1,3}\$?[1-9][0-9]{0,6}(?::\$?[A-Za-z]{1,3}(?:\$?[1-9][0-9]{0,6})?)?)
            | (?P<columns>\$?[A-Za-z]{1,3}:\$?[A-Za-z]{1,3}(?:\$?[1-9][0-9]{0,6})?)
            | (?P<rows>\$?[1-9][0-9]{0,6}:\$?[1-9][0-9]{0,6})
        )
        (?![\w.(!])
      )
    """,
    re.VERBOSE,
)
_CORNER = re.compile(r"(\$?)([A-Za-z]{1,3})?(\$?)([0-9]+)?\Z")


@dataclass(frozen=True, slots=True)
class Corner:
    """A part that is None is open; the flags say which part has a `$`."""

    column: int | None
    row: int | None
    fixed_column: bool
    fixed_row: bool

    @property
    def text(self) -> str:
        spelled = ""
        if self.column is not None:
            spelled += ("$" if self.fixed_column else "") + column_name(self.column)
        if self.row is not None:
            spelled += ("$" if self.fixed_row else "") + str(self.row + 1)
        return spelled


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a formula; `title` is None where it is to the formula's own tab."""

    title: str | None
    first: Corner
    last: Corner | None

    @property
    def text(self) -> str:
        spelled = "" if self.title is None else f"{quoted(self.title)}!"
        spelled += self.first.text
        return spelled if self.last is None else f"{spelled}:{self.last.text}"

    def range(self, sheet_id: int) -> GridRange:
        first, last = self.first, self.last or self.first
        return GridRange(
            sheet_id,
            first.row,
            None if last.row is None else last.row + 1,
            first.column,
            None if last.column is None else last.column + 1,
        )

    def at(self, r: GridRange) -> "Reference":
        """The same reference to another place."""
        first = replace(self.first, row=r.r0, column=r.c0)
        if self.last is None:
            return replace(self, first=first)
        last = replace(
            self.last,
            row=None if r.r1 is None else r.r1 - 1,
            column=None if r.c1 is None else r.c1 - 1,
        )
        return replace(self, first=first, last=last)


Change = Callable[[Reference], Reference | None]
"""None: what was referred to is gone."""


def rewrite(formula: str, change: Change) -> str:
    """The formula with each of its references changed; one that stays keeps its spelling."""

    def one(match: re.Match[str]) -> str:
        if match["reference"] is None:
            return match[0]
        found = _read(match)
        if found is None:
            return match[0]
        changed = change(found)
        if changed is None:
            return LOST
        return match[0] if changed == found else changed.text

    return _TOKEN.sub(one, formula)


def _read(match: re.Match[str]) -> Reference | None:
    title = match["title"]
    if title is not None:
        title = title[:-1]
        if title.startswith("'"):
            title = title[1:-1].replace("''", "'")
    text = match["cell"] or match["columns"] or match["rows"]
    first, colon, last = text.partition(":")
    a = _corner(first)
    if not colon:
        return Reference(title, a, None)
    b = _corner(last)
    if b.row is not None and a.row is not None and b.row < a.row:
        return None  # turned round: Google spells it straight, we leave it alone
    return Reference(title, a, b)


def _corner(text: str) -> Corner:
    match = _CORNER.match(text)
    assert match is not None
    dollar, letters, second, digits = match.groups()
    return Corner(
        column_number(letters) if letters else None,
        int(digits) - 1 if digits else None,
        fixed_column=bool(dollar and letters),
        fixed_row=bool(second if letters else dollar),
    )


def moved(formula: str, rows: int, columns: int) -> str:
    """The formula as a copy has it that lies so many rows and columns further on."""

    def corner(c: Corner) -> Corner | None:
        row = c.row if c.row is None or c.fixed_row else c.row + rows
        column = c.column if c.column is None or c.fixed_column else c.column + columns
        if (row is not None and row < 0) or (column is not None and column < 0):
            return None
        return replace(c, row=row, column=column)

    def change(reference: Reference) -> Reference | None:
        first = corner(reference.first)
        last = reference.last and corner(reference.last)
        if first is None or (reference.last is not None and last is None):
            return None
        return replace(reference, first=first, last=last)

    return rewrite(formula, change)


def follow(document: "Spreadsheet", change: Callable[[GridRange], GridRange | None]) -> None:
    """Every formula's references go where `change` says that their cells went."""
    if not document.has_formulas:
        return
    ids = {s.title.casefold(): s.sheet_id for s in document.sheets}
    titles = {s.sheet_id: s.title for s in document.sheets}

    def on(sheet: "Sheet") -> Change:
        def one(reference: Reference) -> Reference | None:
            title = reference.title
            at = sheet.sheet_id if title is None else ids.get(title.casefold())
            if at is None:
                return reference
            before = reference.range(at)
            after = change(before)
            if after is None or after == before:
                return None if after is None else reference
            if after.sheet_id != at:
                reference = replace(reference, title=titles[after.sheet_id])
            return reference.at(after)

        return one

    for sheet in document.sheets:
        change_formulas(sheet, on(sheet))


def change_formulas(sheet: "Sheet", change: Change) -> None:
    found = [
        (r, c, cell)
        for r, row in enumerate(sheet.grid.rows)
        for c, cell in enumerate(row)
        if cell is not None and cell.formula is not None
    ]
    for r, c, cell in found:
        after = rewrite(cell.formula or "", change)
        if after != cell.formula:
            sheet.grid.put(r, c, cell.but(formula=after))


def sheet_renamed(document: "Spreadsheet", before: str, after: str) -> None:
    def change(reference: Reference) -> Reference:
        if reference.title is not None and reference.title.casefold() == before.casefold():
            return replace(reference, title=after)
        return reference

    _everywhere(document, change)


def sheet_gone(document: "Spreadsheet", title: str) -> None:
    def change(reference: Reference) -> Reference | None:
        known = reference.title is not None and reference.title.casefold() == title.casefold()
        return None if known else reference

    _everywhere(document, change)


def _everywhere(document: "Spreadsheet", change: Change) -> None:
    if document.has_formulas:
        for sheet in document.sheets:
            change_formulas(sheet, change)
