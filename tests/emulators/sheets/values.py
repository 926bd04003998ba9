"""values.get, update, clear and their batch forms, on one document."""

from collections.abc import Sequence
from typing import Any

from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.protection import check_protection
from tests.emulators.sheets.ranges import resolve, within_grid
from tests.emulators.sheets.rendering import Rendering, rendered_rows
from tests.emulators.sheets.writing import Counted, check_values, put_values, rows_of


def get(document: Spreadsheet, text: str, how: Rendering) -> dict[str, Any]:
    document.recalculate()
    return value_range(document, within_grid(document, resolve(document, text)), how)


def batch_get(document: Spreadsheet, texts: Sequence[str], how: Rendering) -> dict[str, Any]:
    answer: dict[str, Any] = {"spreadsheetId": document.spreadsheet_id}
    if texts:
        answer["valueRanges"] = [get(document, text, how) for text in texts]
    return answer


def value_range(document: Spreadsheet, r: GridRange, how: Rendering) -> dict[str, Any]:
    """A ValueRange; `values` is absent where nothing is in the range."""
    answer: dict[str, Any] = {"range": document.range_name(r), "majorDimension": how.dimension}
    values = rendered_rows(document.sheet(r.sheet_id), r, how)
    if values:
        answer["values"] = values
    return answer


def update(
    document: Spreadsheet,
    text: str,
    body: dict[str, Any],
    option: str | None,
    echo: Rendering | None,
    caller: Caller,
) -> dict[str, Any]:
    option = wanted_option(option)
    if body.get("range") and resolve(document, body["range"]) != resolve(document, text):
        raise ApiError(f"Requested range [{text}] does not match value range [{body['range']}]")
    check_values(body.get("values") or [])
    with document.transaction() as work:
        written = write(work, text, body, option, caller)
    return update_answer(document, written, echo)


def batch_update(
    document: Spreadsheet, body: dict[str, Any], echo: Rendering | None, caller: Caller
) -> dict[str, Any]:
    option = wanted_option(body.get("valueInputOption"))
    written = []
    with document.transaction() as work:
        for i, data in enumerate(body.get("data") or []):
            try:
                check_values(data.get("values") or [])
                written.append(write(work, data.get("range", ""), data, option, caller))
            except ApiError as refused:
                raise refused.within(f"data[{i}]") from None
    answer: dict[str, Any] = {"spreadsheetId": document.spreadsheet_id}
    totals = {
        "totalUpdatedRows": len({(w.sheet_id, row) for w in written for row in w.rows}),
        "totalUpdatedColumns": len({(w.sheet_id, c) for w in written for c in w.columns}),
        "totalUpdatedCells": sum(w.cells for w in written),
        "totalUpdatedSheets": len({w.sheet_id for w in written if w.cells}),
    }
    answer.update((name, total) for name, total in totals.items() if total)
    if written:
        answer["responses"] = [update_answer(document, w, echo) for w in written]
    return answer


def wanted_option(option: str | None) -> str:
    if option in (None, "INPUT_VALUE_OPTION_UNSPECIFIED"):
        raise ApiError("'valueInputOption' is required but not specified")
    assert option is not None
    return option


def write(
    work: Spreadsheet, text: str, body: dict[str, Any], option: str, caller: Caller
) -> Counted:
    """Put a ValueRange's values where its range says; a single cell is only where they start."""
    asked = resolve(work, text)
    closed = within_grid(work, asked)
    values = rows_of(body)
    check_fit(work, text, closed, values)
    counted = put_values(work, closed, values, option)
    if counted.cells:
        check_protection(work, counted.written, caller)
    return counted


def check_fit(work: Spreadsheet, text: str, closed: GridRange, values: list[list[Any]]) -> None:
    """A range of more than one cell bounds its values; one cell is bound by the grid."""
    from tests.emulators.sheets.a1 import column_name

    grid = work.sheet(closed.sheet_id).grid
    r0, r1, c0, c1 = closed.bounds(grid.row_count, grid.column_count)
    if r1 - r0 == 1 and c1 - c0 == 1:
        r1, c1 = grid.row_count, grid.column_count
    place = f"Requested writing within range [{text}], but tried writing to"
    if r0 + len(values) > r1:
        raise ApiError(f"{place} row [{r1 + 1}]")
    if any(c0 + len(row) > c1 for row in values):
        raise ApiError(f"{place} column [{column_name(c1)}]")


def update_answer(document: Spreadsheet, done: Counted, echo: Rendering | None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "spreadsheetId": document.spreadsheet_id,
        "updatedRange": document.range_name(done.written),
    }
    counts = {
        "updatedRows": len(done.rows),
        "updatedColumns": len(done.columns),
        "updatedCells": done.cells,
    }
    answer.update((name, count) for name, count in counts.items() if count)
    if echo is not None:
        document.recalculate()
        answer["updatedData"] = value_range(document, done.echoed, echo)
    return answer


def clear(document: Spreadsheet, text: str, caller: Caller) -> dict[str, Any]:
    with document.transaction() as work:
        cleared = clear_range(work, text, caller)
    return {
        "spreadsheetId": document.spreadsheet_id,
        "clearedRange": document.range_name(cleared),
    }


def batch_clear(document: Spreadsheet, texts: Sequence[str], caller: Caller) -> dict[str, Any]:
    cleared = []
    with document.transaction() as work:
        for i, text in enumerate(texts):
            try:
                cleared.append(clear_range(work, text, caller))
            except ApiError as refused:
                raise refused.within(f"range[{i}]") from None
    answer: dict[str, Any] = {"spreadsheetId": document.spreadsheet_id}
    if cleared:
        answer["clearedRanges"] = [document.range_name(r) for r in cleared]
    return answer


def clear_range(work: Spreadsheet, text: str, caller: Caller) -> GridRange:
    """Take the values and formulas away; formats, notes and validation stay."""
    from tests.emulators.sheets.entering import holding

    r = within_grid(work, resolve(work, text))
    check_protection(work, r, caller)
    grid = work.sheet(r.sheet_id).grid
    grid.change(*r.bounds(grid.row_count, grid.column_count), lambda cell: holding(None, cell))
    return r
