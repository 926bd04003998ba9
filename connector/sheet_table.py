"""A tab as one reading found it: which row is the header, which column is which, what stands where.

The header is the first row with a heading for the links, among the first rows that are not blank;
so a title line above it does no harm, and it may move.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from connector.columns import Columns, same
from connector.sheet_errors import NoHeaderRow
from wire.vocab import RESULT_COLUMNS, TOOL_COLUMNS

CHECK_REF: Final = "check_ref"
"""Holds the id of the row that the results beside it belong to."""
NO_ID: Final = "-"
"""What check_ref says beside results of a row that has no id."""
MADE: Final = ("row_id", *RESULT_COLUMNS, CHECK_REF)
"""The columns that are made where they are missing."""
OURS: Final = (*RESULT_COLUMNS, *TOOL_COLUMNS)
"""What a result may say, and whose it is; nothing else of the tab is ever written but row_id."""

_INPUT: Final = ("offer_name", "expected_domain", "source_mode")
HEADER_WITHIN: Final = 20

Edits = dict[int, dict[int, str]]
"""Row → column → new text; both count from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One reading. Rows are as long as their last cell with content; all counts from 0."""

    header_at: int
    columns: Columns
    rows: Sequence[list[str]]

    @classmethod
    def of(cls, rows: Sequence[list[str]], mapping: Mapping[str, str], *, tab: str) -> Self:
        """Find the header in *rows*.

        Raises NoHeaderRow, MissingColumn, DuplicateColumn and ColumnMeansTwo.
        """
        header_at = find_header(rows, mapping)
        if header_at is None:
            raise NoHeaderRow(tab)
        headings = [heading.strip() for heading in rows[header_at]]
        required = ("tracking_url", *(name for name in _INPUT if name in mapping))
        columns = Columns.find(headings, mapping, required=required)
        return cls(header_at=header_at, columns=columns, rows=rows)

    @property
    def missing(self) -> list[str]:
        """The columns that must be made before results can be written."""
        return [name for name in MADE if name not in self.columns.at]

    @property
    def width(self) -> int:
        """How many columns have any content."""
        return max(map(len, self.rows), default=0)

    @property
    def span(self) -> tuple[int, int]:
        """From the first to the last column of ours, both included."""
        return min(self.columns.at.values()), max(self.columns.at.values())

    @property
    def ours(self) -> list[int]:
        """The columns that results may be in."""
        return [self.columns.at[name] for name in OURS if name in self.columns.at]

    def body(self) -> Iterator[int]:
        """The rows below the header that have any content."""
        for row in range(self.header_at + 1, len(self.rows)):
            if any(self.rows[row]):
                yield row

    def at(self, row: int, column: int | None) -> str:
        """The text of one cell; what was not read is blank."""
        if column is None or row >= len(self.rows):
            return ""
        cells = self.rows[row]
        return cells[column] if column < len(cells) else ""

    def text(self, row: int, name: str) -> str:
        """The text of a column of ours; blank where there is no such column."""
        return self.at(row, self.columns.at.get(name))

    def row_id(self, row: int) -> str:
        """The row's id, without blanks around it."""
        return self.text(row, "row_id").strip()

    def owner(self, row: int) -> str:
        """What check_ref must say for the results of this row to be its own."""
        return self.row_id(row) or NO_ID

    def ref(self, row: int) -> str:
        """Whose results stand in this row; blank where nobody said."""
        return self.text(row, CHECK_REF).strip()

    def rest(self, row: int, but: frozenset[int]) -> tuple[str, ...]:
        """What the row says in all columns *but* these: as good as a name for a row without one."""
        cells = [
            "" if column in but else cell.strip() for column, cell in enumerate(self.rows[row])
        ]
        while cells and not cells[-1]:
            cells.pop()
        return tuple(cells)

    def patched(self, edits: Edits) -> Self:
        """The same with *edits* made."""
        if not edits:
            return self
        rows = list(self.rows)
        for row, cells in edits.items():
            changed = list(rows[row]) if row < len(rows) else []
            changed += [""] * (max(cells) + 1 - len(changed))
            for column, text in cells.items():
                changed[column] = text
            while row >= len(rows):
                rows.append([])
            rows[row] = changed
        return replace(self, rows=rows)


def find_header(rows: Sequence[list[str]], mapping: Mapping[str, str]) -> int | None:
    """The row that heads the columns; None where all is blank."""
    links = same(mapping.get("tracking_url", "tracking_url"))
    first = None
    seen = 0
    for row, cells in enumerate(rows):
        if not any(cell.strip() for cell in cells):
            continue
        if any(same(cell) == links for cell in cells):
            return row
        first = row if first is None else first
        seen += 1
        if seen >= HEADER_WITHIN:
            break
    return first
