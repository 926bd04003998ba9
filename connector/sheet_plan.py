"""What one write sends, and whether its answer shows it where it should be. Pure.

A write names places, and rows move between the reading that found a place and the write. So its
answer has to show the rows as they were in that very moment.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connector.columns import same
from connector.rows import text_of
from connector.sheet_a1 import block, column_of, runs
from connector.sheet_table import Edits, Table
from connector.source import Change

MOST_ROWS: Final = 2000
MOST_CHARACTERS: Final = 50_000
MOST_LETTERS: Final = 1_500_000  # of a call; Google recommends 2 MB


def flushes(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """*changes* in portions that one call can carry, by number and by size."""
    start = size = 0
    for end, change in enumerate(changes):
        weight = sum(len(cell(text_of(value))) for value in change.cells.values())
        if end - start >= MOST_ROWS or (end > start and size + weight > MOST_LETTERS):
            yield changes[start:end]
            start, size = end, 0
        size += weight
    if start < len(changes):
        yield changes[start:]


def cell(text: str) -> str:
    """*text* as a cell can hold it."""
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def body(table: Table, edits: Edits, tab: str) -> dict[str, Any]:
    """The one call that makes *edits*; cells between ours are skipped (null), not written.

    The first range is the header, of which nothing is written: the answer shows where the columns
    were in that moment.
    """
    first, last = table.span
    for cells in edits.values():
        first, last = min(first, *cells), max(last, *cells)
    nothing: list[str | None] = [None] * (last - first + 1)
    data = [
        {
            "range": block(tab, table.header_at, first, table.header_at, last),
            "values": [nothing],
        }
    ]
    for top, bottom in runs(sorted(edits)):
        values = []
        for row in range(top, bottom + 1):
            line = list(nothing)
            for column, text in edits[row].items():
                line[column - first] = cell(text)
            values.append(line)
        data.append({"range": block(tab, top, first, bottom, last), "values": values})
    return {
        "valueInputOption": "RAW",
        "includeValuesInResponse": True,
        "responseValueRenderOption": "FORMATTED_VALUE",
        "data": data,
    }


def narrow_body(edits: Edits, tab: str) -> dict[str, Any]:
    """The same with nothing but the cells that are written: what is beside them is protected.

    The answer then shows too little to tell whose rows they were.
    """
    data = []
    for top, bottom in runs(sorted(edits)):
        columns = sorted({column for row in range(top, bottom + 1) for column in edits[row]})
        for first, last in runs(columns):
            values = [
                [
                    cell(edits[row][column]) if column in edits[row] else None
                    for column in range(first, last + 1)
                ]
                for row in range(top, bottom + 1)
            ]
            data.append({"range": block(tab, top, first, bottom, last), "values": values})
    return {"valueInputOption": "RAW", "data": data}


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """The rows that were written as they were right after; *header* None: it was not shown.

    *is_later*: they were read after the write, so they may have moved once more.
    """

    first: int
    header: list[str] | None
    rows: Mapping[int, list[str]]
    is_later: bool = False

    @classmethod
    def of(cls, sent: Mapping[str, Any], answer: Mapping[str, Any], edits: Edits) -> "Echo | None":
        """What *answer* shows of *sent*; None when it does not show the rows."""
        responses = answer.get("responses") or []
        if len(responses) != len(sent["data"]):
            return None
        shown = [response.get("updatedData") for response in responses]
        if any(each is None for each in shown[1:]):
            return None
        head = shown[0].get("values") if shown[0] else None
        rows: dict[int, list[str]] = {}
        for (top, bottom), each in zip(runs(sorted(edits)), shown[1:], strict=True):
            values = each.get("values") or []
            for row in range(top, bottom + 1):
                line = values[row - top] if row - top < len(values) else []
                rows[row] = [str(text) for text in line]
        return cls(
            first=column_of(sent["data"][0]["range"].rpartition("!")[2].partition(":")[0]),
            header=[str(text) for text in head[0]] if head else None,
            rows=rows,
        )

    def at(self, row: int, column: int) -> str:
        """A cell of a row that was written."""
        cells = self.rows[row]
        place = column - self.first
        return cells[place] if 0 <= place < len(cells) else ""


def header_holds(table: Table, first: int, header: Sequence[str]) -> bool:
    """Whether the columns of ours are still where *table* says, given the header from *first*."""
    for column in table.columns.at.values():
        place = column - first
        text = header[place] if place < len(header) else ""
        if same(text) != same(table.columns.headings[column]):
            return False
    return True


def strays(table: Table, edits: Edits, echo: Echo) -> list[int]:
    """The rows that were written and are not those of *table* any more.

    A row is known by its id and link; one without an id, or with one that others have too, by all
    that was not written.
    """
    at = table.columns.at
    who = [at["tracking_url"], *([at["row_id"]] if "row_id" in at else [])]
    counts: dict[str, int] = defaultdict(int)
    for row in table.body():
        counts[table.row_id(row)] += 1
    first, last = table.span
    everything = list(range(first, last + 1))
    found = []
    for row, cells in edits.items():
        row_id = table.row_id(row)
        is_named = bool(row_id) and counts[row_id] == 1 and at.get("row_id") not in cells
        is_same = all(
            echo.at(row, column).strip() == table.at(row, column).strip()
            for column in (who if is_named else everything)
            if column not in cells
        )
        is_there = not echo.is_later or all(
            echo.at(row, column) == cell(text) for column, text in cells.items()
        )
        if not (is_same and is_there):
            found.append(row)
    return found
