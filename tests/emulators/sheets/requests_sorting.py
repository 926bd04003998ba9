"""Rows in another order: by the values of some columns, or by chance."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from tests.emulators.sheets import requests_masks
from tests.emulators.sheets.a1 import range_text
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import Cell, CellError
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.requests_areas import Area, area
from tests.emulators.sheets.requests_formulas import moved


@request("sortRange")
def sort_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("range", {})
    sheet = document.sheet(asked.get("sheetId", 0))
    if asked.get("startRowIndex", 0) >= sheet.grid.row_count:
        raise ApiError(
            f"range.startRowIndex is larger than current grid size ({sheet.grid.row_count})"
        )
    document.recalculate()
    sort(area(document, asked), body.get("sortSpecs", []))
    return None


def sort(target: Area, specs: Sequence[dict[str, Any]]) -> None:
    """Rows that are hidden stay where they are; blank cells come last in either order."""
    check_merges(target)
    for spec in specs:
        column = spec.get("dimensionIndex", 0)
        if not target.c0 <= column < target.c1:
            raise ApiError(
                f"sortSpecs.dimensionIndex[{column}] must be within the columns of the range."
            )
    shown = target.sheet.grid.row_properties
    places = [
        r
        for r in range(target.r0, target.r1)
        if not shown.get(r, {}).keys() & {"hiddenByUser", "hiddenByFilter"}
    ]
    order = list(places)
    for spec in reversed(specs):
        order = sorted_by(target, order, requests_masks.coloured("SortSpec", spec))
    arrange(target, places, order)


def sorted_by(target: Area, order: list[int], spec: dict[str, Any]) -> list[int]:
    column = spec.get("dimensionIndex", 0)
    down = spec.get("sortOrder") == "DESCENDING"
    cells = {r: target.sheet.grid.cell(r, column) for r in order}
    for name, place in (
        ("backgroundColor", ("backgroundColor",)),
        ("foregroundColor", ("textFormat", "foregroundColor")),
    ):
        if name in spec:
            wanted = spec[name]
            return sorted(order, key=lambda r: (_part(cells[r], place) == wanted) == down)
    full = [r for r in order if (cell := cells[r]) is not None and not _nothing(cell)]
    taken = set(full)
    blank = [r for r in order if r not in taken]
    return sorted(full, key=lambda r: rank(cells[r]), reverse=down) + blank


def _nothing(cell: Cell) -> bool:
    return cell.value is None or cell.value == ""


def _part(cell: Cell | None, path: tuple[str, ...]) -> Any:
    node: Any = None if cell is None else cell.format
    for name in path:
        node = (node or {}).get(name)
    return node


def rank(cell: Cell | None) -> tuple[int, Any]:
    """Numbers, then texts, then FALSE and TRUE, then errors."""
    value = None if cell is None else cell.value
    if isinstance(value, CellError):
        return 3, value.kind
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, str):
        return 1, collation(value)
    return 0, value or 0


def collation(text: str) -> tuple[str, str, str]:
    """Letters whatever their case and accents first; then accents, then small before large."""
    if text.isascii():
        return text.lower().translate(_ASCII), "", text.swapcase()
    apart = unicodedata.normalize("NFD", text)
    letters = "".join(_ranked(c) for c in apart.casefold() if not unicodedata.combining(c))
    accents = "".join(c for c in apart if unicodedata.combining(c))
    return letters, accents, text.swapcase()


def _ranked(letter: str) -> str:
    """White space, punctuation, symbols, digits, letters: the kind stands before the letter."""
    kind = unicodedata.category(letter)[0]
    return {"Z": "0", "C": "0", "P": "1", "S": "2", "N": "3"}.get(kind, "4") + letter


_ASCII = {number: _ranked(chr(number)) for number in range(128)}


def check_merges(target: Area) -> None:
    for merge in target.sheet.parts.get("merges", ()):
        if merge.touches(target.range) and merge.r1 - merge.r0 > 1:
            raise ApiError(
                "You can't sort a range containing vertical merges. There is a vertical merge at"
                f" {range_text(merge)}"
            )


def arrange(target: Area, places: Sequence[int], order: Sequence[int]) -> None:
    """Put what row order[i] has in the columns of the range into row places[i]."""
    grid = target.sheet.grid
    width = target.width
    parts = [grid.row(old)[target.c0 : target.c1] for old in order]
    for place, old, part in zip(places, order, parts, strict=True):
        if not part and place >= len(grid.rows):
            continue
        cells = [carried(cell, place - old) for cell in part]
        grid.put_row(place, target.c0, [*cells, *[None] * (width - len(cells))])


def carried(cell: Cell | None, rows: int) -> Cell | None:
    if cell is None or cell.formula is None or not rows:
        return cell
    return cell.but(formula=moved(cell.formula, rows, 0))


@request("randomizeRange")
def randomize_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    target = area(document, body.get("range"))
    check_merges(target)
    places = list(range(target.r0, target.r1))
    order = list(places)
    document.rng.shuffle(order)
    arrange(target, places, order)
    return None
