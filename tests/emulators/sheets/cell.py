"""What one cell holds. A Cell never changes: a write puts another one in its place."""

from dataclasses import dataclass
from typing import Any, Final

Json = Any


@dataclass(frozen=True, slots=True)
class CellError:
    """The value of a formula that failed."""

    kind: str  # ErrorType: REF, NAME, VALUE, DIVIDE_BY_ZERO, N_A, NUM, NULL_VALUE, ERROR
    message: str = ""

    @property
    def text(self) -> str:
        return ERROR_TEXTS[self.kind]


ERROR_TEXTS = {
    "REF": "#REF!",
    "NAME": "#NAME?",
    "VALUE": "#VALUE!",
    "DIVIDE_BY_ZERO": "#DIV/0!",
    "N_A": "#N/A",
    "NUM": "#NUM!",
    "NULL_VALUE": "#NULL!",
    "ERROR": "#ERROR!",
    "LOADING": "Loading...",
}

Value = str | float | int | bool | CellError | None
"""What a cell is worth. Numbers may be int or float; a date is a serial number with a format."""


class Cell:
    """A value with, for some cells, a formula, a format, a note, a link, and so on.

    Treat it as immutable and use `but` to get a changed copy: rows are shared between snapshots.
    `value` of a formula cell is what it was worth at the last recalculation.
    """

    __slots__ = (
        "chips",
        "format",
        "formula",
        "link",
        "note",
        "pivot",
        "runs",
        "validation",
        "value",
    )

    value: Value
    formula: str | None  # with its leading "="
    format: dict[str, Json] | None  # userEnteredFormat, as JSON (numberFormat included)
    note: str | None
    link: str | None  # a link of the whole cell (textFormat.link), not one of a HYPERLINK formula
    runs: list[Json] | None  # textFormatRuns
    validation: dict[str, Json] | None  # dataValidation rule
    chips: list[Json] | None  # chipRuns
    pivot: dict[str, Json] | None

    def __init__(
        self,
        value: Value = None,
        formula: str | None = None,
        format: dict[str, Json] | None = None,  # noqa: A002
        note: str | None = None,
        link: str | None = None,
        runs: list[Json] | None = None,
        validation: dict[str, Json] | None = None,
        chips: list[Json] | None = None,
        pivot: dict[str, Json] | None = None,
    ):
        self.value = value
        self.formula = formula
        self.format = format
        self.note = note
        self.link = link
        self.runs = runs
        self.validation = validation
        self.chips = chips
        self.pivot = pivot

    def but(self, **changes: Json) -> "Cell":
        """A copy with some parts replaced."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        parts.update(changes)
        return Cell(**parts)

    @property
    def empty(self) -> bool:
        """Has neither a value nor anything else: may be dropped from its row."""
        return (
            self.value is None
            and self.format is None
            and self.formula is None
            and self.note is None
            and self.link is None
            and self.validation is None
            and self.runs is None
            and self.chips is None
            and self.pivot is None
        )

    @property
    def blank(self) -> bool:
        """Shows nothing, whatever its format; "" typed by RAW is nothing too."""
        return self.formula is None and (self.value is None or self.value == "")

    @property
    def number_format(self) -> dict[str, str] | None:
        return self.format.get("numberFormat") if self.format else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = [
            f"{n}={getattr(self, n)!r}" for n in self.__slots__ if getattr(self, n) is not None
        ]
        return f"Cell({', '.join(parts)})"


EMPTY: Final = Cell()
