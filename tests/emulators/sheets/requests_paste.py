"""Copy, cut and paste; text that is pasted; filling on."""

import csv
import io
from html.parser import HTMLParser
from typing import Any

from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import Dimension, GridRange
from tests.emulators.sheets.requests_areas import Area, area
from tests.emulators.sheets.requests_blocks import (
    PASTED,
    Block,
    emptied,
    pasted,
    put,
    relocated,
    room,
    shifted,
    taken,
)
from tests.emulators.sheets.requests_cells import from_corner
from tests.emulators.sheets.requests_formulas import Change, change_formulas, follow
from tests.emulators.sheets.requests_parse import whole
from tests.emulators.sheets.sheet import Sheet

_CONDITIONAL = ("PASTE_NORMAL", "PASTE_FORMAT", "PASTE_NO_BORDERS", "PASTE_CONDITIONAL_FORMATTING")


@request("copyPaste")
def copy_paste(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    source = area(document, body.get("source"))
    destination = area(document, body.get("destination"))
    kind = body.get("pasteType", "PASTE_NORMAL")
    document.recalculate()
    block = taken(source)
    if body.get("pasteOrientation") == "TRANSPOSE":
        block = block.turned()
    sheet = destination.sheet
    for r0, c0 in corners(block, destination):
        room(document, sheet, r0 + block.height, c0 + block.width)
        put(sheet, block, r0, c0, kind, copied=True)
        if kind in _CONDITIONAL:
            copy_rules(source, sheet, r0 - source.r0, c0 - source.c0)
    return None


def corners(block: Block, destination: Area) -> list[tuple[int, int]]:
    """The block once, or as often as it fits where the destination is a multiple of it."""
    down, rest_down = divmod(destination.height, block.height)
    across, rest_across = divmod(destination.width, block.width)
    if rest_down or rest_across:
        down = across = 1
    return [
        (destination.r0 + i * block.height, destination.c0 + j * block.width)
        for i in range(down)
        for j in range(across)
    ]


def copy_rules(source: Area, sheet: Sheet, rows: int, columns: int) -> None:
    """Conditional formats of what was copied hold at the new place too."""
    for rule in source.sheet.parts.get("conditionalFormats", ()):
        inside = [r for r in rule["ranges"] if source.range.contains(r)]
        new = [shifted(r, rows, columns, sheet.sheet_id) for r in inside]
        if not new:
            continue
        if sheet is source.sheet:
            rule["ranges"] += [r for r in new if r not in rule["ranges"]]
        else:
            sheet.list_of("conditionalFormats").append({**rule, "ranges": new})


@request("cutPaste")
def cut_paste(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    source = area(document, body.get("source"))
    start = from_corner(document, body.get("destination", {}))
    kind = body.get("pasteType", "PASTE_NORMAL")
    for merge in source.sheet.parts.get("merges", ()):
        if merge.touches(source.range) and not source.range.contains(merge):
            raise ApiError("You must select all cells in a merged range to merge or unmerge them.")
    document.recalculate()
    block = taken(source)
    sheet = start.sheet
    room(document, sheet, start.r0 + block.height, start.c0 + block.width)
    target = GridRange(
        sheet.sheet_id, start.r0, start.r0 + block.height, start.c0, start.c0 + block.width
    )
    emptied(source)
    put(sheet, block, start.r0, start.c0, kind, copied=False)
    if kind in ("PASTE_NORMAL", "PASTE_NO_BORDERS", "PASTE_FORMULA"):
        move_references(document, source, target)
    return None


def move_references(document: Spreadsheet, source: Area, target: GridRange) -> None:
    """References to cells that were cut follow them; those to cells underneath are lost."""
    home, now = source.sheet, target.sheet_id
    if home.sheet_id != now:
        change_formulas_in(document, target, named_after(home.title))
    rows = (target.r0 or 0) - source.r0
    columns = (target.c0 or 0) - source.c0

    def change(r: GridRange) -> GridRange | None:
        if source.range.contains(r):
            return relocated(r, source.range, rows, columns, now)
        return None if target.contains(r) else r

    follow(document, change)
    for named in document.named_ranges:
        named["range"] = relocated(named["range"], source.range, rows, columns, now)


def named_after(title: str) -> Change:
    """What was its own tab's is now another's: the reference says whose."""
    from dataclasses import replace

    return lambda reference: (
        replace(reference, title=title) if reference.title is None else reference
    )


def change_formulas_in(document: Spreadsheet, target: GridRange, change: Change) -> None:
    sheet = document.sheet(target.sheet_id)
    only = Sheet(sheet.sheet_id, sheet.title, sheet.grid.copy())
    for r, c, _ in list(only.grid.cells()):
        if not target.contains(GridRange(target.sheet_id, r, r + 1, c, c + 1)):
            only.grid.put(r, c, None)
    change_formulas(only, change)
    for r, c, cell in only.grid.cells():
        sheet.grid.put(r, c, cell)


@request("pasteData")
def paste_data(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    start = from_corner(document, body.get("coordinate", {}))
    data = body.get("data", "")
    if body.get("html"):
        rows = html_rows(data)
    elif body.get("delimiter"):
        rows = list(csv.reader(io.StringIO(data, newline=""), delimiter=body["delimiter"][0]))
    else:
        raise ApiError("Either a delimiter or html must be specified.")
    width = max(map(len, rows), default=0)
    room(document, start.sheet, start.r0 + len(rows), start.c0 + width)
    if body.get("type", "PASTE_NORMAL") in ("PASTE_FORMAT", "PASTE_DATA_VALIDATION"):
        return None
    grid = start.sheet.grid
    for i, row in enumerate(rows):
        before = [grid.cell(start.r0 + i, start.c0 + j) for j in range(len(row))]
        cells = [
            enter(document, text, "USER_ENTERED", cell)
            for text, cell in zip(row, before, strict=True)
        ]
        if cells:
            grid.put_row(start.r0 + i, start.c0, cells)
    return None


def html_rows(data: str) -> list[list[str]]:
    reader = _Table()
    reader.feed(data)
    reader.close()
    return reader.rows or [[reader.text.strip()]]


class _Table(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.text = ""
        elif tag == "br":
            self.text += "\n"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append(self.text.strip())

    def handle_data(self, data: str) -> None:
        self.text += data


@request("autoFill")
def auto_fill(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    """Fill on what is there: a copy of it again and again, or a row of numbers continued."""
    if "range" in body:
        whole = area(document, body["range"])
        used = [
            r
            for r in range(whole.r0, whole.r1)
            if any(map(whole.sheet.grid.cell, [r] * whole.width, range(whole.c0, whole.c1)))
        ]
        source = whole._replace(r1=(used[-1] + 1) if used else whole.r0 + 1)
        dimension, length = Dimension.ROWS, whole.r1 - source.r1
    else:
        asked = body.get("sourceAndDestination", {})
        source = area(document, asked.get("source"))
        dimension = Dimension(asked.get("dimension", "ROWS"))
        length = asked.get("fillLength", 0)
    fill(document, source, dimension, length)
    return None


def fill(document: Spreadsheet, source: Area, dimension: Dimension, length: int) -> None:
    rows = dimension is Dimension.ROWS
    size = source.height if rows else source.width
    first = (source.r0 if rows else source.c0) + min(length, 0)
    if first < 0:
        raise ApiError("The fill would exceed the grid limits.")
    room(
        document,
        source.sheet,
        source.r1 + (max(length, 0) if rows else 0),
        source.c1 + (0 if rows else max(length, 0)),
    )
    grid = source.sheet.grid
    for line in lines_of(source, dimension):
        series = [grid.cell(*place) for place in line]
        step = step_of(series)
        r, c = line[0]
        made: dict[tuple[int, int], Cell | None] = {}
        for i in range(abs(length)):
            offset = (size + i) if length > 0 else (-1 - i)
            cell = series[offset % size]
            if cell is not None and step is not None:
                start: float = series[0].value  # type: ignore[assignment, union-attr]
                cell = cell.but(value=whole(start + step * offset))
            by = offset - offset % size
            at = (r + offset, c) if rows else (r, c + offset)
            made[at] = filled(grid.cell(*at), cell, (by, 0) if rows else (0, by))
        if rows:
            for at, cell in made.items():
                grid.put(*at, cell)
        elif made:
            grid.put_row(r, min(at[1] for at in made), [made[at] for at in sorted(made)])


def filled(before: Cell | None, cell: Cell | None, by: tuple[int, int]) -> Cell | None:
    return pasted(before, cell, PASTED["PASTE_NORMAL"], "PASTE_NORMAL", by)


def lines_of(source: Area, dimension: Dimension) -> list[list[tuple[int, int]]]:
    rows, columns = range(source.r0, source.r1), range(source.c0, source.c1)
    if dimension is Dimension.ROWS:
        return [[(r, c) for r in rows] for c in columns]
    return [[(r, c) for c in columns] for r in rows]


def step_of(series: list[Cell | None]) -> float | None:
    """How a row of numbers goes on; None where it is not one."""
    numbers = [s.value for s in series if s is not None and s.formula is None]
    if len(series) < 2 or len(numbers) != len(series) or not all(map(_is_number, numbers)):
        return None
    first: float = numbers[0]  # type: ignore[assignment]
    last: float = numbers[-1]  # type: ignore[assignment]
    return (last - first) / (len(series) - 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
