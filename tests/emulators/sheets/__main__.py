"""By hand: python -m tests.emulators.sheets --port 8765 --seed demo"""

import argparse
import json
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.emulators.sheets.demo import demo_tabs
from tests.emulators.sheets.emulator import SERVICE_ACCOUNT, Emulator

GUIDE = """\
Sheets emulator at {url}
  credentials  {credentials}   (a service account)

Linkrow:   export LINKROW_SHEETS_API={url}
gspread:   send what goes to https://sheets.googleapis.com and https://www.googleapis.com to {url}
           (subclass gspread.HTTPClient and rewrite the endpoint in request())
new sheet: curl '{url}/_admin/files' -d '{{"title":"Links","rows":[["id","url"],["1","http://a"]]}}'
failing:   curl '{url}/_admin/faults' -d '{{"kind":"429","call":"values.*","times":3}}'
calls:     curl '{url}/_admin/log'
"""
SEEDED = """\
the seeded sheet (the service account may write it):
           {sheet}
           linkrow source add '{sheet}' --credentials {credentials}
           curl '{url}/v4/spreadsheets/{key}/values/A1:D5'
           curl '{url}/_admin/files/{key}/edits' -d '{{"edits":[{{"do":"sort","column":0}}]}}'
"""


def seeded(seed: str) -> list[dict[str, Any]]:
    """Tabs for `demo`, or out of a JSON file: rows, or tabs as POST /_admin/files takes them."""
    if seed == "demo":
        return demo_tabs()
    kept = json.loads(Path(seed).read_text(encoding="utf-8"))
    if isinstance(kept, dict):
        kept = kept.get("tabs") or [{"title": "Sheet1", "rows": kept.get("rows", [])}]
    elif kept and isinstance(kept[0], list):
        kept = [{"title": "Sheet1", "rows": kept}]
    tabs: list[dict[str, Any]] = kept
    return tabs


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.emulators.sheets",
        description="A Google Sheets and Drive API on loopback. It forgets everything at its end.",
    )
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    parser.add_argument("--seed", help="a sheet to start with: 'demo' or a JSON file")
    parser.add_argument("--title", default="Links", help="the seeded spreadsheet's title")
    parser.add_argument(
        "--key", help="the seeded spreadsheet's id, as long as Google's; made up if not given"
    )
    parser.add_argument("--quota", action="store_true", help="60 reads and 60 writes a minute")
    parser.add_argument(
        "--strict", action="store_true", help="refuse calls without a token of this emulator"
    )
    parser.add_argument("--credentials", type=Path, help="where to write the account's key file")
    terms = parser.parse_args()

    emulator = Emulator(terms.port)
    emulator.quota.on = terms.quota
    emulator.accounts.strict = terms.strict
    port = emulator.server.server_address[1]
    kept = terms.credentials or Path(tempfile.gettempdir()) / f"sheets-emulator-{port}.json"
    kept.write_text(json.dumps(emulator.service_account(SERVICE_ACCOUNT), indent=2))
    emulator.start()
    guide = GUIDE.format(url=emulator.url, credentials=kept)
    if terms.seed:
        file = emulator.new(terms.title, tabs=seeded(terms.seed), file_id=terms.key)
        sheet = emulator.sheet_url(file, file.document.sheets[0].sheet_id)
        guide += SEEDED.format(url=emulator.url, sheet=sheet, key=file.file_id, credentials=kept)
    print(guide + "\nStop with Ctrl-C. Nothing is kept.", flush=True)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    over.wait()
    emulator.stop()


if __name__ == "__main__":
    main()
