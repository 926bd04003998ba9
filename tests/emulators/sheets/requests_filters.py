"""The basic filter of a tab, and its filter views."""

from typing import Any

from tests.emulators.sheets import fieldmask, requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange, plain
from tests.emulators.sheets.rendering import Rendering, render
from tests.emulators.sheets.requests_areas import area
from tests.emulators.sheets.requests_dimensions import set_properties
from tests.emulators.sheets.requests_sorting import sort
from tests.emulators.sheets.sheet import Sheet


@request("setBasicFilter")
def set_basic_filter(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("filter")
    if asked is None:
        raise ApiError("A filter must be specified.")
    target = area(document, asked.get("range", {}))
    kept = requests_masks.coloured("BasicFilter", asked)
    kept["range"] = target.range
    specs = criteria(kept)
    if specs:
        kept["filterSpecs"] = specs
        kept["criteria"] = {str(s["columnIndex"]): s.get("filterCriteria", {}) for s in specs}
    target.sheet.parts["basicFilter"] = kept
    body_rows = target._replace(r0=target.r0 + 1)
    if kept.get("sortSpecs") and body_rows.height > 0:
        document.recalculate()
        sort(body_rows, kept["sortSpecs"])
    hide_filtered(document, target.sheet)
    return None


def criteria(kept: dict[str, Any]) -> list[dict[str, Any]]:
    """One spec a column, whichever of the two spellings (filterSpecs, criteria) was sent."""
    specs: dict[int, dict[str, Any]] = {}
    for spec in kept.get("filterSpecs", ()):
        column = spec.get("columnIndex", 0)
        specs[column] = {**spec, "columnIndex": column}
    for text, wanted in kept.get("criteria", {}).items():
        if not text.isdigit():
            raise ApiError(f"Invalid column index in criteria: {text}")
        specs.setdefault(int(text), {"filterCriteria": wanted, "columnIndex": int(text)})
    held: GridRange = kept["range"] if "range" in kept else GridRange(0)
    for column in specs:
        if column < (held.c0 or 0) or (held.c1 is not None and column >= held.c1):
            raise ApiError(f"Column {column} of the criteria is not in the range of the filter.")
    return [specs[column] for column in sorted(specs)]


def hide_filtered(document: Spreadsheet, sheet: Sheet) -> None:
    """Rows that the basic filter's criteria leave out have hiddenByFilter."""
    properties = sheet.grid.row_properties
    for r in list(properties):
        properties[r] = {n: v for n, v in properties[r].items() if n != "hiddenByFilter"}
        set_properties(properties, r, properties[r])
    kept = sheet.parts.get("basicFilter") or {}
    specs = criteria(kept)
    if not specs:
        return
    document.recalculate()
    held: GridRange = kept["range"]
    for row in range((held.r0 or 0) + 1, held.r1 or sheet.grid.row_count):
        if not all(passes(sheet.grid.cell(row, s.get("columnIndex", 0)), s) for s in specs):
            properties[row] = {**properties.get(row, {}), "hiddenByFilter": True}


def passes(cell: Cell | None, spec: dict[str, Any]) -> bool:
    wanted = spec.get("filterCriteria", {})
    text = str(render(cell, Rendering()))
    if text in wanted.get("hiddenValues", ()):
        return False
    condition = wanted.get("condition")
    return condition is None or holds(condition, text, None if cell is None else cell.value)


def holds(condition: dict[str, Any], text: str, value: Any) -> bool:
    """The conditions on texts, numbers and blanks; any other lets every row pass."""
    values = [v.get("userEnteredValue", "") for v in condition.get("values", ())]
    first = values[0].casefold() if values else ""
    folded = text.casefold()
    texts = {
        "TEXT_CONTAINS": first in folded,
        "TEXT_NOT_CONTAINS": first not in folded,
        "TEXT_STARTS_WITH": folded.startswith(first),
        "TEXT_ENDS_WITH": folded.endswith(first),
        "TEXT_EQ": folded == first,
        "TEXT_NOT_EQ": folded != first,
        "BLANK": text == "",
        "NOT_BLANK": text != "",
    }
    kind = condition.get("type", "")
    if kind in texts:
        return texts[kind]
    if kind.startswith("NUMBER_"):
        return _number_holds(kind, value, [_float(v) for v in values])
    return True


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _number_holds(kind: str, value: Any, bounds: list[float]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not bounds:
        return False
    a, b = bounds[0], bounds[-1]
    return {
        "NUMBER_GREATER": value > a,
        "NUMBER_GREATER_THAN_EQ": value >= a,
        "NUMBER_LESS": value < a,
        "NUMBER_LESS_THAN_EQ": value <= a,
        "NUMBER_EQ": value == a,
        "NUMBER_NOT_EQ": value != a,
        "NUMBER_BETWEEN": a <= value <= b,
        "NUMBER_NOT_BETWEEN": not a <= value <= b,
    }[kind]


@request("clearBasicFilter")
def clear_basic_filter(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet = document.sheet(body.get("sheetId", 0))
    sheet.parts.pop("basicFilter", None)
    hide_filtered(document, sheet)
    return None


def every(document: Spreadsheet) -> list[tuple[Sheet, dict[str, Any]]]:
    return [(s, view) for s in document.sheets for view in s.parts.get("filterViews", ())]


def found(document: Spreadsheet, filter_view_id: int) -> tuple[Sheet, dict[str, Any]]:
    for sheet, view in every(document):
        if view["filterViewId"] == filter_view_id:
            return sheet, view
    raise ApiError(f"No filter view with id: {filter_view_id}")


def kept_view(document: Spreadsheet, asked: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = requests_masks.coloured("FilterView", asked)
    for named in document.named_ranges:
        if asked.get("namedRangeId") == named["namedRangeId"]:
            kept["range"] = named["range"]
    if "range" in asked:
        kept["range"] = area(document, asked["range"]).range
    specs = criteria(kept)
    if specs:
        kept["filterSpecs"] = specs
        kept["criteria"] = {str(s["columnIndex"]): s.get("filterCriteria", {}) for s in specs}
    return kept


@request("addFilterView")
def add_filter_view(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    view = kept_view(document, body.get("filter", {}))
    if "range" not in view:
        raise ApiError("Must specify a range for the filter view.")
    views = every(document)
    if any(v["filterViewId"] == view.get("filterViewId") for _, v in views):
        raise ApiError(f"A filter view with id {view['filterViewId']} already exists.")
    view.setdefault("filterViewId", document.fresh_id())
    view.setdefault("title", f"Filter {len(views) + 1}")
    document.sheet(view["range"].sheet_id).list_of("filterViews").append(view)
    return {"filter": plain(view)}


@request("updateFilterView")
def update_filter_view(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    tree = requests_masks.parse("FilterView", body.get("fields", ""), "filter")
    asked = body.get("filter", {})
    sheet, view = found(document, asked.get("filterViewId", 0))
    kept = kept_view(document, asked)
    whole: fieldmask.Tree = {name: {} for name in (tree or {*kept, *view})}
    whole.pop("filterViewId", None)
    if whole.keys() & {"criteria", "filterSpecs"}:
        whole |= {"criteria": {}, "filterSpecs": {}}
    after = dict(view)
    if whole:  # an empty mask would mean everything
        fieldmask.update(after, kept, whole)
    if "range" not in after:
        raise ApiError("Must specify a range for the filter view.")
    views = sheet.parts["filterViews"]
    views[views.index(view)] = after
    return None


@request("duplicateFilterView")
def duplicate_filter_view(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet, view = found(document, body.get("filterId", 0))
    made = {**view, "filterViewId": document.fresh_id(), "title": f"Copy of {view['title']}"}
    sheet.parts["filterViews"].append(made)
    return {"filter": plain(made)}


@request("deleteFilterView")
def delete_filter_view(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet, view = found(document, body.get("filterId", 0))
    sheet.parts["filterViews"].remove(view)
    if not sheet.parts["filterViews"]:
        del sheet.parts["filterViews"]
    return None
