"""What was found in a tab before anything is written to it, and what a run will cost. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.columns import Columns
from connector.sheet_a1 import cell_name, letters
from connector.sheet_about import About
from connector.sheet_plan import MOST_ROWS
from connector.sheet_table import CHECK_REF, OURS, Table
from connector.source import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """API calls; Google allows 60 reads and 60 writes a minute and user."""

    reads: int
    writes: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.reads + self.writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """*missing* columns are made with the first write; *misplaced* results are put right by audit.

    *obstacles* are sentences on what stands in the way of some or all results.
    """

    spreadsheet: str
    tab: str
    header_row: int
    columns: Columns
    missing: tuple[str, ...]
    rows: Sequence[Row] = field(repr=False)
    labels: int
    formula_ids: int
    formula_links: int
    misplaced: int
    obstacles: tuple[str, ...]
    cost: Cost

    @property
    def with_id(self) -> int:
        """Rows that have an id."""
        return sum(bool(row.row_id) for row in self.rows)

    @property
    def blank_links(self) -> int:
        """Rows without a link."""
        return sum(not row.tracking_url for row in self.rows)

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Ids that several rows have."""
        counts = Counter(row.row_id for row in self.rows if row.row_id)
        return tuple(row_id for row_id, count in counts.items() if count > 1)


def cost_of(
    rows: Sequence[Row], *, labels: int = 0, missing: bool = False, results_tab: bool = False
) -> Cost:
    """The calls of one run over *rows* when nobody interferes and nothing must be tried again.

    Looking at the tab before and after ids are given, ids, and results for every row with a link.
    """
    links = sum(bool(row.tracking_url) for row in rows)
    ids = sum(bool(row.tracking_url) and not row.row_id for row in rows)
    looks = 2 if not labels else 3
    gone = -(-links // MOST_ROWS)
    reads = 1 + 2 * looks + max(0, -(-ids // MOST_ROWS) - 1)
    writes = int(missing) + -(-ids // MOST_ROWS) + gone
    if results_tab:
        return Cost(reads=reads + 1, writes=writes)
    return Cost(reads=reads + gone * (2 if labels else 1), writes=writes)


def obstacles_of(
    about: About, table: Table, *, formula_ids: int, formula_links: int, address: str
) -> tuple[str, ...]:
    """What a person should know before results are written."""
    said = []
    body = list(table.body())
    whom = address or "Linkrow's account"
    rows: set[int] = set()
    for name in (*OURS, "row_id"):
        column = table.columns.at.get(name)
        if column is None or not body or not about.protections:
            continue
        held = [row for row in body if about.forbids(row, column)]
        if len(held) == len(body):
            said.append(
                f"column {letters(column)} ({table.columns.headings[column]}) is protected; "
                f"allow {whom} to edit it (Data > Protect sheets and ranges)"
            )
        else:
            rows.update(held)
    if rows:
        first = cell_name(min(rows), table.columns.at.get(CHECK_REF, 0))
        said.append(
            f"{len(rows)} rows are protected (the first at {first}) and will get no result; "
            f"allow {whom} to edit them"
        )
    if formula_ids:
        said.append(
            f"{formula_ids} row ids are made by formulas and change with their rows; paste them "
            "as values (Edit > Paste special > Values only)"
        )
    if formula_links:
        said.append(
            f"{formula_links} links are made by formulas; they are read as they show, and a result "
            "that comes after its link changed is not written"
        )
    return tuple(said)
