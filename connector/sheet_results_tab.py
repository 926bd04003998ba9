"""The tab of results over the API: made once, appended to, and cut back to what still stands."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connector.rows import Targets
from connector.sheet_a1 import quoted
from connector.sheet_audit import PAUSED
from connector.sheet_calls import Json
from connector.sheet_errors import SheetMoving, TabNotFound
from connector.sheet_links import shows_a_label
from connector.sheet_plan import MOST_ROWS
from connector.sheet_results import (
    COLUMNS,
    KEY,
    LOOKED_UP,
    Results,
    entry_of,
    formulas,
    looks_up,
    shown_by,
    title_of,
)
from connector.sheet_tab import SheetTab
from connector.sheet_table import Table
from connector.sheet_writing import SheetWriter
from connector.source import Cells, Change, Written

_GOES: Final = 4
_FIELDS: Final = (
    "sheets(properties(sheetId,title,gridProperties(columnCount)),"
    "developerMetadata(metadataKey,metadataValue))"
)


class ResultsTab:
    """Where the results of the tab that *writer* knows go. Raises SheetError."""

    def __init__(
        self, writer: SheetWriter, mapping: Mapping[str, str], *, wall: Callable[[], datetime]
    ) -> None:
        self._writer = writer
        self._tab: SheetTab | None = None
        self._mapping = mapping
        self._wall = wall

    def ready(self) -> None:
        """Make the tab and the formulas that look it up, where they are not there yet."""
        calls = self._writer.tab.calls
        if self._tab is None:
            self._tab = self._find() or calls.patiently(self._make)
            calls.patiently(self._show)

    def results(self) -> Results:
        """What the tab says; nothing where it is not there yet."""
        if self._tab is None:
            self._tab = self._find()
        try:
            return Results.of(self._tab.rows()) if self._tab else Results()
        except TabNotFound:
            self._tab = None
            return Results()

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Append what each change says of its row; one look and a write for each 2,000."""
        self.ready()
        for _ in range(_GOES):
            answers = self._writer.tab.calls.patiently(lambda: self._go(changes))
            if answers is not None:
                return list(answers)
        raise SheetMoving(self._writer.tab.title)

    def _go(self, changes: Sequence[Change]) -> list[Written] | None:
        try:
            # The results are of the same moment: both tabs come in one call.
            table = self._writer.table(beside=self._tab)
        except TabNotFound:
            if self._find() is not None:
                raise
            self._tab = None  # somebody deleted the tab of results: make it anew
            self.ready()
            return None
        results = self.results()
        targets = Targets(changes)
        wanted = [row for row in table.body() if table.row_id(row) in targets.found]
        labels = [row for row in wanted if shows_a_label(table.text(row, "tracking_url"))]
        links = self._writer.tab.links(table, labels) if labels else {}
        if links is None:
            return None
        held = {}
        for row in wanted:
            row_id = table.row_id(row)
            link = links[row].link if row in links else table.text(row, "tracking_url").strip()
            held[row] = (row_id, link)
            checked = results.text(row_id, link, "last_checked")
            if checked is None:
                checked = table.text(row, "last_checked")
            targets.see(row_id, link, checked, place=row)
        answers, at = targets.settle()
        now = self._wall()
        entries = []
        for row, cells in at.items():
            row_id, link = held[row]
            before = results.last.get(row_id, {})
            if before.get("tracking_url", link).strip() != link:
                before = {}
            if entry := entry_of(row_id, link, before, cells, now=now):
                entries.append(entry)
        self._append(entries)
        return answers

    def tell(self, told: Sequence[tuple[str, str, Cells]]) -> set[int]:
        """Append what rows (id, link) are told, without a look at where they are.

        Returns which of *told* are news. Rows without an id have no place here; of those that
        share one the first speaks for all.
        """
        self.ready()
        return set(self._writer.tab.calls.patiently(lambda: self._tell(told)))

    def _tell(self, told: Sequence[tuple[str, str, Cells]]) -> set[int]:
        results, now = self.results(), self._wall()
        entries: dict[str, list[str]] = {}
        done: set[int] = set()
        for number, (row_id, link, cells) in enumerate(told):
            before = results.last.get(row_id, {}) if row_id else {}
            entry = entry_of(row_id, link, before, cells, now=now)
            if row_id and entry and entries.setdefault(row_id, entry) is entry:
                done.add(number)
        self._append(list(entries.values()))
        return done

    def tidy(self) -> bool:
        """Cut the tab back to the last entry of each row, where most are outdated; one write.

        Sorting and removing happen in one call, so nothing can come in between.
        """
        results = self.results()
        if self._tab is None or not results.is_bulky:
            return False
        body = {"sheetId": self._tab.gid, "startRowIndex": 1}
        self._writer.tab.calls.change(
            [
                {
                    "sortRange": {
                        "range": body,
                        "sortSpecs": [{"dimensionIndex": 2, "sortOrder": "DESCENDING"}],
                    }
                },
                {
                    "deleteDuplicates": {
                        "range": body,
                        "comparisonColumns": [
                            {
                                "sheetId": self._tab.gid,
                                "dimension": "COLUMNS",
                                "startIndex": 0,
                                "endIndex": 1,
                            }
                        ],
                    }
                },
            ]
        )
        return True

    def _append(self, entries: list[list[str]]) -> None:
        assert self._tab is not None
        calls = self._writer.tab.calls
        for start in range(0, len(entries), MOST_ROWS):
            calls.append_values(f"{quoted(self._tab.title)}!A1", entries[start : start + MOST_ROWS])

    def _find(self) -> SheetTab | None:
        for each in self._writer.tab.calls.about(_FIELDS).get("sheets") or []:
            for kept in each.get("developerMetadata") or []:
                if kept.get("metadataKey") == KEY and kept.get("metadataValue") == str(
                    self._writer.tab.gid
                ):
                    properties = each.get("properties") or {}
                    return self._tab_of(properties)
        return None

    def _make(self) -> SheetTab:
        if found := self._find():  # made by a call whose answer was lost
            return found
        calls = self._writer.tab.calls
        about = self._writer.tab.about()
        title, taken = title_of(about.title), {tab.casefold() for tab in about.tabs}
        number = 2
        while title.casefold() in taken:
            title, number = f"{title_of(about.title)} {number}", number + 1
        gid = _free_gid(calls.about(_FIELDS))
        head: list[Json] = [{"userEnteredValue": {"stringValue": name}} for name in COLUMNS]
        calls.change(
            [
                {
                    "addSheet": {
                        "properties": {
                            "sheetId": gid,
                            "title": title,
                            "gridProperties": {
                                "rowCount": 1000,
                                "columnCount": len(COLUMNS),
                                "frozenRowCount": 1,
                            },
                        }
                    }
                },
                {
                    "updateCells": {
                        "rows": [{"values": head}],
                        "fields": "userEnteredValue",
                        "start": {"sheetId": gid, "rowIndex": 0, "columnIndex": 0},
                    }
                },
                {
                    "createDeveloperMetadata": {
                        "developerMetadata": {
                            "metadataKey": KEY,
                            "metadataValue": str(self._writer.tab.gid),
                            "location": {"sheetId": gid},
                            "visibility": "DOCUMENT",
                        }
                    }
                },
                {
                    "addProtectedRange": {
                        "protectedRange": {
                            "range": {"sheetId": gid},
                            "description": "Linkrow appends its results here",
                            "warningOnly": True,
                        }
                    }
                },
            ]
        )
        return self._tab_of({"sheetId": gid, "title": title})

    def _tab_of(self, properties: Mapping[str, Any]) -> SheetTab:
        tab = SheetTab(self._writer.tab.calls, int(properties.get("sheetId", 0)))
        tab.title = str(properties.get("title", ""))
        return tab

    def _show(self) -> None:
        """Put the formulas into the header; what stands in those columns is taken over first."""
        assert self._tab is not None
        tab, title = self._writer.tab, self._tab.title
        table = self._writer.table()
        # A heading whose formula is broken reads #REF!, and is still ours.
        shown = shown_by(tab.header_formulas(table), self._mapping)
        missing = [name for name in LOOKED_UP if name not in shown]
        table = self._writer.ready_for(("row_id", *missing))
        at = {**{name: table.columns.at[name] for name in missing}, **shown}
        header = tab.header_formulas(table)
        wanted = {
            at[name]: text
            for name, text in formulas(table, title, self._mapping).items()
            if not looks_up(header.get(at[name], ""), title)
        }
        if not wanted:
            return
        for _ in range(_GOES):
            if self._take_over(table, set(missing)):
                break
            table = self._writer.settled_for(("row_id", *missing))
        tab.calls.change(
            [
                {
                    "updateCells": {
                        "rows": [{"values": [{"userEnteredValue": {"formulaValue": text}}]}],
                        "fields": "userEnteredValue",
                        "start": {
                            "sheetId": tab.gid,
                            "rowIndex": table.header_at,
                            "columnIndex": column,
                        },
                    }
                }
                for column, text in wanted.items()
            ]
        )

    def _take_over(self, table: Table, names: set[str]) -> bool:
        """Results that were written in place move over, so that the formulas have room.

        Of check_status only a pause stays: the column is the operator's from now on. Returns
        whether nothing was left to be done.
        """
        known = self.results()
        names = names | ({"check_status"} & set(table.columns.at))
        entries, edits = [], {}
        now = self._wall()
        for row in table.body():
            texts = {name: table.text(row, name) for name in names if table.text(row, name)}
            if texts.get("check_status", "").strip().casefold() == PAUSED:
                del texts["check_status"]
            if not texts:
                continue
            row_id, link = table.row_id(row), table.text(row, "tracking_url").strip()
            edits[row] = {table.columns.at[name]: "" for name in texts}
            entry = entry_of(row_id, link, {}, texts, now=now)
            if row_id and row_id not in known.last and entry:
                entries.append(entry)
        self._append(entries)
        if edits:
            self._writer.mend(table, edits)
        return not edits


def _free_gid(about: Json) -> int:
    taken = {(each.get("properties") or {}).get("sheetId", 0) for each in about.get("sheets") or []}
    gid = 710_001
    while gid in taken:
        gid += 1
    return gid
