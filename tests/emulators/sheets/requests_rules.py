"""Conditional formats, banding, slicers and charts: kept and answered, not drawn."""

from typing import Any

from tests.emulators.sheets import fieldmask, requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange, plain
from tests.emulators.sheets.requests_areas import area
from tests.emulators.sheets.requests_cells import check_condition
from tests.emulators.sheets.sheet import Sheet

RULES = "conditionalFormats"


def kept_rule(document: Spreadsheet, asked: dict[str, Any] | None) -> dict[str, Any]:
    if asked is None:
        raise ApiError("A rule must be specified.")
    rule: dict[str, Any] = requests_masks.coloured("ConditionalFormatRule", asked)
    ranges: list[GridRange] = [area(document, r).range for r in asked.get("ranges", ())]
    if not ranges:
        raise ApiError("At least one range must be specified.")
    if len({r.sheet_id for r in ranges}) > 1:
        raise ApiError("All ranges of a conditional format rule must be on the same sheet.")
    if "booleanRule" in rule:
        check_condition(rule["booleanRule"].get("condition"))
    elif "gradientRule" in rule:
        check_gradient(rule["gradientRule"])
    else:
        raise ApiError("A boolean rule or a gradient rule must be specified.")
    rule["ranges"] = ranges
    return rule


def check_gradient(gradient: dict[str, Any]) -> None:
    """A colour scale needs both ends; a point with a number needs its number."""
    for name in ("minpoint", "midpoint", "maxpoint"):
        point = gradient.get(name)
        if point is None and name == "midpoint":
            continue
        kind = (point or {}).get("type")
        if point is None or kind is None:
            raise ApiError("No interpolationPointType specified.")
        if kind in ("MIN", "MAX"):
            point.pop("value", None)
        elif not point.get("value"):
            raise ApiError("InterpolationPoint.value is required.")


@request("addConditionalFormatRule")
def add_rule(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    rule = kept_rule(document, body.get("rule"))
    rules = document.sheet(rule["ranges"][0].sheet_id).list_of(RULES)
    index = body.get("index", 0)
    if not 0 <= index <= len(rules):
        raise ApiError(f"Index {index} is out of bounds: there are {len(rules)} rules.")
    rules.insert(index, rule)
    return None


def rule_at(sheet: Sheet, index: int) -> dict[str, Any]:
    rules: list[dict[str, Any]] = sheet.parts.get(RULES, [])
    if not 0 <= index < len(rules):
        raise ApiError(f"No conditional format on sheet: {sheet.sheet_id} at index: {index}")
    return rules[index]


@request("updateConditionalFormatRule")
def update_rule(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    index = body.get("index", 0)
    if "rule" in body:
        new = kept_rule(document, body["rule"])
        sheet = document.sheet(new["ranges"][0].sheet_id)
        old = rule_at(sheet, index)
        sheet.parts[RULES][index] = new
        return _indexed({"newRule": plain(new), "oldRule": plain(old)}, newIndex=index)
    sheet = document.sheet(body.get("sheetId", 0))
    rule = rule_at(sheet, index)
    if "newIndex" not in body:
        raise ApiError("Either rule or newIndex must be specified.")
    to = body["newIndex"]
    if not 0 <= to < len(sheet.parts[RULES]):
        raise ApiError(f"No conditional format on sheet: {sheet.sheet_id} at index: {to}")
    sheet.parts[RULES].insert(to, sheet.parts[RULES].pop(index))
    return _indexed({"newRule": plain(rule)}, newIndex=to, oldIndex=index)


def _indexed(reply: dict[str, Any], **indexes: int) -> dict[str, Any]:
    return reply | {name: index for name, index in indexes.items() if index}


@request("deleteConditionalFormatRule")
def delete_rule(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet = document.sheet(body.get("sheetId", 0))
    rule = rule_at(sheet, body.get("index", 0))
    sheet.parts[RULES].pop(body.get("index", 0))
    _tidy(sheet, RULES)
    return {"rule": plain(rule)}


def _tidy(sheet: Sheet, part: str) -> None:
    if not sheet.parts.get(part, True):
        del sheet.parts[part]


def found(document: Spreadsheet, part: str, name: str, wanted: int, what: str) -> Any:
    """(tab, entry) of the thing that has this id."""
    for sheet in document.sheets:
        for entry in sheet.parts.get(part, ()):
            if entry[name] == wanted:
                return sheet, entry
    raise ApiError(f"No {what} with id: {wanted}")


@request("addBanding")
def add_banding(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("bandedRange", {})
    band = requests_masks.coloured("BandedRange", asked)
    target = area(document, asked.get("range"))
    band["range"] = target.range
    check_banding(target.sheet, band)
    for sheet in document.sheets:
        if any(
            b["bandedRangeId"] == band.get("bandedRangeId")
            for b in sheet.parts.get("bandedRanges", ())
        ):
            raise ApiError(f"A banded range with id {band['bandedRangeId']} already exists.")
    band.setdefault("bandedRangeId", document.fresh_id())
    target.sheet.list_of("bandedRanges").append(band)
    return {"bandedRange": plain(band)}


def check_banding(sheet: Sheet, band: dict[str, Any]) -> None:
    if "rowProperties" not in band and "columnProperties" not in band:
        raise ApiError("At least one of rowProperties and columnProperties must be specified.")
    for other in sheet.parts.get("bandedRanges", ()):
        if other["range"].touches(band["range"]) and (
            other["bandedRangeId"] != band.get("bandedRangeId")
        ):
            raise ApiError(
                "You cannot add alternating background colors to a range that already has"
                " alternating background colors."
            )


@request("updateBanding")
def update_banding(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    tree = requests_masks.parse("BandedRange", body.get("fields", ""), "bandedRange")
    asked = body.get("bandedRange", {})
    sheet, band = found(
        document, "bandedRanges", "bandedRangeId", asked.get("bandedRangeId", 0), "banded range"
    )
    kept = requests_masks.coloured("BandedRange", asked)
    if "range" in asked:
        kept["range"] = area(document, asked["range"]).range
    after = dict(band)
    whole = tree or {name: {} for name in ("range", "rowProperties", "columnProperties")}
    for name, below in whole.items():
        if name == "bandedRangeId" or (name == "range" and "range" not in kept):
            continue
        fieldmask.update(after, kept, {name: {} if name == "range" else below})
    bands = sheet.parts["bandedRanges"]
    bands[bands.index(band)] = after
    check_banding(sheet, after)
    return None


@request("deleteBanding")
def delete_banding(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet, band = found(
        document, "bandedRanges", "bandedRangeId", body.get("bandedRangeId", 0), "banded range"
    )
    sheet.parts["bandedRanges"].remove(band)
    _tidy(sheet, "bandedRanges")
    return None


def ranged(document: Spreadsheet, node: Any) -> Any:
    """JSON of a chart or slicer with its GridRanges as such, so that they follow their cells."""
    if isinstance(node, list):
        return [ranged(document, part) for part in node]
    if not isinstance(node, dict):
        return node
    if node.keys() & {"startRowIndex", "endRowIndex", "startColumnIndex", "endColumnIndex"}:
        return document.grid_range(node)
    return {name: ranged(document, part) for name, part in node.items() if part is not None}


def anchor(document: Spreadsheet, position: dict[str, Any]) -> Sheet:
    """The tab that a floating object lies on."""
    if "sheetId" in position:
        return document.sheet(position["sheetId"])
    cell = position.get("overlayPosition", {}).get("anchorCell", {})
    return document.sheet(cell.get("sheetId", 0))


@request("addSlicer")
def add_slicer(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("slicer", {})
    if "dataRange" not in asked.get("spec", {}):
        raise ApiError("Must specify a data range for the slicer.")
    made = {
        "slicerId": asked.get("slicerId") or document.fresh_id(),
        "spec": ranged(document, asked["spec"]),
        "position": ranged(document, asked.get("position", {})),
    }
    anchor(document, asked.get("position", {})).list_of("slicers").append(made)
    return {"slicer": plain(made)}


@request("updateSlicerSpec")
def update_slicer_spec(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    tree = fieldmask.parse(body.get("fields", "*") or "*")
    _, slicer = found(document, "slicers", "slicerId", body.get("slicerId", 0), "slicer")
    after = dict(slicer["spec"])
    fieldmask.update(after, ranged(document, body.get("spec", {})), tree)
    slicer["spec"] = after
    return None


@request("addChart")
def add_chart(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("chart") or {}
    if not asked.get("spec"):
        raise ApiError("no chart spec")
    position = asked.get("position") or {}
    made = {
        "chartId": asked.get("chartId") or document.fresh_id(),
        "spec": ranged(document, asked["spec"]),
        "position": ranged(document, {n: v for n, v in position.items() if n != "newSheet"}),
    }
    anchor(document, position).list_of("charts").append(made)
    return {"chart": plain(made)}


@request("updateChartSpec")
def update_chart_spec(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    _, chart = found(document, "charts", "chartId", body.get("chartId", 0), "chart")
    chart["spec"] = ranged(document, body.get("spec") or {})
    return None


@request("deleteEmbeddedObject")
def delete_embedded_object(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    wanted = body.get("objectId", 0)
    for sheet in document.sheets:
        for part, name in (("charts", "chartId"), ("slicers", "slicerId")):
            for entry in sheet.parts.get(part, ()):
                if entry[name] == wanted:
                    sheet.parts[part].remove(entry)
                    _tidy(sheet, part)
                    return None
    raise ApiError(f"No embedded object with id: {wanted}")
