"""Calls to Google in the words of a keeper of rows; reads are tried again, writes never.

Whoever sent a write has to look first where the rows are by then, and whether it was carried out
although no answer came.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

from connector.sheet_calls import Json
from connector.sheet_errors import SheetBusy, SheetUnreachable
from connector.sheet_patience import USUAL, SheetPatience

SHEETS: Final = "https://sheets.googleapis.com"
DRIVE: Final = "https://www.googleapis.com"

T = TypeVar("T")


class Http(Protocol):
    """What of gspread's HTTPClient is used here. Each call is sent once, and raises SheetError."""

    calls: Counter[str]
    what: str
    session: Any

    def request(
        self, method: str, endpoint: str, params: Any = None, data: Any = None, json: Any = None
    ) -> Any:
        """Any call."""

    def fetch_sheet_metadata(self, id: str, params: Any) -> Any:  # noqa: A002 - gspread's name
        """spreadsheets.get."""

    def values_batch_get(self, id: str, ranges: list[str], params: Any) -> Any:  # noqa: A002
        """values:batchGet."""

    def values_batch_update(self, id: str, body: Any) -> Any:  # noqa: A002
        """values:batchUpdate."""

    def values_append(self, id: str, range: str, params: Any, body: Any) -> Any:  # noqa: A002
        """values:append."""

    def batch_update(self, id: str, body: Any) -> Any:  # noqa: A002
        """spreadsheets:batchUpdate."""


class GoogleCalls:
    """``connector/sheet_calls.py`` over one spreadsheet; one call at a time."""

    def __init__(
        self,
        spreadsheet_id: str,
        http: Http,
        *,
        address: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: SheetPatience = USUAL,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.spreadsheet_id = spreadsheet_id
        self.address = address
        self._clock = clock
        self._sleep = sleep
        self._wall = wall
        self._patience = patience
        self._chance = chance
        self._http = http
        self._http.what = spreadsheet_id
        self._url = f"{SHEETS}/v4/spreadsheets/{spreadsheet_id}"
        # requests does not promise that a session may be shared by threads.
        self._lock = threading.RLock()

    def about(self, fields: str, ranges: list[str] | None = None) -> Json:
        """The spreadsheet without its values, or the cells of *ranges*."""
        params: dict[str, Any] = {"fields": fields}
        if ranges:
            params["ranges"] = ranges
        return self._read(lambda: self._http.fetch_sheet_metadata(self.spreadsheet_id, params))

    def read_tabs(self, gids: Sequence[int]) -> list[Json]:
        """All values of tabs; by their numbers, since titles may change any moment."""
        body = {
            "dataFilters": [{"gridRange": {"sheetId": gid}} for gid in gids],
            "majorDimension": "ROWS",
            "valueRenderOption": "FORMATTED_VALUE",
        }
        answer = self._read(
            lambda: self._http.request(
                "post", f"{self._url}/values:batchGetByDataFilter", json=body
            ).json()
        )
        found: dict[int, Json] = {}
        for each in answer.get("valueRanges") or []:
            for filter_ in each.get("dataFilters") or []:
                gid = (filter_.get("gridRange") or {}).get("sheetId", 0)
                found[gid] = dict(each.get("valueRange") or {})
        return [found.get(gid, {}) for gid in gids]

    def read_ranges(self, ranges: list[str], *, render: str = "FORMATTED_VALUE") -> list[Json]:
        """The values of several ranges in one call."""
        answer = self._read(
            lambda: self._http.values_batch_get(
                self.spreadsheet_id,
                ranges,
                {"valueRenderOption": render, "majorDimension": "ROWS"},
            )
        )
        return list(answer.get("valueRanges") or [])

    def write_values(self, body: Json) -> Json:
        """values:batchUpdate, once."""
        return self._once(lambda: self._http.values_batch_update(self.spreadsheet_id, body))

    def append_values(self, range_: str, values: list[list[str]]) -> Json:
        """values:append, once."""
        return self._once(
            lambda: self._http.values_append(
                self.spreadsheet_id,
                range_,
                {"valueInputOption": "RAW", "insertDataOption": "INSERT_ROWS"},
                {"values": values},
            )
        )

    def change(self, requests: list[Json]) -> Json:
        """spreadsheets:batchUpdate, once."""
        body = {"requests": requests}
        return self._once(lambda: self._http.batch_update(self.spreadsheet_id, body))

    def titled(self, title: str) -> list[str]:
        """The keys of all sheets called *title* that this account may see."""
        # In Drive's query language a backslash hides a quote.
        name = title.replace("\\", "\\\\").replace("'", "\\'")
        params = {
            "q": "mimeType='application/vnd.google-apps.spreadsheet' and trashed=false "
            f"and name='{name}'",
            "pageSize": 10,
            "supportsAllDrives": True,
            "includeItemsFromAllDrives": True,
            "fields": "files(id,name)",
        }
        url = f"{DRIVE}/drive/v3/files"
        answer = self._read(lambda: self._http.request("get", url, params=params).json())
        return [str(file["id"]) for file in answer.get("files") or []]

    def patiently(self, step: Callable[[], T]) -> T:
        """*step*, and again after a pause while it raises SheetBusy and patience lasts."""
        began = self._clock()
        failures = 0
        while True:
            try:
                return step()
            except SheetBusy as error:
                failures += 1
                pause = self._patience.pause(
                    failures,
                    status=error.status,
                    retry_after=error.retry_after,
                    chance=self._chance(),
                    second=self._wall().timestamp() % 60.0,
                )
                elapsed = self._clock() - began
                if self._patience.is_over(failures, elapsed=elapsed, pause=pause):
                    raise
            self._sleep(pause)

    def counted(self) -> Mapping[str, int]:
        """How many calls were made so far, by kind."""
        return dict(self._http.calls)

    def close(self) -> None:
        """Let go of connections."""
        self._http.session.close()

    def _read(self, call: Callable[[], Any]) -> Json:
        return self.patiently(lambda: self._once(call))

    def _once(self, call: Callable[[], Any]) -> Json:
        with self._lock:
            try:
                answer = call()
            except ValueError as error:
                raise SheetUnreachable("the answer is no JSON") from error
        if not isinstance(answer, dict):
            raise SheetUnreachable("the answer is no JSON object")
        return answer
