"""values.get/update/append/clear and their batch forms, on one document."""

from collections.abc import Sequence
from typing import Any

from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.gridrange import GridRange
from tests.emulators.sheets.ranges import resolve, within_grid
from tests.emulators.sheets.rendering import Rendering, rendered_rows


def get(document: Spreadsheet, text: str, how: Rendering) -> dict[str, Any]:
    r = within_grid(document, resolve(document, text))
    return value_range(document, r, how)


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
    option: str,
    echo: Rendering | None,
    caller: Caller,
) -> dict[str, Any]:
    with document.transaction() as work:
        r, counted = write(work, text, body, option, caller)
    return update_answer(document, r, counted, echo)


def batch_update(
    document: Spreadsheet, body: dict[str, Any], echo: Rendering | None, caller: Caller
) -> dict[str, Any]:
    written = []
    with document.transaction() as work:
        for i, data in enumerate(body.get("data") or []):
            try:
                written.append(
                    write(work, data.get("range", ""), data, body["valueInputOption"], caller)
                )
            except ApiError as refused:
                raise refused.within(f"data[{i}]") from None
    answer: dict[str, Any] = {"spreadsheetId": document.spreadsheet_id}
    rows = {(r.sheet_id, row) for r, done in written for row in done.rows}
    columns = {(r.sheet_id, column) for r, done in written for column in done.columns}
    totals = {
        "totalUpdatedRows": len(rows),
        "totalUpdatedColumns": len(columns),
        "totalUpdatedCells": sum(done.cells for _, done in written),
        "totalUpdatedSheets": len({r.sheet_id for r, done in written if done.cells}),
    }
    answer.update((name, total) for name, total in totals.items() if total)
    if written:
        answer["responses"] = [update_answer(document, r, done, echo) for r, done in written]
    return answer


class Counted:
    """Which rows and columns got a value; null leaves a cell alone and does not count."""

    def __init__(self) -> None:
        self.rows: set[int] = set()
        self.columns: set[int] = set()
        self.cells = 0


def write(
    work: Spreadsheet, text: str, body: dict[str, Any], option: str, caller: Caller
) -> tuple[GridRange, Counted]:
    """Put a ValueRange's values; gives the range that was written."""
    asked = within_grid(work, resolve(work, text))
    values = rows_of(body)
    height, width = len(values), max((len(row) for row in values), default=0)
    return put_values(work, asked, values, height, width, option)


def rows_of(body: dict[str, Any]) -> list[list[Any]]:
    values = body.get("values") or []
    if body.get("majorDimension") == "COLUMNS":
        height = max((len(column) for column in values), default=0)
        return [[c[i] if i < len(c) else None for c in values] for i in range(height)]
    return list(values)


def put_values(
    work: Spreadsheet,
    asked: GridRange,
    values: list[list[Any]],
    height: int,
    width: int,
    option: str,
) -> tuple[GridRange, Counted]:
    sheet = work.sheet(asked.sheet_id)
    assert asked.r0 is not None
    assert asked.c0 is not None
    r0, c0 = asked.r0, asked.c0
    counted = Counted()
    for i, row in enumerate(values):
        old = sheet.grid.row(r0 + i)
        cells: list[Cell | None] = []
        for j, value in enumerate(row):
            before = old[c0 + j] if c0 + j < len(old) else None
            if value is None:
                cells.append(before)
                continue
            cells.append(enter(work, value, option, before))
            counted.columns.add(c0 + j)
            counted.cells += 1
            counted.rows.add(r0 + i)
        sheet.grid.put_row(r0 + i, c0, cells)
    written = GridRange(asked.sheet_id, r0, r0 + max(height, 1), c0, c0 + max(width, 1))
    return written, counted


def update_answer(
    document: Spreadsheet, r: GridRange, done: Counted, echo: Rendering | None
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "spreadsheetId": document.spreadsheet_id,
        "updatedRange": document.range_name(r),
    }
    counts = {
        "updatedRows": len(done.rows),
        "updatedColumns": len(done.columns),
        "updatedCells": done.cells,
    }
    answer.update((name, count) for name, count in counts.items() if count)
    if echo is not None:
        answer["updatedData"] = value_range(document, r, echo)
    return answer
