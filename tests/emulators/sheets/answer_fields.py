"""Which fields an answer may be asked for: Google refuses a mask that names any other."""

from tests.emulators.sheets.errors import ApiError, DriveError, unknown_name
from tests.emulators.sheets.fieldmask import Tree
from tests.emulators.sheets.requests_messages import MESSAGES

# name: the message below it, or "" where nothing is below (or it is not looked at).
_ANSWERS: dict[str, dict[str, str]] = {
    "Spreadsheet": {
        "spreadsheetId": "",
        "properties": "SpreadsheetProperties",
        "sheets": "Sheet",
        "namedRanges": "NamedRange",
        "spreadsheetUrl": "",
        "developerMetadata": "DeveloperMetadata",
        "dataSources": "",
        "dataSourceSchedules": "",
    },
    "Sheet": {
        "properties": "SheetProperties",
        "data": "GridData",
        "merges": "GridRange",
        "conditionalFormats": "ConditionalFormatRule",
        "filterViews": "FilterView",
        "protectedRanges": "ProtectedRange",
        "basicFilter": "BasicFilter",
        "charts": "",
        "bandedRanges": "BandedRange",
        "developerMetadata": "DeveloperMetadata",
        "rowGroups": "DimensionGroup",
        "columnGroups": "DimensionGroup",
        "slicers": "Slicer",
        "tables": "",
    },
    "GridData": {
        "startRow": "",
        "startColumn": "",
        "rowData": "RowData",
        "rowMetadata": "DimensionProperties",
        "columnMetadata": "DimensionProperties",
    },
    "ValueRange": {"range": "", "majorDimension": "", "values": ""},
    "BatchGet": {"spreadsheetId": "", "valueRanges": "ValueRange"},
    "Update": {
        "spreadsheetId": "",
        "updatedRange": "",
        "updatedRows": "",
        "updatedColumns": "",
        "updatedCells": "",
        "updatedData": "ValueRange",
    },
    "Append": {"spreadsheetId": "", "tableRange": "", "updates": "Update"},
    "BatchUpdate": {
        "spreadsheetId": "",
        "totalUpdatedRows": "",
        "totalUpdatedColumns": "",
        "totalUpdatedCells": "",
        "totalUpdatedSheets": "",
        "responses": "Update",
    },
    "Clear": {"spreadsheetId": "", "clearedRange": ""},
    "BatchClear": {"spreadsheetId": "", "clearedRanges": ""},
    "Batch": {"spreadsheetId": "", "replies": "", "updatedSpreadsheet": "Spreadsheet"},
}
_OF_ROUTE = {
    "spreadsheets.get": "Spreadsheet",
    "spreadsheets.create": "Spreadsheet",
    "spreadsheets.batchUpdate": "Batch",
    "values.get": "ValueRange",
    "values.batchGet": "BatchGet",
    "values.update": "Update",
    "values.append": "Append",
    "values.batchUpdate": "BatchUpdate",
    "values.clear": "Clear",
    "values.batchClear": "BatchClear",
}
_SCALARS = {"int32", "int64", "float", "double", "string", "bool", "mask", "json"}


def check(route: str, tree: Tree) -> None:
    """Refuse a mask with a name that the answer's message does not have."""
    violations = _unknown(_OF_ROUTE.get(route, ""), tree, "")
    if violations:
        raise ApiError(
            "Request contains an invalid argument.",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [
                        {
                            "field": path,
                            "description": "Error expanding 'fields' parameter. Cannot find"
                            f" matching fields for path '{path}'.",
                        }
                        for path in violations
                    ],
                }
            ],
        )


def _unknown(message: str, tree: Tree, prefix: str) -> list[str]:
    known = _fields(message)
    if known is None:
        return []
    found = []
    for name, below in tree.items():
        path = f"{prefix}{name}"
        if name == "*":
            continue
        if name not in known:
            found.append(path)
        else:
            found += _unknown(known[name], below, path + ".")
    return found


def _fields(message: str) -> dict[str, str] | None:
    if message in _ANSWERS:
        return _ANSWERS[message]
    if message in MESSAGES:
        return {
            name: "" if field.kind in _SCALARS else field.kind
            for name, field in MESSAGES[message].items()
        }
    return None


def check_spreadsheet(body: object) -> None:
    """Refuse a Spreadsheet to be made that has a field which its messages do not."""
    places = _places("Spreadsheet", body, "")
    if places:
        place, name = places[0]
        raise unknown_name(name, place)


def _places(message: str, body: object, place: str) -> list[tuple[str, str]]:
    known = _fields(message)
    if known is None:
        return []
    if isinstance(body, list):
        return [p for i, part in enumerate(body) for p in _places(message, part, f"{place}[{i}]")]
    if not isinstance(body, dict):
        return []
    found = []
    for name, below in body.items():
        if name not in known:
            found.append((place, name))
        else:
            found += _places(known[name], below, f"{place}.{name}" if place else name)
    return found


def check_drive(tree: Tree, known: set[str]) -> None:
    """Drive's own words for the same, about the first name it does not know."""
    for name in tree:
        if name != "*" and name not in known:
            raise DriveError(
                400, "invalidParameter", f"Invalid field selection {name}", location="fields"
            )
