"""A tab of results beside the tab of links: what it holds, and the formulas that look it up. Pure.

Results are only ever appended, each with its row id, so no result can land in another row however
often people sort; of several for one row the last one stands. What a change does not name is
carried over from the row's result before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from connector.columns import heading_of
from connector.rows import text_of
from connector.sheet_a1 import letters, quoted
from connector.sheet_plan import cell
from connector.sheet_table import Table
from connector.source import Cells, Row
from wire import times
from wire.vocab import RESULT_COLUMNS

COLUMNS: Final = (
    "row_id", "tracking_url", "written_at", *RESULT_COLUMNS,
    "http_status", "hop_count", "previous_final_url", "job_id",
)  # fmt: skip
LOOKED_UP: Final = tuple(name for name in RESULT_COLUMNS if name != "check_status")
"""The columns of the links' tab that show results; check_status stays the operator's (paused)."""
KEY: Final = "linkrow_results_of"
TOO_MANY: Final = 5_000

_SAYS: Final = COLUMNS[3:]


def title_of(tab: str) -> str:
    """What the tab of results of *tab* is called; people may rename it."""
    return f"{tab[:80]} - Linkrow results"


@dataclass(slots=True)
class Results:
    """What the tab of results says of each row id: its last entry."""

    last: dict[str, dict[str, str]] = field(default_factory=dict)
    entries: int = 0

    @classmethod
    def of(cls, rows: Sequence[list[str]]) -> "Results":
        """Read the tab; its first row is our header."""
        found = cls()
        for row in rows[1:]:
            texts = dict(zip(COLUMNS, row, strict=False))
            row_id = texts.get("row_id", "").strip()
            if not row_id:
                continue
            found.entries += 1
            before = found.last.get(row_id)
            # By time and not by place: also a tab of results may be sorted.
            if before is None or before.get("written_at", "") <= texts.get("written_at", ""):
                found.last[row_id] = texts
        return found

    @property
    def is_bulky(self) -> bool:
        """Whether most entries are outdated."""
        return self.entries > 2 * len(self.last) + TOO_MANY

    def text(self, row_id: str, tracking_url: str, name: str) -> str | None:
        """What is known of this row while it has this link; None when nothing is."""
        entry = self.last.get(row_id)
        if entry is None or entry.get("tracking_url", "").strip() != tracking_url:
            return None
        return entry.get(name, "")


def with_results(row: Row, results: Results) -> Row:
    """*row* as its last result reads; an answer about another link is none."""
    entry = results.last.get(row.row_id) if row.row_id else None
    if entry is None:
        return row
    if entry.get("tracking_url", "").strip() != row.tracking_url:
        entry = {}
    return replace(
        row,
        check_status=row.check_status or entry.get("check_status", ""),
        final_url=entry.get("final_url", ""),
        conclusion=entry.get("conclusion", ""),
        last_checked=entry.get("last_checked", ""),
    )


def entry_of(
    row_id: str, tracking_url: str, before: Mapping[str, str], cells: Cells, *, now: datetime
) -> list[str] | None:
    """A row for the tab of results; None where it would say what stands there already."""
    texts = {name: before.get(name, "") for name in _SAYS}
    for name, value in cells.items():
        if name in texts:
            texts[name] = cell(text_of(value))
    if before and all(texts[name] == before.get(name, "") for name in _SAYS):
        return None
    return [row_id, tracking_url, times.to_text(now), *(texts[name] for name in _SAYS)]


def shown_by(header: Mapping[int, str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Which columns show results by a formula of ours in the header: name → column."""
    return {
        name: column
        for column, text in header.items()
        for name in LOOKED_UP
        if text.startswith(_head(name, mapping))
    }


def looks_up(formula: str, results: str) -> bool:
    """Whether a heading's formula looks into the tab of results as it is called now."""
    return formula.startswith("=") and quoted(results) in formula and "#REF!" not in formula


def _head(name: str, mapping: Mapping[str, str]) -> str:
    heading = heading_of(name, mapping).replace('"', '""')
    return f'={{"{heading}";'


def formulas(table: Table, results: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """The formula for the heading of each column that shows results.

    It stands in the header, where no sort takes it along, and fills the column below.
    """
    at = table.columns.at
    first = table.header_at + 2
    ids = f"{letters(at['row_id'])}{first}:{letters(at['row_id'])}"
    tab = quoted(results)
    made = {}
    for name in LOOKED_UP:
        column = letters(COLUMNS.index(name))
        made[name] = (
            f'{_head(name, mapping)}ARRAYFORMULA(IF(LEN({ids})=0,"",'
            f'XLOOKUP({ids},{tab}!$A:$A,{tab}!${column}:${column},"",0,-1)))}}'
        )
    return made
