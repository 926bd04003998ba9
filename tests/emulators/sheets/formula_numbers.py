"""Functions of numbers and of days."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.emulators.sheets import typed
from tests.emulators.sheets.formula_registry import FUNCTIONS, Function, whole
from tests.emulators.sheets.formula_values import (
    Array,
    Failed,
    number,
    numbers,
    order,
    same,
    scalar,
    text,
)
from tests.emulators.sheets.serials import moment_of, serial


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
