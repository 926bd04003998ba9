"""A rectangle of a tab, with ends that may be open, and how a structural change moves it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tests.emulators.sheets.errors import ApiError


class Dimension(StrEnum):
    ROWS = "ROWS"
    COLUMNS = "COLUMNS"


@dataclass(frozen=True, slots=True)
class GridRange:
    """Half-open and zero-based; None is an open end."""

    sheet_id: int
    r0: int | None = None
    r1: int | None = None
    c0: int | None = None
    c1: int | None = None

    def json(self) -> dict[str, int]:
        """Google's spelling: sheetId 0 is left out (a proto3 default), a start of 0 is not."""
        spelled: dict[str, int] = {}
        if self.sheet_id:
            spelled["sheetId"] = self.sheet_id
        ends = {
            "startRowIndex": self.r0,
            "endRowIndex": self.r1,
            "startColumnIndex": self.c0,
            "endColumnIndex": self.c1,
        }
        spelled.update((name, value) for name, value in ends.items() if value is not None)
        return spelled

    @classmethod
    def of(cls, body: dict[str, Any]) -> "GridRange":
        return cls(
            body.get("sheetId", 0) or 0,
            body.get("startRowIndex"),
            body.get("endRowIndex"),
            body.get("startColumnIndex"),
            body.get("endColumnIndex"),
        )

    def bounds(self, rows: int, columns: int) -> tuple[int, int, int, int]:
        """r0, r1, c0, c1 with open ends closed at the grid's."""
        return (
            self.r0 or 0,
            rows if self.r1 is None else self.r1,
            self.c0 or 0,
            columns if self.c1 is None else self.c1,
        )

    def closed(self, rows: int, columns: int) -> "GridRange":
        r0, r1, c0, c1 = self.bounds(rows, columns)
        return GridRange(self.sheet_id, r0, r1, c0, c1)

    def touches(self, other: "GridRange") -> bool:
        return (
            self.sheet_id == other.sheet_id
            and _overlap(self.r0, self.r1, other.r0, other.r1)
            and _overlap(self.c0, self.c1, other.c0, other.c1)
        )

    def contains(self, other: "GridRange") -> bool:
        return (
            self.sheet_id == other.sheet_id
            and _within(self.r0, self.r1, other.r0, other.r1)
            and _within(self.c0, self.c1, other.c0, other.c1)
        )

    def span(self, dimension: Dimension) -> tuple[int | None, int | None]:
        return (self.r0, self.r1) if dimension is Dimension.ROWS else (self.c0, self.c1)

    def with_span(self, dimension: Dimension, span: tuple[int | None, int | None]) -> "GridRange":
        if dimension is Dimension.ROWS:
            return replace(self, r0=span[0], r1=span[1])
        return replace(self, c0=span[0], c1=span[1])


def _overlap(a0: int | None, a1: int | None, b0: int | None, b1: int | None) -> bool:
    start = max(a0 or 0, b0 or 0)
    return (a1 is None or start < a1) and (b1 is None or start < b1)


def _within(a0: int | None, a1: int | None, b0: int | None, b1: int | None) -> bool:
    return (a0 or 0) <= (b0 or 0) and (a1 is None or (b1 is not None and b1 <= a1))


Shift = Callable[[int | None, int | None], tuple[int | None, int | None] | None]
"""What a structural change does to a span of its dimension; None: the span is gone."""


def insertion(start: int, count: int) -> Shift:
    def shift(s: int | None, e: int | None) -> tuple[int | None, int | None]:
        if s is not None and s >= start:
            s += count
        if e is not None and e > start:
            e += count
        return s, e

    return shift


def deletion(start: int, end: int) -> Shift:
    count = end - start

    def shift(s: int | None, e: int | None) -> tuple[int | None, int | None] | None:
        if s is not None and e is not None and start <= s and e <= end:
            return None
        if s is not None and s > start:
            s = max(start, s - count)
        if e is not None and e > start:
            e = max(start, e - count)
        return s, e

    return shift


def movement(start: int, end: int, destination: int) -> Shift:
    """A span that lies within what is moved goes along; any other keeps its first element's new
    place and its length."""

    def shift(s: int | None, e: int | None) -> tuple[int | None, int | None]:
        if s is None or e is None:
            return s, e
        moved = sorted(moved_index(i, start, end, destination) for i in (s, e - 1))
        if start <= s and e <= end:
            return moved[0], moved[1] + 1
        inside = s <= start and end <= e
        if inside and s <= destination <= e:
            return s, e
        return moved[0], moved[1] + 1

    return shift


def moved_index(index: int, start: int, end: int, destination: int) -> int:
    """Where a row is after [start, end) was moved to before `destination` (of the old counting)."""
    count = end - start
    if start <= index < end:
        return index - start + (destination if destination < start else destination - count)
    if destination <= index < start:
        return index + count
    if end <= index < destination:
        return index - count
    return index


def map_ranges(node: Any, change: Callable[[GridRange], GridRange | None]) -> Any:
    """The same JSON with every GridRange in it changed.

    A list entry that is, or an object whose `range` is, a range that went away goes with it.
    """
    if isinstance(node, GridRange):
        return change(node)
    if isinstance(node, list):
        kept = [map_ranges(part, change) for part in node]
        return [
            part for part, old in zip(kept, node, strict=True) if part is not None or old is None
        ]
    if isinstance(node, dict):
        changed = {name: map_ranges(part, change) for name, part in node.items()}
        if isinstance(node.get("range"), GridRange) and changed["range"] is None:
            return None
        if isinstance(node.get("ranges"), list) and node["ranges"] and not changed["ranges"]:
            return None
        return changed
    return node


def plain(node: Any) -> Any:
    """JSON to send: every GridRange spelled out."""
    if isinstance(node, GridRange):
        return node.json()
    if isinstance(node, list):
        return [plain(part) for part in node]
    if isinstance(node, dict):
        return {name: plain(part) for name, part in node.items()}
    return node


def check_order(body: dict[str, Any]) -> None:
    """Google's answers to a range that is turned round."""
    for start, end in (("startRowIndex", "endRowIndex"), ("startColumnIndex", "endColumnIndex")):
        s, e = body.get(start), body.get(end)
        if s is not None and e is not None and s > e:
            raise ApiError(f"{end} must be after {start}")
