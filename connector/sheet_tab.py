"""One tab of a spreadsheet over the API: what it is, what stands in it, a write with its echo."""

from collections.abc import Sequence

from connector.columns import heading_of
from connector.sheet_a1 import block, last_column, open_column
from connector.sheet_about import FIELDS_ABOUT, About, about_of, check_protection
from connector.sheet_calls import Calls, Json
from connector.sheet_errors import SheetRefused, SheetTooFull
from connector.sheet_links import FIELDS, Found, behind, blocks, cells_of, most_ranges
from connector.sheet_notes import note_of
from connector.sheet_plan import Echo, body, narrow_body
from connector.sheet_table import Edits, Table


class SheetTab:
    """The tab *gid*. Raises SheetError; reads are tried again below, writes are sent once."""

    def __init__(self, calls: Calls, gid: int) -> None:
        self.calls = calls
        self.gid = gid
        self.title = ""
        self.column_count = 0
        self._is_narrow = False
        self._read: list[list[str]] | None = None

    def about(self) -> About:
        """What the tab is now. One read."""
        about = about_of(self.calls.about(FIELDS_ABOUT), self.gid)
        self.title = about.title
        return about

    def rows(self, beside: "SheetTab | None" = None) -> list[list[str]]:
        """All rows as people see them. One read; the title is learned by the way.

        With a tab *beside* its rows are read in the same call, for its next ``rows()``.
        """
        if self._read is not None:
            rows, self._read = self._read, None
            return rows
        tabs = [self] if beside is None else [self, beside]
        try:
            answers = self.calls.read_tabs([tab.gid for tab in tabs])
        except SheetRefused:
            for tab in tabs:
                tab.about()  # says it better where a tab is gone
            raise
        for tab, found in zip(tabs, answers, strict=True):
            range_ = str(found.get("range", ""))
            tab.title = title_in(range_) or tab.title
            tab.column_count = last_column(range_) + 1
            tab._read = [[str(text) for text in row] for row in found.get("values") or []]  # noqa: SLF001
        return self.rows()

    def forget(self) -> None:
        """Drop rows that were read and are not wanted any more."""
        self._read = None

    def put(self, table: Table, edits: Edits) -> Echo:
        """Make *edits* in one write; its answer shows the rows as they were right after.

        Where cells beside ours are protected, only ours are sent, and the rows are read again.
        Raises ColumnProtected where it is ours that are.
        """
        try:
            if not self._is_narrow:
                sent = body(table, edits, self.title)
                echo = Echo.of(sent, self.calls.write_values(sent), edits)
                if echo is not None and echo.header is not None:
                    return echo
            else:
                self.calls.write_values(narrow_body(edits, self.title))
        except SheetRefused as error:
            if error.status != 400 or not self._can_avoid(table, edits):
                raise
            return self.put(table, edits)
        # Not shown: look. That costs a read, and a moment in which more may move.
        rows = self.rows()
        return Echo(
            first=0,
            header=rows[table.header_at] if table.header_at < len(rows) else [],
            rows={row: rows[row] if row < len(rows) else [] for row in edits},
            is_later=True,
        )

    def allowed(self, edits: Edits) -> Edits:
        """Those of *edits* that nobody forbids us."""
        about = self.about()
        return {
            row: cells
            for row, cells in edits.items()
            if not any(about.forbids(row, column) for column in cells)
        }

    def _can_avoid(self, table: Table, edits: Edits) -> bool:
        """Whether a refused write may do without the cells beside ours."""
        about = self.about()
        check_protection(
            about, table, {column for cells in edits.values() for column in cells}, self.calls
        )
        if self._is_narrow:
            return False
        first, last = table.span
        self._is_narrow = any(
            about.forbids(row, column)
            for row in (table.header_at, *edits)
            for column in range(first, last + 1)
            if column not in edits.get(row, {})
        )
        return self._is_narrow

    def formulas(self, table: Table) -> tuple[list[int], list[int]] | None:
        """The rows whose id, and those whose link, is made by a formula; None: rows moved."""
        first = table.header_at + 1
        if first >= len(table.rows):
            return [], []
        names = [name for name in ("row_id", "tracking_url") if name in table.columns.at]
        ranges = [open_column(self.title, first, table.columns.at[name]) for name in names]
        found: dict[str, list[int]] = {"row_id": [], "tracking_url": []}
        try:
            answers = self.calls.read_ranges(ranges, render="FORMULA")
        except SheetRefused as error:
            if error.is_out_of_place:
                return None
            raise
        for name, answer in zip(names, answers, strict=True):
            column = table.columns.at[name]
            values = answer.get("values") or []
            for row in range(first, max(len(table.rows), first + len(values))):
                line = values[row - first] if row - first < len(values) else []
                value = line[0] if line else ""
                if isinstance(value, str):
                    if value.startswith("=") and table.at(row, column) != value:
                        found[name].append(row)
                    elif value.strip() != table.at(row, column).strip():
                        return None
        return found["row_id"], found["tracking_url"]

    def links(self, table: Table, rows: Sequence[int]) -> dict[int, Found] | None:
        """The links behind the labels of *rows*; None: rows moved meanwhile."""
        at = table.columns.at
        who = sorted({at["tracking_url"], at.get("row_id", at["tracking_url"])})
        found: dict[int, Found] = {}
        wanted = set(rows)
        for some in blocks(rows, most_ranges(self.title, len(who))):
            ranges = [
                block(self.title, top, column, bottom, column)
                for top, bottom in some
                for column in who
            ]
            try:
                cells = cells_of(self.calls.about(FIELDS, ranges), self.gid)
            except SheetRefused as error:
                if error.is_out_of_place:
                    return None
                raise
            for top, bottom in some:
                for row in range(top, bottom + 1):
                    if row not in wanted:
                        continue
                    for column in who:
                        shown = str(cells.get((row, column), {}).get("formattedValue", ""))
                        if shown.strip() != table.at(row, column).strip():
                            return None
                    text = table.at(row, at["tracking_url"]).strip()
                    found[row] = behind(cells.get((row, at["tracking_url"]), {}), text)
        return found

    def header_formulas(self, table: Table) -> dict[int, str]:
        """The header as it was entered: column → text or formula."""
        top = table.header_at
        width = max(len(table.rows[top]), 1)
        found = self.calls.read_ranges(
            [block(self.title, top, 0, top, width - 1)], render="FORMULA"
        )
        values = (found[0].get("values") or [[]]) if found else [[]]
        return {column: str(text) for column, text in enumerate(values[0])}

    def make_columns(
        self, table: Table, missing: Sequence[str], *, protect: bool, mapping: dict[str, str]
    ) -> dict[int, str]:
        """Head the columns of ours that are missing, right of everything. One write.

        Returns which heading stands where.
        """
        first = table.width
        requests: list[Json] = []
        if (lacking := first + len(missing) - self.column_count) > 0:
            requests.append(
                {
                    "appendDimension": {
                        "sheetId": self.gid,
                        "dimension": "COLUMNS",
                        "length": lacking,
                    }
                }
            )
        cells = [
            {
                "userEnteredValue": {"stringValue": heading_of(name, mapping)},
                "note": note_of(name),
            }
            for name in missing
        ]
        start = {"sheetId": self.gid, "rowIndex": table.header_at, "columnIndex": first}
        requests.append(
            {
                "updateCells": {
                    "rows": [{"values": cells}],
                    "fields": "userEnteredValue,note",
                    "start": start,
                }
            }
        )
        if protect:
            requests.append(self._warning(first, first + len(missing)))
        try:
            self.calls.change(requests)
        except SheetRefused as error:
            if error.status == 400 and lacking > 0:
                raise SheetTooFull(str(error)) from error
            raise
        return {first + place: heading_of(name, mapping) for place, name in enumerate(missing)}

    def _warning(self, first: int, end: int) -> Json:
        return {
            "addProtectedRange": {
                "protectedRange": {
                    "range": {
                        "sheetId": self.gid,
                        "startColumnIndex": first,
                        "endColumnIndex": end,
                    },
                    "description": "Linkrow writes its results here",
                    "warningOnly": True,
                }
            }
        }


def title_in(range_: str) -> str:
    """The tab's title in a range of Google's: ``'It''s'!A1:B2`` is of *It's*."""
    tab, mark, _ = range_.rpartition("!")
    if not mark:
        return ""
    if tab.startswith("'") and tab.endswith("'"):
        return tab[1:-1].replace("''", "'")
    return tab
