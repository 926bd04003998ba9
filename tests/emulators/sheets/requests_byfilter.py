"""The calls that name their ranges by data filters, and the routes of developer metadata."""

from dataclasses import dataclass
from typing import Any

from tests.emulators.sheets import values
from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.ranges import within_grid
from tests.emulators.sheets.rendering import Rendering
from tests.emulators.sheets.requests_metadata import all_metadata, matching, printed, ranges_of
from tests.emulators.sheets.requests_parse import read_message


@dataclass
class Found:
    """A range, and the filters that mean it."""

    range: GridRange
    filters: list[dict[str, Any]]


def filters_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = body.get("dataFilters", [])
    if not filters:
        raise ApiError("At least one data filter must be specified.")
    return filters


def found_by(document: Spreadsheet, filters: list[dict[str, Any]]) -> list[Found]:
    """Every range once, within the grid."""
    found: dict[GridRange, Found] = {}
    for i, asked in enumerate(filters):
        try:
            ranges = [within_grid(document, r) for r in ranges_of(document, asked)]
        except ApiError as refused:
            raise refused.within(f"dataFilters[{i}]") from None
        for r in ranges:
            found.setdefault(r, Found(r, [])).filters.append(echoed(asked))
    return list(found.values())


def echoed(asked: dict[str, Any]) -> dict[str, Any]:
    """A filter as answers repeat it: without its zeros."""
    if "gridRange" in asked:
        return {"gridRange": {n: v for n, v in asked["gridRange"].items() if v}}
    return asked


def batch_get(document: Spreadsheet, sent: dict[str, Any]) -> dict[str, Any]:
    body = read_message("BatchGetValuesByDataFilterRequest", sent)
    how = Rendering(
        body.get("valueRenderOption", "FORMATTED_VALUE"),
        body.get("dateTimeRenderOption", "SERIAL_NUMBER"),
        body.get("majorDimension", "ROWS"),
    )
    document.recalculate()
    answer: dict[str, Any] = {"spreadsheetId": document.spreadsheet_id}
    ranges = [
        {
            "valueRange": values.value_range(document, found.range, how),
            "dataFilters": found.filters,
        }
        for found in found_by(document, filters_in(body))
    ]
    if ranges:
        answer["valueRanges"] = ranges
    return answer


def batch_clear(document: Spreadsheet, sent: dict[str, Any], caller: Caller) -> dict[str, Any]:
    body = read_message("BatchClearValuesByDataFilterRequest", sent)
    found = found_by(document, filters_in(body))
    texts = [document.range_name(f.range) for f in found]
    answer: dict[str, Any] = {"spreadsheetId": document.spreadsheet_id}
    if texts:
        values.batch_clear(document, texts, caller)
        answer["clearedRanges"] = texts
    return answer


def batch_update(document: Spreadsheet, sent: dict[str, Any], caller: Caller) -> dict[str, Any]:
    body = read_message("BatchUpdateValuesByDataFilterRequest", sent)
    if "valueInputOption" not in body:
        raise ApiError("'valueInputOption' is required but not specified")
    data, filters = [], []
    for i, part in enumerate(body.get("data", [])):
        asked = part.get("dataFilter", {})
        for found in _found(document, i, asked):
            kept = {n: part[n] for n in ("majorDimension", "values") if n in part}
            data.append({"range": document.range_name(found), **kept})
            filters.append(echoed(asked))
    plain = {n: v for n, v in body.items() if n != "data"} | {"data": data}
    answer = values.batch_update(document, plain, _echo(body), caller)
    for response, asked in zip(answer.get("responses", []), filters, strict=True):
        response.pop("spreadsheetId", None)
        response["dataFilter"] = asked
    return answer


def _found(document: Spreadsheet, i: int, asked: dict[str, Any]) -> list[GridRange]:
    try:
        return [within_grid(document, r) for r in ranges_of(document, asked)]
    except ApiError as refused:
        raise refused.within(f"data[{i}]") from None


def _echo(body: dict[str, Any]) -> Rendering | None:
    if not body.get("includeValuesInResponse"):
        return None
    return Rendering(
        body.get("responseValueRenderOption", "FORMATTED_VALUE"),
        body.get("responseDateTimeRenderOption", "SERIAL_NUMBER"),
    )


def metadata_get(document: Spreadsheet, metadata_id: str) -> dict[str, Any]:
    for sheet, entry in all_metadata(document):
        if str(entry["metadataId"]) == metadata_id:
            return printed(sheet, entry)
    raise ApiError(f"No developer metadata with ID [{metadata_id}] found.", code=404)


def metadata_search(document: Spreadsheet, sent: dict[str, Any]) -> dict[str, Any]:
    body = read_message("SearchDeveloperMetadataRequest", sent)
    found = [
        {
            "developerMetadata": printed(sheet, entry),
            "dataFilters": [echoed(asked) for asked in by],
        }
        for sheet, entry, by in matching(document, filters_in(body))
    ]
    return {"matchedDeveloperMetadata": found} if found else {}
