"""Drive's import of a CSV over a spreadsheet: one tab is left, named after the file."""

import csv
import io

from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.sheet import Sheet


def import_csv(document: Spreadsheet, raw: bytes) -> None:
    """Values are read as if typed. The new tab has an id of its own and the usual size."""
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    with document.transaction() as work:
        sheet = Sheet(work.fresh_sheet_id(), work.properties["title"])
        work.sheets = [sheet]
        # The import makes a new document in the old one's place, with the usual settings.
        work.properties["timeZone"] = "America/Los_Angeles"
        grid = sheet.grid
        grid.row_count = max(grid.row_count, len(rows))
        grid.column_count = max([grid.column_count, *map(len, rows)])
        for i, row in enumerate(rows):
            grid.put_row(i, 0, [enter(work, text, "USER_ENTERED", None) for text in row])
        work.named_ranges = [n for n in work.named_ranges if n["range"].sheet_id == sheet.sheet_id]
