"""What hangs on a tab, copied to another: ranges go to the new tab, ids are made anew."""

import copy
from dataclasses import replace
from typing import Any

from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.gridrange import GridRange, map_ranges

IDS = {
    "protectedRanges": "protectedRangeId",
    "filterViews": "filterViewId",
    "bandedRanges": "bandedRangeId",
    "slicers": "slicerId",
    "charts": "chartId",
    "developerMetadata": "metadataId",
}


def copied_parts(
    document: Spreadsheet, parts: dict[str, Any], old: int, new: int
) -> dict[str, Any]:
    """`document` is the one that the copy goes to."""

    def change(r: GridRange) -> GridRange:
        return replace(r, sheet_id=new) if r.sheet_id == old else r

    made: dict[str, Any] = map_ranges(copy.deepcopy(parts), change)
    for part, name in IDS.items():
        for entry in made.get(part, ()):
            entry[name] = document.fresh_id()
    for table in made.get("tables", ()):
        table["tableId"] = str(document.fresh_id())
    return made


def copy_to(document: Spreadsheet, sheet_id: int, target: Spreadsheet) -> int:
    """Put a copy of a tab at the end of another spreadsheet; its id there."""
    from tests.emulators.sheets.requests_sheets import copy_title, place_sheet, sheet_by_id

    source = sheet_by_id(document, sheet_id)
    made = source.copy()
    made.sheet_id = target.fresh_sheet_id()
    made.title = copy_title(target, source.title)
    made.extra.pop("hidden", None)
    made.parts = copied_parts(target, source.parts, source.sheet_id, made.sheet_id)
    target.has_formulas = target.has_formulas or document.has_formulas
    place_sheet(target, made, len(target.sheets))
    return made.sheet_id
