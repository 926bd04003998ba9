"""Functions that look something up: INDEX, MATCH, VLOOKUP, HLOOKUP, XLOOKUP, ROWS, COLUMNS."""

from collections.abc import Callable
from typing import Any

from tests.emulators.sheets.cell import CellError
from tests.emulators.sheets.formula_run import Place
from tests.emulators.sheets.formula_text import Node
from tests.emulators.sheets.formula_values import Array, Failed, number, order, text, truth


def index(place: Place, nodes: list[Node]) -> Any:
    block = _block(place.run(nodes[0]))
    row = int(number(place.scalar(nodes[1]))) if len(nodes) > 1 else 0
    column = int(number(place.scalar(nodes[2]))) if len(nodes) > 2 else 0
    if len(nodes) == 2 and block.height == 1:
        row, column = 1, row
    if row > block.height or column > block.width or min(row, column) < 0:
        raise Failed(
            "NUM",
            f"Function INDEX parameter 2 value is {row}. Valid values are between 0 and"
            f" {block.height} inclusive.",
        )
    rows = block.rows if row == 0 else [block.rows[row - 1]]
    cells = [r if column == 0 else [r[column - 1]] for r in rows]
    if len(cells) == 1 and len(cells[0]) == 1:
        return cells[0][0]
    return Array(cells)


def match(place: Place, nodes: list[Node]) -> Any:
    wanted = place.crossed(place.run(nodes[0]))
    block = _block(place.run(nodes[1]))
    kind = int(number(place.scalar(nodes[2]))) if len(nodes) > 2 else 1
    line = block if block.width == 1 else Array([[v] for v in block.flat()])
    return place.over(lambda w: _position(place, w, line, kind, "MATCH") + 1, [wanted])


def vlookup(place: Place, nodes: list[Node]) -> Any:
    block = _block(place.run(nodes[1]))
    column = int(number(place.scalar(nodes[2]))) - 1
    is_sorted = truth(place.scalar(nodes[3])) if len(nodes) > 3 else True
    if not 0 <= column < block.width:
        raise Failed("REF", "VLOOKUP evaluates to an out of bounds range.")
    keys = _column(place, block)

    def one(wanted: Any) -> Any:
        row = _position(place, wanted, keys, 1 if is_sorted else 0, "VLOOKUP")
        return block.at(row, column)

    return place.over(one, [place.crossed(place.run(nodes[0]))])


def hlookup(place: Place, nodes: list[Node]) -> Any:
    block = _block(place.run(nodes[1]))
    row = int(number(place.scalar(nodes[2]))) - 1
    is_sorted = truth(place.scalar(nodes[3])) if len(nodes) > 3 else True
    keys = Array([[v] for v in block.rows[0]])
    at = _position(place, place.scalar(nodes[0]), keys, 1 if is_sorted else 0, "HLOOKUP")
    return block.at(row, at)


def xlookup(place: Place, nodes: list[Node]) -> Any:
    keys, results = _block(place.run(nodes[1])), _block(place.run(nodes[2]))
    mode = int(number(place.scalar(nodes[4]))) if len(nodes) > 4 else 0
    upright = keys.width == 1
    line = keys if upright else Array([[v] for v in keys.flat()])
    last: dict[Any, int] | None = None
    if mode == 0 and len(nodes) > 5 and int(number(place.scalar(nodes[5]))) == -1:
        # From the last one up.
        last = {order(row[0]): i for i, row in enumerate(line.rows) if row[0] is not None}

    def one(wanted: Any) -> Any:
        try:
            if last is not None and wanted is not None and order(wanted) in last:
                at = last[order(wanted)]
            else:
                at = _position(place, wanted, line, {0: 0, -1: 1, 1: -1}.get(mode, 0), "XLOOKUP")
        except Failed as wrong:
            if wrong.error.kind == "N_A" and len(nodes) > 3:
                return place.scalar(nodes[3])
            raise
        if upright:
            return results.at(at, 0) if results.width == 1 else Array([results.rows[at]])
        return results.at(0, at)

    return place.over(one, [place.crossed(place.run(nodes[0]))])


def _position(place: Place, wanted: Any, line: Array, kind: int, name: str) -> int:
    if isinstance(wanted, CellError):
        raise Failed(wanted.kind, wanted.message)
    if kind == 0:
        found = _exactly(place, wanted, line)
        if found is not None:
            return found
    else:
        last = None
        for i, row in enumerate(line.rows):
            value = row[0]
            if value is None or order(value)[0] != order(wanted)[0]:
                continue
            fits = order(value) <= order(wanted) if kind > 0 else order(value) >= order(wanted)
            if not fits:
                break
            last = i
        if last is not None:
            return last
    raise Failed("N_A", f"Did not find value '{text(wanted)}' in {name} evaluation.")


def _exactly(place: Place, wanted: Any, line: Array) -> int | None:
    if wanted is None:
        return None
    if line.origin is not None:
        return place.book.index(line).get(order(wanted))
    key = order(wanted)
    return next(
        (i for i, r in enumerate(line.rows) if r[0] is not None and order(r[0]) == key), None
    )


def _column(place: Place, block: Array) -> Array:
    """The first column; it is known by where it stands, so that it is cut out once."""
    return (
        Array([row[:1] or [None] for row in block.rows])
        if block.origin is None
        else (place.book.first_column(block))
    )


def _block(value: Any) -> Array:
    return value if isinstance(value, Array) else Array([[value]])


LOOKUPS: dict[str, Callable[[Place, list[Node]], Any]] = {
    "INDEX": index,
    "MATCH": match,
    "VLOOKUP": vlookup,
    "HLOOKUP": hlookup,
    "XLOOKUP": xlookup,
    "ROWS": lambda place, nodes: _block(place.run(nodes[0])).height,
    "COLUMNS": lambda place, nodes: _block(place.run(nodes[0])).width,
}
