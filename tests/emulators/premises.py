"""What the requests that a recording lacks must have left behind, read off what follows."""

import re
from typing import TYPE_CHECKING, Any

from tests.emulators.likeness import canonical, is_id
from tests.emulators.sheets import a1
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.sheet import Sheet

if TYPE_CHECKING:
    from tests.emulators.replay import Replay

_RANGE_IN_PATH = re.compile(r"/values/(.+?)(?::append|:clear)?\Z")


class Premises:
    """`taken` names each pair that was prepared, and how."""

    def __init__(self, replay: "Replay"):
        self.replay = replay
        self.taken: list[tuple[str, str]] = []
        self.born = ""  # when the recording's file was made, as its answers say

    def before(self, rest: list[dict[str, Any]]) -> None:
        """Prepare for the pairs after a hole, as far as their first write."""
        self.file_of(rest)
        run = [rest[0]]
        for pair in rest[1:]:
            if pair["seq"] != run[-1]["seq"] + 1:
                break
            run.append(pair)
        self.tabs(run)
        for pair in run:
            if pair["method"] != "GET":
                break
            self.read(pair)

    def note(self, pair: dict[str, Any], what: str) -> None:
        self.taken.append((pair["id"], what))

    @property
    def document(self) -> Spreadsheet:
        assert self.replay.file is not None
        return self.replay.file.document

    # The file

    def file_of(self, rest: list[dict[str, Any]]) -> None:
        first = rest[0]
        store = self.replay.emulator.store
        body = first["response_body"] or {}
        names = [f["name"] for f in body.get("files", ())]
        if names:
            for name in reversed(names):
                if all(f.title != name for f in store.files.values()):
                    self.note(first, "file")
                    self.replay.file = store.create(name)
        title = (body.get("properties") or {}).get("title") or body.get("name") or body.get("title")
        born = body.get("createdTime") or body.get("createdDate") or ""
        other = self.born and born and born != self.born
        self.born = born or self.born
        if first["status"] == 200 and title and "/copy" not in first["path"]:
            known = self.replay.newest()
            if known is None or other or known.title != title:
                self.note(first, "file")
                self.replay.file = store.create(title)
        if self.replay.newest() is None:
            self.note(first, "file")
            self.replay.file = store.create("Test " + first["cassette"].replace(".", " "))
        if first["status"] == 403:
            self.note(first, "private")
            self.replay.file = store.create("private", "somebody@example.com")
            self.replay.file.extra["private"] = True

    # Tabs, their sizes, and things that requests name by an id nobody has seen

    def tabs(self, run: list[dict[str, Any]]) -> None:
        sized = set()
        answered: set[int] = set()
        for pair in run:
            for asked in [value for name, value in pair["query"] if name == "ranges"]:
                title, _ = a1.split_title(asked)
                if title and pair["status"] == 200 and self.document.sheet_titled(title) is None:
                    self.note(pair, "tab")
                    self.document.sheets.append(Sheet(self.document.fresh_sheet_id(), title))
            for title, shown, asked in self._ranges(pair):
                sheet = self.document.sheet_titled(title)
                if sheet is None:
                    self.note(pair, "tab")
                    sheet = Sheet(self.document.fresh_sheet_id(), title)
                    self.document.sheets.append(sheet)
                if shown is not None and sheet.sheet_id not in sized and asked:
                    sized.add(sheet.sheet_id)
                    self._size(pair, sheet, shown, asked)
            if _resizes(pair):
                sized.update(sheet.sheet_id for sheet in self.document.sheets)
            self._named_things(pair, answered)
            answered.update(_ids_in(pair["response_body"]))

    def _ranges(self, pair: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """(title, the answered range, the asked range) of each range that names a tab."""
        if pair["status"] != 200:
            return []
        body = pair["response_body"] or {}
        found = []
        for asked, shown in zip(_asked(pair), _shown(body), strict=False):
            title, rest = a1.split_title(shown)
            if title is None:
                continue
            found.append((title, a1.parse_cells(rest or "A1"), _open(asked)))
        return found

    def _size(self, pair: dict[str, Any], sheet: Sheet, shown: Any, asked: str) -> None:
        rows = shown.r1 if "rows" in asked else sheet.grid.row_count
        columns = shown.c1 if "columns" in asked else sheet.grid.column_count
        if (rows, columns) != (sheet.grid.row_count, sheet.grid.column_count):
            self.note(pair, "size")
            sheet.grid.resize(rows, columns)

    def _named_things(self, pair: dict[str, Any], answered: set[int]) -> None:
        for request in (pair["request_body"] or {}).get("requests", ()):
            for kind, content in request.items():
                for number in _ids_in(content):
                    if number not in answered:
                        self._thing(pair, kind, number)

    def _thing(self, pair: dict[str, Any], kind: str, number: int) -> None:
        known = self.replay.ids.ours
        if not number or number in known:
            return
        known[number] = number
        if kind.endswith("NamedRange"):
            self.note(pair, "named range")
            self.document.named_ranges.append(
                {"namedRangeId": str(number), "name": "Before", "range": GridRange(0, 0, 1, 0, 1)}
            )
        elif kind.endswith("ProtectedRange"):
            self.note(pair, "protected range")
            self.document.sheets[0].list_of("protectedRanges").append(
                {"protectedRangeId": number, "range": GridRange(0, 0, 1, 0, 1)}
            )
        else:
            titled = [s for s in self.document.sheets if s.title == "worksheet 2"]
            if titled:
                known[number] = titled[0].sheet_id
                return
            self.note(pair, "tab")
            self.document.sheets.append(Sheet(number, f"tab {number}"))

    # What reads show

    def read(self, pair: dict[str, Any]) -> None:
        if pair["status"] != 200 or pair["group"] not in ("values.get", "spreadsheets.get"):
            return
        expected = pair["response_body"]
        if pair["group"] == "values.get":
            if "!NamedRange" in pair["path_decoded"]:
                self._named_range(pair)
            if canonical(self.replay.ours(pair)) != canonical(expected):
                self.note(pair, "values")
                self._fill(expected)
            return
        for i, shown in enumerate(expected.get("sheets", ())):
            sheet = self.document.sheets[i]
            style = (shown.get("properties") or {}).get("tabColorStyle")
            if style and sheet.extra.get("tabColorStyle") != style:
                self.note(pair, "tab color")
                sheet.extra["tabColorStyle"] = style
            if "data" in shown and any(name == "ranges" for name, _ in pair["query"]):
                self._notes(pair, sheet, shown["data"][0])

    def _named_range(self, pair: dict[str, Any]) -> None:
        title, rest = a1.split_title(pair["response_body"]["range"])
        sheet = self.document.sheet_titled(title or "")
        assert sheet is not None
        assert rest is not None
        self.note(pair, "named range")
        self.document.named_ranges.append(
            {
                "namedRangeId": "1",
                "name": "NamedRange",
                "range": a1.parse_cells(rest).on(sheet.sheet_id),
            }
        )

    def _fill(self, answer: dict[str, Any]) -> None:
        title, rest = a1.split_title(answer["range"])
        sheet = self.document.sheet_titled(title or "")
        assert sheet is not None
        r = a1.parse_cells(rest or "").on(sheet.sheet_id)
        r0, r1, c0, c1 = r.bounds(sheet.grid.row_count, sheet.grid.column_count)
        values = answer.get("values", [])
        if answer["majorDimension"] == "COLUMNS":
            height = max(map(len, values), default=0)
            values = [[c[i] if i < len(c) else "" for c in values] for i in range(height)]
        for row in range(r0, min(r1, max(len(sheet.grid.rows), r0 + len(values)))):
            given = values[row - r0] if row - r0 < len(values) else []
            cells: list[Cell | None] = []
            for column in range(c1 - c0):
                value = given[column] if column < len(given) else ""
                before = sheet.grid.cell(row, c0 + column)
                if value == 43831 or value == 36162:  # noqa: PLR1714
                    value = {43831: "2020-01-01", 36162: "1999-01-02"}[value]
                    cells.append(enter(self.document, value, "USER_ENTERED", before))
                else:
                    cells.append(enter(self.document, value, "RAW", before))
            sheet.grid.put_row(row, c0, cells)

    def _notes(self, pair: dict[str, Any], sheet: Sheet, data: dict[str, Any]) -> None:
        asked = dict(pair["query"])["ranges"]
        _, rest = a1.split_title(asked)
        place = a1.parse_cells(rest) if rest else a1.Parsed(None, 0, None, 0, None)
        wanted = {
            (place.r0 + r, place.c0 + c): cell["note"]  # type: ignore[operator]
            for r, row in enumerate(data.get("rowData", ()))
            for c, cell in enumerate(row.get("values", ()))
            if "note" in cell
        }
        r0, r1, c0, c1 = place.on(0).bounds(sheet.grid.row_count, sheet.grid.column_count)
        here = {
            (r, c): cell.note
            for r, c, cell in sheet.grid.cells()
            if cell.note and r0 <= r < r1 and c0 <= c < c1
        }
        if wanted == here:
            return
        self.note(pair, "notes")
        for at in wanted.keys() | here.keys():
            cell = (sheet.grid.cell(*at) or Cell()).but(note=wanted.get(at))
            sheet.grid.put(*at, None if cell.empty else cell)


def _asked(pair: dict[str, Any]) -> list[str]:
    if match := _RANGE_IN_PATH.search(pair["path_decoded"]):
        return [match.group(1)]
    return [value for name, value in pair["query"] if name == "ranges"]


def _shown(body: dict[str, Any]) -> list[str]:
    if "valueRanges" in body:
        return [part["range"] for part in body["valueRanges"]]
    for name in ("range", "updatedRange", "clearedRange"):
        if name in body:
            return [body[name]]
    return []


def _open(asked: str) -> str:
    """Which ends a range leaves to the grid: its answer tells their size."""
    try:
        _, rest = a1.split_title(asked)
        place = a1.parse_cells(rest) if rest else None
    except a1.NotARange:
        # A bare title, or a named range.
        return "" if "!" in asked else "rows columns"
    if place is None:
        return "rows columns"
    return " ".join(
        name for name, end in (("rows", place.r1), ("columns", place.c1)) if end is None
    )


def _resizes(pair: dict[str, Any]) -> bool:
    return any(
        "gridProperties" in str(request)
        for request in (pair["request_body"] or {}).get("requests", ())
        if isinstance(request, dict)
    )


def _ids_in(node: Any, name: str = "") -> list[int]:
    if isinstance(node, dict):
        return [n for key, part in node.items() for n in _ids_in(part, key)]
    if isinstance(node, list):
        return [n for part in node for n in _ids_in(part, name)]
    if is_id(name) and str(node).isdigit():
        return [int(node)]
    return []
