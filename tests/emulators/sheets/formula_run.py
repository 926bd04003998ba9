"""Working a formula's tree out."""

import operator
import re
from collections.abc import Callable
from typing import Any

from tests.emulators.sheets.cell import CellError
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.formula_text import Node
from tests.emulators.sheets.formula_values import (
    Array,
    Failed,
    failed,
    number,
    order,
    same,
    scalar,
    text,
)
from tests.emulators.sheets.gridrange import GridRange

_ERRORS = {
    "#REF!": ("REF", "Reference does not exist."),
    "#N/A": ("N_A", ""),
    "#VALUE!": ("VALUE", ""),
    "#NAME?": ("NAME", ""),
    "#DIV/0!": ("DIVIDE_BY_ZERO", ""),
    "#NUM!": ("NUM", ""),
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_NAMES = {"+": "ADD", "-": "MINUS", "*": "MULTIPLY", "/": "DIVIDE", "^": "POWER"}


class Place:
    """Where a formula stands, and what it left beside its value: the link of a HYPERLINK."""

    def __init__(self, book: "Book", sheet_id: int, row: int, column: int):
        self.book = book
        self.sheet_id = sheet_id
        self.row = row
        self.column = column
        self.arrays = False  # inside ARRAYFORMULA operators work cell by cell
        self.link: str | None = None

    def run(self, node: Node) -> Any:
        kind = node[0]
        if kind == "value":
            return node[1]
        if kind == "ref":
            return self.book.read(self.range_of(node))
        if kind == "op":
            return self.each(lambda a, b: operate(node[1], a, b), [node[2], node[3]])
        if kind == "minus":
            return self.each(lambda a: -number(a, "UMINUS"), [node[1]])
        if kind == "percent":
            return self.each(lambda a: number(a, "UNARY_PERCENT") / 100, [node[1]])
        if kind == "call":
            return self.call(node[1], node[2])
        if kind == "array":
            return self.block(node[1])
        if kind == "error":
            raise Failed(*_ERRORS[node[1]])
        return self.book.read(self.named(node[1]))

    def scalar(self, node: Node) -> Any:
        return scalar(self.crossed(self.run(node)))

    def range_of(self, node: Node) -> GridRange:
        """The range a reference means."""
        if node[0] == "name":
            return self.named(node[1])
        if node[0] != "ref":
            raise Failed("N_A", "Argument must be a range.")
        _, title, place = node
        sheet_id = self.sheet_id
        if title is not None:
            sheet = self.book.document.sheet_titled(title)
            if sheet is None:
                raise Failed("REF", f"Unresolved sheet name '{title}'.")
            sheet_id = sheet.sheet_id
        found: GridRange = place.on(sheet_id)
        return found

    def named(self, name: str) -> GridRange:
        for entry in self.book.document.named_ranges:
            if entry["name"].casefold() == name.casefold():
                found: GridRange = entry["range"]
                return found
        raise Failed("NAME", f"Unknown range name: '{name.upper()}'.")

    def crossed(self, value: Any) -> Any:
        """Outside ARRAYFORMULA a range in a cell's place means its cell in this row or column."""
        if not isinstance(value, Array) or self.arrays or value.origin is None:
            return value
        _, r0, c0, r1, c1 = value.origin
        if r1 - r0 == 1 and c1 - c0 == 1:
            return value.at(0, 0)
        if c1 - c0 == 1 and r0 <= self.row < r1:
            return value.at(self.row - r0, 0)
        if r1 - r0 == 1 and c0 <= self.column < c1:
            return value.at(0, self.column - c0)
        raise Failed("VALUE", "An array value could not be found.")

    def each(self, work: Callable[..., Any], nodes: list[Node]) -> Any:
        """Apply to values, cell by cell where one of them is an array."""
        return self.over(work, [self.crossed(self.run(node)) for node in nodes])

    def over(self, work: Callable[..., Any], values: list[Any]) -> Any:
        arrays = [v for v in values if isinstance(v, Array)]
        if not arrays:
            return work(*values)
        height = max(a.height for a in arrays)
        width = max(a.width for a in arrays)
        return Array(
            [
                [caught(work, [_part(v, r, c) for v in values]) for c in range(width)]
                for r in range(height)
            ]
        )

    def block(self, rows: list[list[Node]]) -> Array:
        """`{1, 2; A1:B2}`: side by side and below each other."""
        joined: list[list[Any]] = []
        for row in rows:
            parts = [self.run(node) for node in row]
            blocks = [p.rows if isinstance(p, Array) else [[p]] for p in parts]
            height = max(map(len, blocks), default=0)
            if any(len(b) != height for b in blocks):
                raise Failed(
                    "VALUE",
                    "Function ARRAY_ROW parameter 2 has mismatched row size. Expected:"
                    f" {len(blocks[0])}. Actual: {height}.",
                )
            joined += [[v for b in blocks for v in b[i]] for i in range(height)]
        return Array(joined)

    def call(self, name: str, nodes: list[Node]) -> Any:
        from tests.emulators.sheets.formula_functions import FUNCTIONS, SPECIAL

        if name in SPECIAL:
            return SPECIAL[name](self, nodes)
        function = FUNCTIONS.get(name)
        if function is None:
            raise Failed("NAME", f"Unknown function: '{name}'.")
        if function.cellwise:
            return self.over(function.work, [self.crossed(self.run(node)) for node in nodes])
        return function.work(*[self.run(node) for node in nodes])


def _part(value: Any, row: int, column: int) -> Any:
    if not isinstance(value, Array):
        return value
    if value.height == 1:
        row = 0
    if value.width == 1:
        column = 0
    if row >= value.height or column >= value.width:
        return CellError("N_A", "Argument out of range")
    return value.at(row, column)


def caught(work: Callable[..., Any], values: list[Any]) -> Any:
    try:
        return work(*values)
    except Failed as wrong:
        return wrong.error


def operate(sign: str, a: Any, b: Any) -> Any:
    a, b = scalar(a), scalar(b)
    if sign == "&":
        return text(a) + text(b)
    if sign in ("=", "<>"):
        return same(a, b) == (sign == "=")
    if sign in _COMPARE:
        if a is None and isinstance(b, str):
            a = ""
        if b is None and isinstance(a, str):
            b = ""
        return _COMPARE[sign](order(a), order(b))
    x, y = number(a, _NAMES[sign], 1), number(b, _NAMES[sign], 2)
    if sign == "+":
        return x + y
    if sign == "-":
        return x - y
    if sign == "*":
        return x * y
    if sign == "/":
        if y == 0:
            raise Failed("DIVIDE_BY_ZERO", "Function DIVIDE parameter 2 cannot be zero.")
        return x / y
    try:
        result = x**y
    except (OverflowError, ZeroDivisionError):
        raise Failed("NUM", "Numeric value is greater than 1.79769E+308.") from None
    if isinstance(result, complex):
        raise Failed("NUM", "POWER evaluates to an imaginary number.")
    return result


class Book:
    """What formulas read: plain values, values of formulas (worked out when asked for), and what
    array formulas put around themselves."""

    def __init__(self, document: Spreadsheet, spilled: dict[tuple[int, int, int], Any]):
        self.document = document
        self.spilled = spilled
        self.known: dict[tuple[int, int, int], Any] = {}
        self.links: dict[tuple[int, int, int], str] = {}
        self.arrays: dict[tuple[int, int, int], Array] = {}
        self._working: set[tuple[int, int, int]] = set()
        self._blocks: dict[tuple[int, int, int, int, int], Array] = {}
        self._indexes: dict[tuple[int, int, int, int, int], dict[Any, int]] = {}

    def read(self, r: GridRange) -> Array:
        sheet = self.document.sheet(r.sheet_id)
        rows, columns = sheet.grid.row_count, sheet.grid.column_count
        r0, r1, c0, c1 = r.bounds(rows, columns)
        if r0 >= rows or c0 >= columns:
            raise Failed("REF", "Reference does not exist.")
        used = max([len(sheet.grid.rows), *(k[1] + 1 for k in self.spilled if k[0] == r.sheet_id)])
        end = min(r1, rows)
        if r.r1 is None:
            end = max(min(end, used), r0 + 1)  # an open range is worth what it holds
        key = (r.sheet_id, r0, c0, end, min(c1, columns))
        block = self._blocks.get(key)
        if block is None:
            values = [
                [self.value(r.sheet_id, row, column) for column in range(c0, key[4])]
                for row in range(r0, end)
            ]
            block = self._blocks[key] = Array(values, key)
        return block

    def first_column(self, block: Array) -> Array:
        assert block.origin is not None
        sheet_id, r0, c0, r1, _ = block.origin
        key = (sheet_id, r0, c0, r1, c0 + 1)
        if key not in self._blocks:
            self._blocks[key] = Array([row[:1] for row in block.rows], key)
        return self._blocks[key]

    def index(self, column: Array) -> dict[Any, int]:
        """Where each value of a column stands first: lookups of many rows need it."""
        assert column.origin is not None
        found = self._indexes.get(column.origin)
        if found is None:
            found = {}
            for i, row in enumerate(column.rows):
                if row[0] is not None and not isinstance(row[0], CellError):
                    found.setdefault(order(row[0]), i)
            self._indexes[column.origin] = found
        return found

    def value(self, sheet_id: int, row: int, column: int) -> Any:
        cell = self.document.sheet(sheet_id).grid.cell(row, column)
        if cell is None or (cell.formula is None and cell.value is None):
            return self.spilled.get((sheet_id, row, column))
        if cell.formula is None:
            return cell.value
        return self.work_out((sheet_id, row, column), cell.formula)

    def work_out(self, key: tuple[int, int, int], formula: str) -> Any:
        if key in self.known:
            return self.known[key]
        if key in self._working:
            return CellError(
                "REF",
                "Circular dependency detected. To resolve with iterative calculation, see"
                " File > Settings.",
            )
        self._working.add(key)
        try:
            value = self._result(key, formula)
        finally:
            self._working.discard(key)
        self.known[key] = value
        return value

    def _result(self, key: tuple[int, int, int], formula: str) -> Any:
        from tests.emulators.sheets.formula_text import FormulaWrong, parse
        from tests.emulators.sheets.formula_values import tidy

        place = Place(self, *key)
        try:
            value = place.crossed(place.run(parse(formula)))
        except (FormulaWrong, RecursionError):
            return CellError("ERROR", "Formula parse error.")
        except Failed as wrong:
            return wrong.error
        except (TypeError, ValueError, IndexError, AttributeError, re.error):
            # The functions are written for the right number and kinds of arguments.
            return CellError("N_A", "Wrong number or kind of arguments.")
        if place.link:
            self.links[key] = place.link
        if isinstance(value, Array):
            if value.height > 1 or value.width > 1:
                self.arrays[key] = value
            value = value.at(0, 0)
        if isinstance(value, CellError):
            return value
        return tidy(0 if value is None else value)


__all__ = ["Book", "Place", "failed"]
