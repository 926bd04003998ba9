"""Named ranges."""

import re
from typing import Any

from tests.emulators.sheets import requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange, plain
from tests.emulators.sheets.requests_areas import area

MAX_NAME = 250
_NAME = re.compile(r"[^\W\d][\w.]*\Z")
_TAKEN = re.compile(
    r"(?:true|false|r[0-9]*c[0-9]*|r[0-9]*|c[0-9]*|[a-z]{1,3}[0-9]+)\Z", re.IGNORECASE
)


@request("addNamedRange")
def add_named_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("namedRange", {})
    name = asked.get("name", "")
    check_name(document, name)
    if "range" not in asked:
        raise ApiError("Must specify a range for the named range.")
    made = {
        "namedRangeId": free_id(document, asked.get("namedRangeId")),
        "name": name,
        "range": kept_range(document, asked["range"]),
    }
    document.named_ranges.append(made)
    return {"namedRange": plain(made)}


def kept_range(document: Spreadsheet, body: dict[str, Any]) -> GridRange:
    """Open ends stay open: such a range grows with its tab."""
    area(document, body)
    return document.grid_range(body)


def free_id(document: Spreadsheet, wanted: str | None) -> str:
    if not wanted:
        return str(document.fresh_id())
    if any(n["namedRangeId"] == wanted for n in document.named_ranges):
        raise ApiError(
            f"Cannot add named range with ID {wanted}, a named range with that ID already exists."
        )
    return wanted


def check_name(document: Spreadsheet, name: str, own: dict[str, Any] | None = None) -> None:
    if not _NAME.match(name) or _TAKEN.match(name) or len(name) > MAX_NAME:
        raise ApiError(f"Invalid name for the named range: {name}")
    for other in document.named_ranges:
        if other is not own and other["name"].casefold() == name.casefold():
            raise ApiError(
                f"Cannot add named range with name {name}, a named range with that name already"
                " exists."
            )


def found(document: Spreadsheet, named_range_id: str) -> dict[str, Any]:
    for named in document.named_ranges:
        if named["namedRangeId"] == named_range_id:
            return named
    raise ApiError(f"No named range with id: {named_range_id}")


@request("updateNamedRange")
def update_named_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    tree = requests_masks.parse("NamedRange", body.get("fields", ""), "namedRange")
    asked = body.get("namedRange", {})
    named = found(document, asked.get("namedRangeId", ""))
    if not tree or "name" in tree:
        check_name(document, asked.get("name", ""), own=named)
        named["name"] = asked["name"]
    if not tree or "range" in tree:
        if "range" not in asked:
            raise ApiError("Must specify a range for the named range.")
        named["range"] = kept_range(document, merged(named["range"], asked["range"], tree))
        for sheet in document.sheets:
            for protected in sheet.parts.get("protectedRanges", ()):
                if protected.get("namedRangeId") == named["namedRangeId"]:
                    protected["range"] = named["range"]
    return None


def merged(before: GridRange, asked: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    """With a mask below `range` only the named ends change."""
    below = tree.get("range") or {}
    if not below:
        return asked
    return {**before.json(), **{name: asked[name] for name in below if name in asked}}


@request("deleteNamedRange")
def delete_named_range(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    document.named_ranges.remove(found(document, body.get("namedRangeId", "")))
    return None
