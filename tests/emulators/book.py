"""One spreadsheet of the emulator, spoken to over HTTP."""

from typing import Any

import requests

from tests.emulators.sheets.a1 import parse_cells
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.emulator import Emulator

Json = Any


class Book:
    def __init__(self, api: Emulator, rows: list[list[Json]] | None = None):
        self.api = api
        self.file = api.new("Book", rows)
        self.http = requests.Session()

    @property
    def document(self) -> Spreadsheet:
        return self.file.document

    @property
    def url(self) -> str:
        return f"{self.api.url}/v4/spreadsheets/{self.file.file_id}"

    def post(self, path: str, body: Json) -> requests.Response:
        return self.http.post(self.url + path, json=body, timeout=60)

    def do(self, *wanted: Json) -> list[Json]:
        """Apply a batch; its replies."""
        answer = self.post(":batchUpdate", {"requests": list(wanted)})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["spreadsheetId"] == self.file.file_id
        assert len(body["replies"]) == len(wanted)
        replies: list[Json] = body["replies"]
        return replies

    def refused(self, *wanted: Json) -> str:
        """The sentence with which a batch is refused; nothing of it is applied."""
        before = self.document.revision
        answer = self.post(":batchUpdate", {"requests": list(wanted)})
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
        assert self.document.revision == before
        sentence: str = error["message"]
        return sentence

    def values(self, text: str = "Sheet1", option: str = "FORMATTED_VALUE") -> list[list[Json]]:
        answer = self.http.get(
            f"{self.url}/values/{text}", params={"valueRenderOption": option}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        values: list[list[Json]] = answer.json().get("values", [])
        return values

    def formulas(self, text: str = "Sheet1") -> list[list[Json]]:
        return self.values(text, "FORMULA")

    def put(self, text: str, rows: list[list[Json]], option: str = "USER_ENTERED") -> None:
        answer = self.http.put(
            f"{self.url}/values/{text}",
            params={"valueInputOption": option},
            json={"values": rows},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text

    def formula(self, place: str, text: str, sheet_id: int = 0) -> None:
        """A formula in a cell, as if it had been typed there."""
        at = parse_cells(place)
        assert at.r0 is not None
        assert at.c0 is not None
        self.document.sheet(sheet_id).grid.put(at.r0, at.c0, Cell(0, formula=text))
        self.document.has_formulas = True

    def formula_at(self, place: str, sheet_id: int = 0) -> str | None:
        at = parse_cells(place)
        assert at.r0 is not None
        assert at.c0 is not None
        cell = self.document.sheet(sheet_id).grid.cell(at.r0, at.c0)
        return None if cell is None else cell.formula

    def get(self, fields: str = "", **query: Json) -> Json:
        params = {"fields": fields, **query} if fields else query
        answer = self.http.get(self.url, params=params, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def titles(self) -> list[str]:
        return [sheet.title for sheet in self.document.sheets]


def area(r0: int, r1: int, c0: int, c1: int, sheet_id: int = 0) -> dict[str, int]:
    """A GridRange."""
    return {
        "sheetId": sheet_id,
        "startRowIndex": r0,
        "endRowIndex": r1,
        "startColumnIndex": c0,
        "endColumnIndex": c1,
    }


def span(dimension: str, start: int, end: int, sheet_id: int = 0) -> dict[str, Json]:
    """A DimensionRange."""
    return {"sheetId": sheet_id, "dimension": dimension, "startIndex": start, "endIndex": end}
