"""Tables: kept as they are sent, with a name and a column for each header; and objects' places."""

from typing import Any

from tests.emulators.sheets import fieldmask
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import plain
from tests.emulators.sheets.rendering import Rendering, render
from tests.emulators.sheets.requests_areas import Area, area
from tests.emulators.sheets.requests_rules import ranged
from tests.emulators.sheets.sheet import Sheet


def every(document: Spreadsheet) -> list[tuple[Sheet, dict[str, Any]]]:
    return [(s, table) for s in document.sheets for table in s.parts.get("tables", ())]


def found(document: Spreadsheet, table_id: str) -> tuple[Sheet, dict[str, Any]]:
    for sheet, table in every(document):
        if table["tableId"] == table_id:
            return sheet, table
    raise ApiError(f"No table with id: {table_id}")


@request("addTable")
def add_table(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("table") or {}
    target = area(document, asked.get("range"))
    tables = every(document)
    made: dict[str, Any] = {
        "tableId": asked.get("tableId") or str(document.fresh_id()),
        "name": asked.get("name") or f"Table{len(tables) + 1}",
        "range": target.range,
        "columnProperties": columns(target, asked.get("columnProperties") or []),
    }
    made |= {n: asked[n] for n in ("rowsProperties",) if asked.get(n)}
    if any(table["name"].casefold() == made["name"].casefold() for _, table in tables):
        raise ApiError(f'A table with the name "{made["name"]}" already exists.')
    if any(table["range"].touches(target.range) for _, table in tables):
        raise ApiError("You cannot add a table to a range that already has a table.")
    target.sheet.list_of("tables").append(made)
    return {"table": plain(made)}


def columns(target: Area, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a column, named by its header where the request does not name it."""
    sent = {entry.get("columnIndex", 0): entry for entry in asked}
    made = []
    for i in range(target.width):
        header = str(render(target.sheet.grid.cell(target.r0, target.c0 + i), Rendering()))
        entry = {"columnIndex": i, "columnName": header or f"Column {i + 1}", **sent.get(i, {})}
        made.append({name: value for name, value in entry.items() if value not in (None, 0)})
    return made


@request("updateTable")
def update_table(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    if not body.get("fields"):
        raise ApiError(
            "At least one field must be listed in 'fields'. (Use '*' to indicate all fields.)"
        )
    asked = body.get("table") or {}
    sheet, table = found(document, asked.get("tableId", ""))
    kept = ranged(document, {n: v for n, v in asked.items() if n != "tableId"})
    after = dict(table)
    tree = fieldmask.parse(body["fields"])
    fieldmask.update(after, kept, {n: {} for n in kept} if "*" in tree else tree)
    after["tableId"] = table["tableId"]
    sheet.parts["tables"][sheet.parts["tables"].index(table)] = after
    return None


@request("deleteTable")
def delete_table(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    sheet, table = found(document, body.get("tableId", ""))
    sheet.parts["tables"].remove(table)
    if not sheet.parts["tables"]:
        del sheet.parts["tables"]
    return None


@request("updateEmbeddedObjectPosition")
def update_position(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    """A floating object moves over its tab; it does not change tabs here."""
    wanted = body.get("objectId", 0)
    for sheet in document.sheets:
        for part, name in (("charts", "chartId"), ("slicers", "slicerId")):
            for entry in sheet.parts.get(part, ()):
                if entry[name] == wanted:
                    place = dict(entry.get("position") or {})
                    tree = fieldmask.parse(body.get("fields") or "*")
                    # The mask is of the overlay's fields (anchorCell, offsetXPixels, ...).
                    overlay = dict(place.get("overlayPosition") or {})
                    sent = (body.get("newPosition") or {}).get("overlayPosition") or {}
                    fieldmask.update(overlay, sent, tree)
                    entry["position"] = {**place, "overlayPosition": overlay}
                    return {"position": plain(entry["position"])}
    raise ApiError(f"No embedded object with id: {wanted}")
