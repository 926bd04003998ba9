"""What hangs on a spreadsheet and its tabs, as spreadsheets.get answers it."""

from typing import Any

from tests.emulators.sheets import requests_groups, requests_metadata, requests_protection
from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.gridrange import Dimension, plain
from tests.emulators.sheets.sheet import RANGED, Sheet


def sheet_parts(
    document: Spreadsheet, sheet: Sheet, caller: Caller | None = None
) -> dict[str, Any]:
    """merges, conditionalFormats, ..., each only where there is one."""
    answer: dict[str, Any] = {}
    for name in RANGED:
        shown = _part(sheet, name, caller)
        if shown:
            answer[name] = shown
    return answer


def _part(sheet: Sheet, name: str, caller: Caller | None) -> Any:
    kept = sheet.parts.get(name)
    if not kept:
        return None
    match name:
        case "protectedRanges":
            return [requests_protection.printed(entry, caller) for entry in kept]
        case "rowGroups":
            return requests_groups.printed(sheet, Dimension.ROWS)
        case "columnGroups":
            return requests_groups.printed(sheet, Dimension.COLUMNS)
        case "developerMetadata":
            own = [entry for entry in kept if "range" not in entry]
            return [requests_metadata.printed(sheet, entry) for entry in own]
        case _:
            return plain(kept)


def spreadsheet_parts(document: Spreadsheet) -> dict[str, Any]:
    """namedRanges and the metadata of the spreadsheet itself."""
    answer: dict[str, Any] = {}
    if document.named_ranges:
        answer["namedRanges"] = plain(document.named_ranges)
    if document.developer_metadata:
        answer["developerMetadata"] = [
            requests_metadata.printed(None, entry) for entry in document.developer_metadata
        ]
    return answer


def dimension_metadata(sheet: Sheet, dimension: Dimension) -> dict[int, list[dict[str, Any]]]:
    """The developer metadata of rows or columns by index, for rowMetadata and columnMetadata."""
    found: dict[int, list[dict[str, Any]]] = {}
    for entry in sheet.parts.get("developerMetadata", ()):
        if "range" in entry and requests_metadata.dimension_of(entry) is dimension:
            start, _ = entry["range"].span(dimension)
            found.setdefault(start, []).append(requests_metadata.printed(sheet, entry))
    return found
