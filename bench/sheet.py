"""The line on a sheet: how many calls of Google's API it costs to bring results into their rows.

Google takes sixty reads and sixty writes a minute from a user, however fast anybody is. The sheet
is kept by an emulator in this process, which also counts the calls.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.frame import Aim, Contestant, Line, Measure, WrongAnswer
from tests.emulators.sheets.emulator import Emulator

_SHARE: Final = 10  # of so many rows one gets a result
_MOST_CALLS: Final = 12  # for 10,000 results
_HEADINGS: Final = ("row_id", "offer_name", "tracking_url", "expected_domain", "remark")


@contextmanager
def writing_back(folder: Path, *, results: int) -> Iterator[Line]:
    """*results* found, brought into every tenth row of a sheet that nobody has checked before."""
    sheet = _Sheet(results * _SHARE)
    sheet.emulator.start()
    try:
        key = folder / "key.json"
        key.write_text(json.dumps(sheet.emulator.service_account()), "utf-8")
        few = max(1, results // 1000)
        yield Line(
            name="sheet",
            title=f"{results:,} results into a Google sheet of {results * _SHARE:,} rows",
            unit="rows",
            measure=Measure.CALLS,
            contestants=(
                sheet.contestant("Linkrow", "sheet_linkrow", key, results),
                sheet.contestant("gspread, find and update_cell", "sheet_gspread", key, few),
            ),
            aims=(
                Aim(
                    yardstick=f"{_MOST_CALLS} calls for 10,000 rows",
                    ratio=1.0,
                    mark=10_000 / _MOST_CALLS,
                ),
                Aim(yardstick="gspread, find and update_cell", ratio=1000.0),
            ),
        )
    finally:
        sheet.emulator.stop()


class _Sheet:
    """One spreadsheet, as new for every turn."""

    def __init__(self, rows: int) -> None:
        self.emulator = Emulator()
        self._rows = rows
        self._file_id = "1" + "bench" * 8
        self._renew()

    def contestant(self, name: str, script: str, key: Path, count: int) -> Contestant:
        """Who brings *count* results into it."""
        command = [sys.executable, "-m", f"bench.clients.{script}"]
        return Contestant(
            name=name,
            command=[*command, self.emulator.url, str(key), self._file_id, str(count), str(_SHARE)],
            count=count,
            check=partial(self._check, count=count),
        )

    def _renew(self) -> None:
        rows = [list(_HEADINGS)]
        rows += [
            [f"r_{n:07d}", f"offer {n % 977}", f"https://trk.example/{n}", "shop.example", ""]
            for n in range(self._rows)
        ]
        self.emulator.new("Links", rows, file_id=self._file_id)
        self.emulator.log.clear()

    def _check(self, said: str, *, count: int) -> None:
        """Every result is in its row, and nothing else has changed."""
        heads, *rows = self.emulator.rows(self._file_id)
        at = heads.index("final_url")
        for n, row in enumerate(rows):
            wanted = f"https://www.shop.example/{n}" if _is_checked(n, count) else ""
            found = row[at] if len(row) > at else ""
            if (row[0], row[2], found) != (f"r_{n:07d}", f"https://trk.example/{n}", wanted):
                raise WrongAnswer(f"row {n} holds {row}")
        if len(rows) != self._rows or said.strip() != str(count):
            raise WrongAnswer(f"{said.strip()} of {count} results, {len(rows)} rows")
        self._renew()


def _is_checked(n: int, count: int) -> bool:
    return n % _SHARE == 0 and n // _SHARE < count
