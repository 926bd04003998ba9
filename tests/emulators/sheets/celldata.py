"""A cell as spreadsheets.get shows it: entered, effective and formatted values, formats, links."""

import copy
from typing import Any

from tests.emulators.sheets import fieldmask
from tests.emulators.sheets.cell import Cell, CellError, Value
from tests.emulators.sheets.defaults import DEFAULT_FORMAT
from tests.emulators.sheets.rendering import formatted

EVERYTHING: fieldmask.Tree = {}


def extended(value: Value) -> dict[str, Any]:
    """An ExtendedValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int | float):
        return {"numberValue": value}
    if isinstance(value, CellError):
        error = {"type": value.kind}
        if value.message:
            error["message"] = value.message
        return {"errorValue": error}
    return {"stringValue": value}


def cell_data(cell: Cell | None, tree: fieldmask.Tree = EVERYTHING) -> dict[str, Any]:
    """A CellData of what the mask asks for; a cell that has nothing at all is {}."""
    if cell is None or cell.empty:
        return {}
    every = not tree or "*" in tree
    answer: dict[str, Any] = {}
    has_value = cell.value is not None and (cell.value != "" or cell.formula is not None)
    if every or "userEnteredValue" in tree:
        if cell.formula is not None:
            answer["userEnteredValue"] = {"formulaValue": cell.formula}
        elif has_value:
            answer["userEnteredValue"] = extended(cell.value)
    if has_value and (every or "effectiveValue" in tree):
        answer["effectiveValue"] = extended(cell.value)
    if has_value and (every or "formattedValue" in tree):
        answer["formattedValue"] = formatted(cell.value, cell.format)
    if cell.format and (every or "userEnteredFormat" in tree):
        answer["userEnteredFormat"] = cell.format
    if (has_value or cell.format) and (every or "effectiveFormat" in tree):
        answer["effectiveFormat"] = effective_format(cell)
    if (every or "hyperlink" in tree) and (link := link_of(cell)):
        answer["hyperlink"] = link
    others = {
        "note": cell.note,
        "textFormatRuns": cell.runs,
        "dataValidation": cell.validation,
        "pivotTable": cell.pivot,
        "chipRuns": cell.chips,
    }
    answer.update((name, part) for name, part in others.items() if part and (every or name in tree))
    return answer


def spilled_data(value: Value) -> dict[str, Any]:
    """A cell that shows a part of an array formula's result has no entered value."""
    return {
        "effectiveValue": extended(value),
        "formattedValue": formatted(value, None),
        "effectiveFormat": effective_format(Cell(value)),
    }


def link_of(cell: Cell) -> str | None:
    """The one link of a cell: its own, its text format's, or the only one of its runs."""
    if cell.link:
        return cell.link
    text_format = (cell.format or {}).get("textFormat") or {}
    if uri := (text_format.get("link") or {}).get("uri"):
        return str(uri)
    uris = {((r.get("format") or {}).get("link") or {}).get("uri") for r in cell.runs or ()}
    uris.discard(None)
    return uris.pop() if len(uris) == 1 and len(cell.runs or ()) == 1 else None


def effective_format(cell: Cell) -> dict[str, Any]:
    shown = copy.deepcopy(DEFAULT_FORMAT)
    shown["horizontalAlignment"] = _alignment(cell.value)
    shown["hyperlinkDisplayType"] = "LINKED" if link_of(cell) else "PLAIN_TEXT"
    _merge(shown, cell.format or {})
    return shown


def _alignment(value: Value) -> str:
    if isinstance(value, bool | CellError):
        return "CENTER"
    return "RIGHT" if isinstance(value, int | float) else "LEFT"


def _merge(target: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        deep = name in ("textFormat", "padding", "borders")
        if deep and isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = copy.deepcopy(value)
