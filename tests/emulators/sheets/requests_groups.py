"""Groups of rows and columns, one within another: add, delete, collapse."""

from typing import Any

from tests.emulators.sheets import requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import Dimension
from tests.emulators.sheets.requests_areas import Span, span, spelled_span, word
from tests.emulators.sheets.requests_dimensions import (
    existing,
    properties_of,
    set_properties,
)
from tests.emulators.sheets.sheet import Sheet

MAX_DEPTH = 8


def part_of(dimension: Dimension) -> str:
    return "rowGroups" if dimension is Dimension.ROWS else "columnGroups"


def depths(sheet: Sheet, dimension: Dimension) -> dict[int, int]:
    """How many groups each row or column is in."""
    deep: dict[int, int] = {}
    for group in sheet.parts.get(part_of(dimension), ()):
        start, end = group["range"].span(dimension)
        for i in range(start, end):
            deep[i] = max(deep.get(i, 0), group["depth"])
    return deep


def regroup(touched: Span, deep: dict[int, int]) -> None:
    """Groups are what the depths say: at each depth, the longest runs that are at least so deep."""
    part = part_of(touched.dimension)
    collapsed = {
        (group["range"].span(touched.dimension), group["depth"])
        for group in touched.sheet.parts.get(part, ())
        if group.get("collapsed")
    }
    groups = []
    for depth in range(1, max(deep.values(), default=0) + 1):
        members = sorted(i for i, d in deep.items() if d >= depth)
        for start, end in _runs(members):
            made: dict[str, Any] = {
                "range": touched._replace(start=start, end=end).range,
                "depth": depth,
            }
            if ((start, end), depth) in collapsed:
                made["collapsed"] = True
            groups.append(made)
    groups.sort(key=lambda g: (g["range"].span(touched.dimension)[0], g["depth"]))
    if groups:
        touched.sheet.parts[part] = groups
    else:
        touched.sheet.parts.pop(part, None)


def _runs(members: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for i in members:
        if runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs


def printed(sheet: Sheet, dimension: Dimension) -> list[dict[str, Any]]:
    return [
        {**group, "range": spelled_span(group["range"], dimension)}
        for group in sheet.parts.get(part_of(dimension), ())
    ]


def _answer(touched: Span) -> Reply:
    groups = printed(touched.sheet, touched.dimension)
    return {"dimensionGroups": groups} if groups else {}


@request("addDimensionGroup")
def add_group(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    touched = existing(span(document, body.get("range")))
    deep = depths(touched.sheet, touched.dimension)
    for i in range(touched.start, touched.end):
        deep[i] = deep.get(i, 0) + 1
        if deep[i] > MAX_DEPTH:
            raise ApiError(f"Cannot create a {word(touched.dimension)} group of depth {deep[i]}.")
    regroup(touched, deep)
    return _answer(touched)


@request("deleteDimensionGroup")
def delete_group(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    touched = existing(span(document, body.get("range")))
    deep = depths(touched.sheet, touched.dimension)
    inside = range(touched.start, touched.end)
    if not any(deep.get(i) for i in inside):
        raise ApiError(f"No {word(touched.dimension)} group exists in the specified range.")
    for i in inside:
        if deep.get(i, 0) > 1:
            deep[i] -= 1
        else:
            deep.pop(i, None)
    regroup(touched, deep)
    return _answer(touched)


@request("updateDimensionGroup")
def update_group(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    tree = requests_masks.parse("DimensionGroup", body.get("fields", ""), "dimensionGroup")
    asked = body.get("dimensionGroup", {})
    touched = existing(span(document, asked.get("range"), "dimensionGroup.range"))
    for group in touched.sheet.parts.get(part_of(touched.dimension), ()):
        at = group["range"].span(touched.dimension) == (touched.start, touched.end)
        if at and group["depth"] == asked.get("depth", 0):
            if not tree or "collapsed" in tree:
                collapse(touched, group, collapsed=asked.get("collapsed", False))
            return None
    raise ApiError(f"No {word(touched.dimension)} group exists at the specified range and depth.")


def collapse(touched: Span, group: dict[str, Any], *, collapsed: bool) -> None:
    """A collapsed group's rows are hidden."""
    group.pop("collapsed", None)
    if collapsed:
        group["collapsed"] = True
    properties = properties_of(touched.sheet, touched.dimension)
    for i in range(touched.start, touched.end):
        part = dict(properties.get(i, {}), hiddenByUser=collapsed)
        set_properties(properties, i, part)
