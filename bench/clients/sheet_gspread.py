"""Results into a sheet as a short script does it: URL KEY SPREADSHEET COUNT SHARE."""

import sys

import gspread

from bench.clients.sheet_calls import calls_of
from bench.timed import Timed


class Redirected(gspread.HTTPClient):
    """Asks the emulator wherever gspread would ask Google."""

    def request(self, method, endpoint, *args, **more):
        return super().request(
            method, endpoint.replace("https://sheets.googleapis.com", url), *args, **more
        )


url, key, spreadsheet, count, share = (*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]))
client = gspread.service_account(key, http_client=Redirected)
with Timed() as timed:
    tab = client.open_by_key(spreadsheet).sheet1
    heads = ("final_url", "conclusion", "error", "last_checked")
    tab.add_cols(len(heads))
    tab.update([list(heads)], "F1")
    done = 0
    for n in range(0, count * share, share):
        row = tab.find(f"r_{n:07d}").row
        for column, text in enumerate(
            (f"https://www.shop.example/{n}", "valid", "", "2026-11-20T12:00:00Z"), 6
        ):
            tab.update_cell(row, column, text)
        done += 1
print(done)
timed.said["calls"] = calls_of(url)
timed.say()
