"""Results into a sheet as the agent brings them: URL KEY SPREADSHEET COUNT SHARE."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.clients.sheet_calls import calls_of
from bench.timed import Timed
from connector.sheets import SheetSource
from connector.source import Change

_FLUSH = 2_000  # as many as the agent writes at once

url, key, spreadsheet, count, share = (*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]))
now = datetime.now(UTC).replace(microsecond=0)
changes = [
    Change(
        row_id=f"r_{n:07d}",
        tracking_url=f"https://trk.example/{n}",
        cells={
            "check_status": "valid",
            "conclusion": "valid",
            "final_url": f"https://www.shop.example/{n}",
            "error": "",
            "skip_reason": "",
            "last_checked": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "ready_for_ads": True,
        },
        checked_at=now,
    )
    for n in range(0, count * share, share)
]
with tempfile.TemporaryDirectory() as home:
    source = SheetSource(
        spreadsheet,
        0,
        source_id="src_bench",
        home=Path(home),
        environ={"LINKROW_SHEETS_API": url},
        credentials=Path(key),
    )
    with Timed() as timed:
        written = [
            word
            for start in range(0, count, _FLUSH)
            for word in source.write(changes[start : start + _FLUSH])
        ]
    source.close()
print(sum(word.writeback == "written" for word in written))
timed.said["calls"] = calls_of(url)
timed.say()
