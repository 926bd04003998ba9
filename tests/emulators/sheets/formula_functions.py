"""The functions a formula may call."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.emulators.sheets import typed
from tests.emulators.sheets.cell import CellError
from tests.emulators.sheets.formula_lookup import LOOKUPS
from tests.emulators.sheets.formula_run import Place
from tests.emulators.sheets.formula_text import Node
from tests.emulators.sheets.formula_values import (
    Array,
    Failed,
    number,
    numbers,
    order,
    same,
    scalar,
    text,
    truth,
)
from tests.emulators.sheets.numberformat import by_pattern
from tests.emulators.sheets.serials import moment_of, serial


class Function(NamedTuple):
    """`cellwise` functions take single values and work cell by cell on arrays."""

    work: Callable[..., Any]
    cellwise: bool


FUNCTIONS: dict[str, Function] = {}
SPECIAL: dict[str, Callable[[Place, list[Node]], Any]] = dict(LOOKUPS)
"""Functions that look at their arguments before they are worked out."""


def cellwise(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(work: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update((name, Function(work, cellwise=True)) for name in names)
        return work

    return keep


def whole(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(work: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update((name, Function(work, cellwise=False)) for name in names)
        return work

    return keep


def special(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(work: Callable[..., Any]) -> Callable[..., Any]:
        SPECIAL.update(dict.fromkeys(names, work))
        return work

    return keep


# Choice


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


@special("ROW", "COLUMN")
def _where(place: Place, nodes: list[Node]) -> Any:
    return place.row + 1


def _row(place: Place, nodes: list[Node]) -> Any:
    if not nodes:
        return place.row + 1
    block = place.book.read(place.range_of(nodes[0]))
    assert block.origin is not None
    _, r0, _, r1, _ = block.origin
    return Array([[r + 1] for r in range(r0, r1)]) if place.arrays else r0 + 1


def _column(place: Place, nodes: list[Node]) -> Any:
    if not nodes:
        return place.column + 1
    block = place.book.read(place.range_of(nodes[0]))
    assert block.origin is not None
    _, _, c0, _, c1 = block.origin
    return Array([[c + 1 for c in range(c0, c1)]]) if place.arrays else c0 + 1


SPECIAL["ROW"] = _row
SPECIAL["COLUMN"] = _column


# Truth


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


# Numbers


@whole("SUM")
def sum_(*values: Any) -> Any:
    return sum(numbers(list(values)))


@whole("AVERAGE")
def average(*values: Any) -> Any:
    found = numbers(list(values))
    if not found:
        raise Failed(
            "DIVIDE_BY_ZERO", "Evaluation of function AVERAGE caused a divide by zero error."
        )
    return sum(found) / len(found)


FUNCTIONS.update(
    {
        "MIN": Function(lambda *v: min(numbers(list(v)), default=0), cellwise=False),
        "MAX": Function(lambda *v: max(numbers(list(v)), default=0), cellwise=False),
        "PRODUCT": Function(lambda *v: math.prod(numbers(list(v))), cellwise=False),
        "COUNT": Function(lambda *v: len(numbers(list(v))), cellwise=False),
        "COUNTA": Function(
            lambda *v: sum(
                1
                for part in v
                for value in (part.flat() if isinstance(part, Array) else [part])
                if value is not None
            ),
            cellwise=False,
        ),
        "COUNTBLANK": Function(
            lambda v: sum(1 for part in v.flat() if part in (None, "")), cellwise=False
        ),
        "ABS": Function(lambda v: abs(number(v)), cellwise=True),
        "INT": Function(lambda v: math.floor(number(v)), cellwise=True),
        "SIGN": Function(lambda v: (number(v) > 0) - (number(v) < 0), cellwise=True),
        "SQRT": Function(lambda v: _sqrt(number(v)), cellwise=True),
        "POWER": Function(lambda a, b: number(a) ** number(b), cellwise=True),
        "MOD": Function(lambda a, b: _mod(number(a), number(b)), cellwise=True),
        "ROUND": Function(lambda v, p=0: _round(number(v), int(number(p)), 0.5), cellwise=True),
        "ROUNDUP": Function(
            lambda v, p=0: _round(number(v), int(number(p)), 1 - 1e-12), cellwise=True
        ),
        "ROUNDDOWN": Function(lambda v, p=0: _round(number(v), int(number(p)), 0), cellwise=True),
        "N": Function(lambda v: number(v) if not isinstance(v, str) else 0, cellwise=True),
    }
)


def _sqrt(value: float) -> float:
    if value < 0:
        raise Failed("NUM", "Function SQRT parameter 1 value is negative.")
    return math.sqrt(value)


def _mod(a: float, b: float) -> float:
    if b == 0:
        raise Failed("DIVIDE_BY_ZERO", "Function MOD parameter 2 cannot be zero.")
    return a % b


def _round(value: float, places: int, up: float) -> float:
    scale = 10.0**places
    size = math.floor(abs(value) * scale + up + 1e-9) / scale
    return math.copysign(size, value)


@whole("SUMPRODUCT")
def sumproduct(*blocks: Any) -> Any:
    columns = [[number(v or 0) for v in block.flat()] for block in blocks]
    return sum(math.prod(row) for row in zip(*columns, strict=True))


@whole("COUNTIF")
def countif(block: Any, criterion: Any) -> int:
    fits = _criterion(scalar(criterion))
    return sum(1 for value in block.flat() if fits(value))


@whole("SUMIF")
def sumif(block: Any, criterion: Any, summed: Any = None) -> Any:
    fits = _criterion(scalar(criterion))
    values = (summed or block).flat()
    pairs = zip(block.flat(), values, strict=False)
    return sum(v for test, v in pairs if fits(test) and isinstance(v, int | float))


def _criterion(wanted: Any) -> Callable[[Any], bool]:
    if isinstance(wanted, str):
        match = re.match(r"(<>|<=|>=|=|<|>)(.*)", wanted, re.DOTALL)
        sign, rest = match.groups() if match else ("=", wanted)
        value = typed.read(rest).value if rest else ""
        if sign in ("<", ">", "<=", ">="):
            return lambda v: (
                v is not None
                and order(v)[0] == order(value)[0]
                and {
                    "<": order(v) < order(value),
                    ">": order(v) > order(value),
                    "<=": order(v) <= order(value),
                    ">=": order(v) >= order(value),
                }[sign]
            )
        if isinstance(value, str) and re.search(r"[*?]", value):
            shape = re.escape(value).replace(r"\*", ".*").replace(r"\?", ".")
            pattern = re.compile(shape, re.IGNORECASE | re.DOTALL)
            return lambda v: bool(pattern.fullmatch(text(v))) == (sign == "=")
        return lambda v: same(v, value) == (sign == "=")
    return lambda v: v is not None and same(v, wanted)


# Texts

FUNCTIONS.update(
    {
        "LEN": Function(lambda v: len(text(v)), cellwise=True),
        "LEFT": Function(lambda v, n=1: text(v)[: int(number(n))], cellwise=True),
        "RIGHT": Function(
            lambda v, n=1: text(v)[-int(number(n)) :] if number(n) else "", cellwise=True
        ),
        "MID": Function(
            lambda v, s, n: text(v)[int(number(s)) - 1 : int(number(s)) - 1 + int(number(n))],
            cellwise=True,
        ),
        "TRIM": Function(lambda v: " ".join(text(v).split(" ")).strip(), cellwise=True),
        "UPPER": Function(lambda v: text(v).upper(), cellwise=True),
        "LOWER": Function(lambda v: text(v).lower(), cellwise=True),
        "PROPER": Function(lambda v: text(v).title(), cellwise=True),
        "CONCAT": Function(lambda a, b: text(a) + text(b), cellwise=True),
        "EXACT": Function(lambda a, b: text(a) == text(b), cellwise=True),
        "REPT": Function(lambda v, n: text(v) * int(number(n)), cellwise=True),
        "CHAR": Function(lambda n: chr(int(number(n))), cellwise=True),
        "CODE": Function(lambda v: ord(text(v)[0]), cellwise=True),
        "T": Function(lambda v: v if isinstance(v, str) else "", cellwise=True),
        "TO_TEXT": Function(text, cellwise=True),
        "ENCODEURL": Function(lambda v: quote(text(v), safe=""), cellwise=True),
        "SUBSTITUTE": Function(
            lambda v, old, new: text(v).replace(text(old), text(new)), cellwise=True
        ),
        "TEXT": Function(lambda v, p: by_pattern(number(v), text(p)), cellwise=True),
        "VALUE": Function(lambda v: number(v, "VALUE"), cellwise=True),
        "REGEXMATCH": Function(lambda v, p: bool(re.search(text(p), text(v))), cellwise=True),
        "REGEXREPLACE": Function(
            lambda v, p, r: re.sub(text(p), re.sub(r"\$(\d)", r"\\\1", text(r)), text(v)),
            cellwise=True,
        ),
    }
)


@whole("CONCATENATE")
def concatenate(*values: Any) -> str:
    return "".join(
        text(part)
        for value in values
        for part in (value.flat() if isinstance(value, Array) else [value])
    )


@whole("TEXTJOIN")
def textjoin(sign: Any, skip: Any, *values: Any) -> str:
    parts = [
        text(v)
        for v in (
            concatenated
            for value in values
            for concatenated in (value.flat() if isinstance(value, Array) else [value])
        )
    ]
    return text(sign).join(p for p in parts if p or not truth(skip))


@whole("JOIN")
def join(sign: Any, *values: Any) -> str:
    return textjoin(sign, False, *values)


@cellwise("FIND", "SEARCH")
def find(wanted: Any, value: Any, start: Any = 1) -> int:
    at = text(value).find(text(wanted), int(number(start)) - 1)
    if at < 0:
        raise Failed(
            "VALUE",
            f"In FIND evaluation, cannot find '{text(wanted)}' within '{text(value)}'.",
        )
    return at + 1


@cellwise("REGEXEXTRACT")
def regexextract(value: Any, pattern: Any) -> Any:
    match = re.search(text(pattern), text(value))
    if match is None:
        raise Failed(
            "N_A",
            f'Function REGEXEXTRACT parameter 2 value "{text(pattern)}" does not match text of'
            f' Function REGEXEXTRACT parameter 1 value "{text(value)}".',
        )
    return match.group(1) if match.groups() else match.group(0)


@whole("SPLIT")
def split(value: Any, signs: Any) -> Array:
    parts = re.split("[" + re.escape(text(signs)) + "]", text(value))
    read = [typed.read(p).value for p in parts if p]
    return Array(
        [[p if r is None else r for p, r in zip([p for p in parts if p], read, strict=True)]]
    )


# Days

FUNCTIONS.update(
    {
        "DATE": Function(
            lambda y, m, d: _date(*(int(number(v)) for v in (y, m, d))), cellwise=True
        ),
        "TODAY": Function(lambda: int(serial(_now())), cellwise=True),
        "NOW": Function(lambda: serial(_now()), cellwise=True),
        "YEAR": Function(lambda v: moment_of(number(v)).year, cellwise=True),
        "MONTH": Function(lambda v: moment_of(number(v)).month, cellwise=True),
        "DAY": Function(lambda v: moment_of(number(v)).day, cellwise=True),
    }
)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _date(year: int, month: int, day: int) -> float:
    years, months = divmod(month - 1, 12)
    return serial(datetime(year + years, months + 1, 1)) + day - 1  # noqa: DTZ001


# Blocks


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
