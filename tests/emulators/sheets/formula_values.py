"""Values inside a formula: arrays, errors, and how one kind is read as another."""

from typing import Any

from tests.emulators.sheets import typed
from tests.emulators.sheets.cell import CellError
from tests.emulators.sheets.numberformat import automatic


class Array:
    """A block of values; `origin` is (sheet_id, r0, c0, r1, c1) if it was read from a tab."""

    __slots__ = ("origin", "rows", "width")

    def __init__(self, rows: list[list[Any]], origin: tuple[int, int, int, int, int] | None = None):
        self.rows = rows
        self.origin = origin
        self.width = max(map(len, rows), default=0)

    @property
    def height(self) -> int:
        return len(self.rows)

    def at(self, row: int, column: int) -> Any:
        if row < len(self.rows) and column < len(self.rows[row]):
            return self.rows[row][column]
        return None

    def flat(self) -> list[Any]:
        return [value for row in self.rows for value in row]


class Failed(Exception):
    """A formula's part failed; what it is part of shows the error, unless it is caught."""

    def __init__(self, kind: str, message: str = ""):
        super().__init__(message)
        self.error = CellError(kind, message)


def failed(error: CellError) -> Failed:
    return Failed(error.kind, error.message)


def scalar(value: Any) -> Any:
    """The first value of an array, and never an error."""
    if isinstance(value, Array):
        value = value.at(0, 0)
    if isinstance(value, CellError):
        raise failed(value)
    return value


def number(value: Any, where: str = "ADD", parameter: int = 1) -> float | int:
    value = scalar(value)
    if value is None or value == "":
        if value == "":
            raise _not_a_number(value, where, parameter)
        return 0
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    read = typed.read(value).value
    if isinstance(read, int | float) and not isinstance(read, bool):
        return read
    raise _not_a_number(value, where, parameter)


def _not_a_number(value: Any, where: str, parameter: int) -> Failed:
    return Failed(
        "VALUE",
        f"Function {where} parameter {parameter} expects number values. But '{value}' is a text"
        " and cannot be coerced to a number.",
    )


def text(value: Any) -> str:
    value = scalar(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return value if isinstance(value, str) else automatic(value)


def truth(value: Any, where: str = "IF") -> bool:
    value = scalar(value)
    if isinstance(value, str):
        if value.upper() in ("TRUE", "FALSE"):
            return value.upper() == "TRUE"
        raise Failed(
            "VALUE",
            f"Function {where} parameter 1 expects boolean values. But '{value}' is a text and"
            " cannot be coerced to a boolean.",
        )
    return bool(value)


def numbers(values: list[Any]) -> list[float | int]:
    """The numbers among the arguments of SUM and its like: texts in ranges are passed over."""
    found: list[float | int] = []
    for value in values:
        if isinstance(value, Array):
            for part in value.flat():
                if isinstance(part, CellError):
                    raise failed(part)
                if isinstance(part, int | float) and not isinstance(part, bool):
                    found.append(part)
        elif value is not None:
            found.append(number(value, "SUM"))
    return found


def order(value: Any) -> tuple[int, Any]:
    """Numbers before texts before booleans, as comparisons have it."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, str):
        return (1, value.casefold())
    return (0, 0 if value is None else value)


def same(a: Any, b: Any) -> bool:
    """`=` of a formula: texts without regard to case; an empty cell is 0, "" and FALSE."""
    if a is None or b is None:
        other = b if a is None else a
        return other is None or other == "" or (other in (0, False) and not isinstance(other, str))
    return order(a) == order(b)


def tidy(value: Any) -> Any:
    """A number as JSON would have it."""
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124
            return CellError("NUM", "Result was not a number.")
        if value.is_integer() and abs(value) < 1e15:
            return int(value)
    return value
