"""Protected ranges: add, change, delete, and how answers show them."""

from typing import Any

from tests.emulators.sheets import fieldmask, requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange, plain
from tests.emulators.sheets.protection import SENTENCE, may_edit
from tests.emulators.sheets.requests_areas import area
from tests.emulators.sheets.sheet import Sheet


@request("addProtectedRange")
def add(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("protectedRange", {})
    protected = with_ranges(document, asked)
    protected["protectedRangeId"] = asked.get("protectedRangeId") or document.fresh_id()
    if any(p["protectedRangeId"] == protected["protectedRangeId"] for _, p in every(document)):
        raise ApiError(
            f"Cannot add protected range with ID {protected['protectedRangeId']}, a protected range"
            " with that ID already exists."
        )
    check(protected)
    home(document, protected).list_of("protectedRanges").append(protected)
    return {"protectedRange": printed(protected, caller)}


def every(document: Spreadsheet) -> list[tuple[Sheet, dict[str, Any]]]:
    return [(s, p) for s in document.sheets for p in s.parts.get("protectedRanges", ())]


def with_ranges(document: Spreadsheet, asked: dict[str, Any]) -> dict[str, Any]:
    """The protected range as it is kept: `range` and `unprotectedRanges` as GridRanges."""
    kept = {name: value for name, value in asked.items() if name != "requestingUserCanEdit"}
    if "range" in asked:
        area(document, asked["range"])
        kept["range"] = document.grid_range(asked["range"])
    if "unprotectedRanges" in asked:
        kept["unprotectedRanges"] = [document.grid_range(r) for r in asked["unprotectedRanges"]]
    if kept.get("namedRangeId"):
        kept["range"] = named(document, kept["namedRangeId"])
    return kept


def named(document: Spreadsheet, named_range_id: str) -> GridRange:
    for entry in document.named_ranges:
        if entry["namedRangeId"] == named_range_id:
            r: GridRange = entry["range"]
            return r
    raise ApiError(f"No named range with id: {named_range_id}")


def check(protected: dict[str, Any]) -> None:
    if "range" not in protected:
        raise ApiError("Must specify a range or a named range to protect.")
    r: GridRange = protected["range"]
    whole = (r.r0, r.r1, r.c0, r.c1) == (None, None, None, None)
    if protected.get("unprotectedRanges") and not whole:
        raise ApiError("Unprotected ranges are only supported on protected sheets.")
    editors = protected.get("editors", {})
    if protected.get("warningOnly") and (editors.get("users") or editors.get("groups")):
        raise ApiError("Editors cannot be set on a protected range that is warning only.")


def home(document: Spreadsheet, protected: dict[str, Any]) -> Sheet:
    return document.sheet(protected["range"].sheet_id)


def printed(protected: dict[str, Any], caller: Caller | None) -> dict[str, Any]:
    """ProtectedRange as Google answers it: `editors` always, even where it lists nobody."""
    order = ("protectedRangeId", "range", "namedRangeId", "tableId", "description", "warningOnly")
    shown = {name: protected[name] for name in order if name in protected}
    if caller is None or may_edit(protected, caller):
        shown["requestingUserCanEdit"] = True
        shown["editors"] = protected.get("editors", {})
    if protected.get("unprotectedRanges"):
        shown["unprotectedRanges"] = protected["unprotectedRanges"]
    answer: dict[str, Any] = plain(shown)
    return answer


def found(
    document: Spreadsheet, protected_range_id: int, caller: Caller
) -> tuple[Sheet, dict[str, Any]]:
    for sheet, protected in every(document):
        if protected["protectedRangeId"] == protected_range_id:
            if not may_edit(protected, caller):
                raise ApiError(SENTENCE)
            return sheet, protected
    raise ApiError(f"No protected range with id: {protected_range_id}")


@request("updateProtectedRange")
def update(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    tree = requests_masks.parse("ProtectedRange", body.get("fields", ""), "protectedRange")
    asked = body.get("protectedRange", {})
    sheet, protected = found(document, asked.get("protectedRangeId", 0), caller)
    after = dict(protected)
    kept = with_ranges(document, asked)
    for name in tree or {n: {} for n in (*kept, *protected)}:
        if name == "range" and tree.get("range"):
            spelled = {**protected["range"].json(), **asked.get("range", {})}
            after["range"] = document.grid_range(spelled)
        else:
            fieldmask.update(after, kept, {name: tree.get(name, {})})
    after["protectedRangeId"] = protected["protectedRangeId"]
    after.pop("requestingUserCanEdit", None)
    check(after)
    at = sheet.parts["protectedRanges"].index(protected)
    if home(document, after) is sheet:
        sheet.parts["protectedRanges"][at] = after
    else:
        remove(sheet, protected)
        home(document, after).list_of("protectedRanges").append(after)
    return None


@request("deleteProtectedRange")
def delete(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    remove(*found(document, body.get("protectedRangeId", 0), caller))
    return None


def remove(sheet: Sheet, protected: dict[str, Any]) -> None:
    sheet.parts["protectedRanges"].remove(protected)
    if not sheet.parts["protectedRanges"]:
        del sheet.parts["protectedRanges"]
