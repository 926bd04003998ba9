"""Functions that answer a block of cells."""

from typing import Any

from tests.emulators.sheets.formula_registry import special, whole
from tests.emulators.sheets.formula_run import Place
from tests.emulators.sheets.formula_text import Node
from tests.emulators.sheets.formula_values import (
    Array,
    Failed,
    number,
    order,
    truth,
)


@whole("TRANSPOSE")
def transpose(block: Any) -> Array:
    return Array([[block.at(r, c) for r in range(block.height)] for c in range(block.width)])


@whole("UNIQUE")
def unique(block: Any) -> Array:
    seen: dict[tuple[Any, ...], list[Any]] = {}
    for row in block.rows:
        seen.setdefault(tuple(map(order, row)), row)
    return Array(list(seen.values()))


@whole("SORT")
def sort(block: Any, column: Any = 1, ascending: Any = True) -> Array:
    at = int(number(column)) - 1
    rows = sorted(block.rows, key=lambda row: order(row[at]), reverse=not truth(ascending))
    return Array(rows)


@special("FILTER")
def filter_(place: Place, nodes: list[Node]) -> Array:
    before, place.arrays = place.arrays, True
    try:
        block, *conditions = [place.run(node) for node in nodes]
    finally:
        place.arrays = before
    kept = [
        row
        for i, row in enumerate(block.rows)
        if all(truth(c.at(i, 0), "FILTER") for c in conditions)
    ]
    if not kept:
        raise Failed("N_A", "No matches are found in FILTER evaluation.")
    return Array(kept)


@whole("SEQUENCE")
def sequence(rows: Any, columns: Any = 1, start: Any = 1, step: Any = 1) -> Array:
    height, width = int(number(rows)), int(number(columns))
    first, by = number(start), number(step)
    return Array([[first + by * (r * width + c) for c in range(width)] for r in range(height)])
