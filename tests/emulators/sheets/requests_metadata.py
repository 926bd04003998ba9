"""Developer metadata: made, changed, deleted, found; and what data filters mean.

All of it is kept with the tab it lies on (`sheet.parts["developerMetadata"]`), where a row's or a
column's has a GridRange as `range`: so it moves with its row, and goes with it. What lies on the
spreadsheet itself is in `document.developer_metadata`.
"""

from collections.abc import Iterator
from typing import Any

from tests.emulators.sheets import fieldmask, requests_masks
from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import Dimension, GridRange
from tests.emulators.sheets.ranges import resolve
from tests.emulators.sheets.requests_areas import span, spelled_span
from tests.emulators.sheets.sheet import Sheet

LIMIT = 30_000


def all_metadata(document: Spreadsheet) -> Iterator[tuple[Sheet | None, dict[str, Any]]]:
    for entry in document.developer_metadata:
        yield None, entry
    for sheet in document.sheets:
        for entry in sheet.parts.get("developerMetadata", ()):
            yield sheet, entry


def dimension_of(entry: dict[str, Any]) -> Dimension:
    return Dimension.COLUMNS if entry["range"].r0 is None else Dimension.ROWS


def location(sheet: Sheet | None, entry: dict[str, Any]) -> dict[str, Any]:
    if sheet is None:
        return {"locationType": "SPREADSHEET", "spreadsheet": True}
    if "range" not in entry:
        return {"locationType": "SHEET", "sheetId": sheet.sheet_id}
    dimension = dimension_of(entry)
    kind = "ROW" if dimension is Dimension.ROWS else "COLUMN"
    return {"locationType": kind, "dimensionRange": spelled_span(entry["range"], dimension)}


def printed(sheet: Sheet | None, entry: dict[str, Any]) -> dict[str, Any]:
    """DeveloperMetadata as Google answers it."""
    shown = {
        "metadataId": entry["metadataId"],
        "metadataKey": entry["metadataKey"],
        "metadataValue": entry.get("metadataValue", ""),
        "location": location(sheet, entry),
        "visibility": entry["visibility"],
    }
    return {name: value for name, value in shown.items() if value != ""}


def place(
    document: Spreadsheet, asked: dict[str, Any] | None
) -> tuple[Sheet | None, dict[str, Any]]:
    """Where a location is: the tab it is on, and the part of an entry that says where there."""
    asked = {k: v for k, v in (asked or {}).items() if k != "locationType"}
    if "dimensionRange" in asked:
        at = span(document, asked["dimensionRange"], "dimensionRange")
        if at.length != 1:
            raise ApiError("DimensionRange must represent a single row or column.")
        if at.end > at.size:
            raise ApiError("DimensionRange must be within the sheet.")
        return at.sheet, {"range": at.range}
    if "sheetId" in asked:
        return _sheet(document, asked["sheetId"]), {}
    if asked.get("spreadsheet"):
        return None, {}
    raise ApiError("Developer metadata must always have a location specified.")


def _sheet(document: Spreadsheet, sheet_id: int) -> Sheet:
    for sheet in document.sheets:
        if sheet.sheet_id == sheet_id:
            return sheet
    raise ApiError(f"No sheet with id: {sheet_id}")


@request("createDeveloperMetadata")
def create(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    asked = body.get("developerMetadata", {})
    if not asked.get("metadataKey"):
        raise ApiError("Developer metadata must always have a key specified.")
    if "visibility" not in asked:
        raise ApiError("Developer metadata must always have visibility specified.")
    sheet, where = place(document, asked.get("location"))
    used = {entry["metadataId"] for _, entry in all_metadata(document)}
    metadata_id = asked.get("metadataId") or document.fresh_id()
    if metadata_id in used:
        raise ApiError(
            f"Cannot add developer metadata with ID [{metadata_id}] because developer metadata with"
            " that ID already exists."
        )
    entry = {
        "metadataId": metadata_id,
        "metadataKey": asked["metadataKey"],
        "metadataValue": asked.get("metadataValue", ""),
        "visibility": asked["visibility"],
        **where,
    }
    _list(document, sheet).append(entry)
    check_size(document, sheet)
    return {"developerMetadata": printed(sheet, entry)}


def _list(document: Spreadsheet, sheet: Sheet | None) -> list[dict[str, Any]]:
    return document.developer_metadata if sheet is None else sheet.list_of("developerMetadata")


def check_size(document: Spreadsheet, sheet: Sheet | None) -> None:
    """30,000 characters on each tab, and as many on the spreadsheet itself."""
    size = sum(
        len(entry["metadataKey"]) + len(entry.get("metadataValue", ""))
        for entry in _list(document, sheet)
    )
    if size > LIMIT:
        where = "spreadsheet" if sheet is None else "sheet"
        raise ApiError(
            f"This action would increase the developer metadata of the {where} above the limit of"
            f" {LIMIT} characters."
        )


@request("updateDeveloperMetadata")
def update(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    tree = requests_masks.parse("DeveloperMetadata", body.get("fields", ""), "developerMetadata")
    asked = body.get("developerMetadata", {})
    matched = matching(document, body.get("dataFilters", []))
    changed = []
    for sheet, entry, _ in matched:
        named = [n for n in ("metadataKey", "metadataValue", "visibility") if not tree or n in tree]
        if named:  # an empty mask would mean everything
            fieldmask.update(entry, asked, {name: {} for name in named})
        if not entry.get("metadataKey"):
            raise ApiError("Developer metadata must always have a key specified.")
        if "visibility" not in entry:
            raise ApiError("Developer metadata must always have visibility specified.")
        target = sheet
        if not tree or "location" in tree:
            _list(document, sheet).remove(entry)
            target, where = place(document, asked.get("location"))
            entry.pop("range", None)
            entry.update(where)
            _list(document, target).append(entry)
        check_size(document, target)
        changed.append(printed(target, entry))
    tidy(document)
    return {"developerMetadata": changed} if changed else {}


@request("deleteDeveloperMetadata")
def delete(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    if "dataFilter" not in body:
        raise ApiError("A data filter must be specified.")
    matched = matching(document, [body["dataFilter"]])
    for sheet, entry, _ in matched:
        _list(document, sheet).remove(entry)
    tidy(document)
    deleted = [printed(sheet, entry) for sheet, entry, _ in matched]
    return {"deletedDeveloperMetadata": deleted} if deleted else {}


def tidy(document: Spreadsheet) -> None:
    for sheet in document.sheets:
        if not sheet.parts.get("developerMetadata", True):
            del sheet.parts["developerMetadata"]


Matched = tuple[Sheet | None, dict[str, Any], list[dict[str, Any]]]


def matching(document: Spreadsheet, filters: list[dict[str, Any]]) -> list[Matched]:
    """Each entry that one of the filters means, once, with the filters that mean it."""
    found: list[Matched] = []
    for sheet, entry in all_metadata(document):
        by = [f for f in filters if means(document, f, sheet, entry)]
        if by:
            found.append((sheet, entry, by))
    return found


def means(
    document: Spreadsheet, asked: dict[str, Any], sheet: Sheet | None, entry: dict[str, Any]
) -> bool:
    if "developerMetadataLookup" in asked:
        return looked_up(document, asked["developerMetadataLookup"], sheet, entry)
    r = range_of(document, asked)
    if r is None or sheet is None:
        return False
    return r.touches(entry.get("range") or GridRange(sheet.sheet_id))


def looked_up(
    document: Spreadsheet, lookup: dict[str, Any], sheet: Sheet | None, entry: dict[str, Any]
) -> bool:
    """Every part of a lookup narrows; an empty one means everything."""
    for name in ("metadataId", "metadataKey", "metadataValue", "visibility"):
        if name in lookup and lookup[name] != entry.get(name):
            return False
    where = location(sheet, entry)
    if lookup.get("locationType", where["locationType"]) != where["locationType"]:
        return False
    if "metadataLocation" not in lookup:
        return True
    strategy = lookup.get("locationMatchingStrategy")
    return located(document, lookup["metadataLocation"], strategy, sheet, entry)


def located(
    document: Spreadsheet,
    asked: dict[str, Any],
    strategy: str | None,
    sheet: Sheet | None,
    entry: dict[str, Any],
) -> bool:
    exact = strategy == "EXACT_LOCATION"
    if asked.get("spreadsheet"):
        if strategy == "INTERSECTING_LOCATION":
            raise ApiError(
                "DeveloperMetadataLookup.spreadsheet is true, but locationMatchingStrategy was"
                " specified as INTERSECTING."
            )
        return sheet is None
    if "sheetId" in asked:
        here = sheet is not None and sheet.sheet_id == asked["sheetId"]
        return here and ("range" not in entry if exact else True)
    if "dimensionRange" not in asked or sheet is None:
        return False
    at = span(document, asked["dimensionRange"], "dimensionRange").range
    if "range" not in entry:
        return not exact and at.sheet_id == sheet.sheet_id
    held: GridRange = entry["range"]
    return at == held if exact else at.touches(held)


def range_of(document: Spreadsheet, asked: dict[str, Any]) -> GridRange | None:
    """What a filter says by itself; None for one that looks metadata up."""
    if "gridRange" in asked:
        return document.grid_range(asked["gridRange"])
    if "a1Range" in asked:
        return resolve(document, asked["a1Range"])
    return None


def ranges_of(document: Spreadsheet, asked: dict[str, Any]) -> list[GridRange]:
    """All ranges that a data filter means."""
    plain_range = range_of(document, asked)
    if plain_range is not None:
        return [plain_range]
    ranges = []
    for sheet, entry, _ in matching(document, [asked]):
        if sheet is None:
            ranges += [GridRange(s.sheet_id) for s in document.sheets]
        else:
            ranges.append(entry.get("range") or GridRange(sheet.sheet_id))
    return ranges
