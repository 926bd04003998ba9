"""Functions that choose, catch errors, say where they stand, and join conditions."""

from typing import Any

from tests.emulators.sheets.cell import CellError
from tests.emulators.sheets.formula_registry import FUNCTIONS, Function, special, whole
from tests.emulators.sheets.formula_run import Place
from tests.emulators.sheets.formula_text import Node
from tests.emulators.sheets.formula_values import (
    Array,
    Failed,
    same,
    text,
    truth,
)


@special("IF")
def if_(place: Place, nodes: list[Node]) -> Any:
    condition = place.crossed(place.run(nodes[0]))
    if isinstance(condition, Array):
        yes = place.run(nodes[1])
        no = place.run(nodes[2]) if len(nodes) > 2 else False
        return place.over(lambda c, y, n: y if truth(c) else n, [condition, yes, no])
    if truth(condition):
        return place.run(nodes[1])
    return place.run(nodes[2]) if len(nodes) > 2 else False


@special("IFS")
def ifs(place: Place, nodes: list[Node]) -> Any:
    for condition, value in zip(nodes[::2], nodes[1::2], strict=True):
        if truth(place.scalar(condition), "IFS"):
            return place.run(value)
    raise Failed("N_A", "No match in IFS.")


@special("SWITCH")
def switch(place: Place, nodes: list[Node]) -> Any:
    value = place.scalar(nodes[0])
    rest = nodes[1:]
    while len(rest) >= 2:
        if same(value, place.scalar(rest[0])):
            return place.run(rest[1])
        rest = rest[2:]
    if rest:
        return place.run(rest[0])
    raise Failed("N_A", "No match in SWITCH.")


@special("IFERROR", "IFNA")
def iferror(place: Place, nodes: list[Node]) -> Any:
    other = nodes[1] if len(nodes) > 1 else ("value", None)
    try:
        value = place.crossed(place.run(nodes[0]))
    except Failed:
        return place.run(other)
    if isinstance(value, Array):
        instead = place.run(other)
        return Array(
            [[instead if isinstance(v, CellError) else v for v in row] for row in value.rows]
        )
    return place.run(other) if isinstance(value, CellError) else value


@special("ARRAYFORMULA")
def arrayformula(place: Place, nodes: list[Node]) -> Any:
    before, place.arrays = place.arrays, True
    try:
        return _free(place.run(nodes[0]))
    finally:
        place.arrays = before


def _free(value: Any) -> Any:
    return Array(value.rows) if isinstance(value, Array) else value


@special("ISERROR", "ISERR", "ISNA")
def iserror(place: Place, nodes: list[Node]) -> Any:
    try:
        value = place.crossed(place.run(nodes[0]))
    except Failed:
        return True
    return place.over(lambda v: isinstance(v, CellError), [value])


@special("HYPERLINK")
def hyperlink(place: Place, nodes: list[Node]) -> Any:
    place.link = text(place.scalar(nodes[0]))
    return place.scalar(nodes[1]) if len(nodes) > 1 else place.link


@special("ROW")
def _row(place: Place, nodes: list[Node]) -> Any:
    if not nodes:
        return place.row + 1
    block = place.book.read(place.range_of(nodes[0]))
    assert block.origin is not None
    _, r0, _, r1, _ = block.origin
    return Array([[r + 1] for r in range(r0, r1)]) if place.arrays else r0 + 1


@special("COLUMN")
def _column(place: Place, nodes: list[Node]) -> Any:
    if not nodes:
        return place.column + 1
    block = place.book.read(place.range_of(nodes[0]))
    assert block.origin is not None
    _, _, c0, _, c1 = block.origin
    return Array([[c + 1 for c in range(c0, c1)]]) if place.arrays else c0 + 1


@whole("AND")
def and_(*values: Any) -> bool:
    return all(truth(v, "AND") for v in _each(values))


@whole("OR")
def or_(*values: Any) -> bool:
    return any(truth(v, "OR") for v in _each(values))


def _each(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += [v for v in value.flat() if v is not None] if isinstance(value, Array) else [value]
    return found


FUNCTIONS.update(
    {
        "NOT": Function(lambda v: not truth(v, "NOT"), cellwise=True),
        "TRUE": Function(lambda: True, cellwise=True),
        "FALSE": Function(lambda: False, cellwise=True),
        "ISBLANK": Function(lambda v: v is None, cellwise=True),
        "ISNUMBER": Function(
            lambda v: isinstance(v, int | float) and not isinstance(v, bool), cellwise=True
        ),
        "ISTEXT": Function(lambda v: isinstance(v, str), cellwise=True),
        "ISLOGICAL": Function(lambda v: isinstance(v, bool), cellwise=True),
    }
)


@whole("NA")
def na() -> Any:
    raise Failed("N_A")
