"""Random calls, wild ones among them: the emulator never breaks, and what it refuses changes
nothing."""

import json
import random
from typing import Any
from urllib.parse import quote

import pytest

from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.server import Request

VALUES = [
    None, "", "x", "00123", "=A1", "=SUM(A1:B3)", '=ARRAYFORMULA(A1:A3&"!")', "1,234.5", "12%",
    "2020-01-01", "'q", True, 3, 4.5, "=Other!A1", "=1/0", "=VLOOKUP(A1,A:C,2,FALSE)", "=ROW()",
    '=HYPERLINK("http://a",B1)', "=B2:B4", "=UNIQUE(A1:A4)", "={1,2;3,4}", "=-", "=(", "+49", "🍇",
]  # fmt: skip
TABS = [
    {"title": "Sheet1", "row_count": 14, "column_count": 9, "input": "USER_ENTERED"},
    {"title": "Other", "row_count": 8, "column_count": 8, "sheet_id": 7},
]


class Chance:
    """One run's dice."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)

    def values(self) -> list[list[Any]]:
        width = self.rng.randint(0, 5)
        return [self.rng.choices(VALUES, k=width) for _ in range(self.rng.randint(0, 4))]

    def text(self) -> str:
        def corner() -> str:
            return self.rng.choice("ABCDEFGZ") + str(self.rng.randint(1, 15))

        tab = self.rng.choice(["", "Sheet1!", "'Other'!", "Nope!"])
        cells = [corner(), f"{corner()}:{corner()}", "A:C", "2:4", "A2:C", "R1C1:R3C3", "junk!!"]
        return tab + self.rng.choice(cells)

    def span(self) -> tuple[int, int]:
        start = self.rng.randint(0, 10)
        return start, start + self.rng.randint(0, 4)

    def area(self) -> dict[str, int]:
        area = {"sheetId": self.rng.choice([0, 0, 7, 99])}
        for name in ("Row", "Column"):
            start, end = self.span()
            if self.rng.random() < 0.8:
                area |= {f"start{name}Index": start, f"end{name}Index": end}
        return area

    def line(self) -> dict[str, Any]:
        start, end = self.span()
        dimension = self.rng.choice(["ROWS", "COLUMNS"])
        sheet_id = self.rng.choice([0, 0, 7])
        return {
            "sheetId": sheet_id,
            "dimension": dimension,
            "startIndex": start,
            "endIndex": end,
        }

    def request(self) -> dict[str, Any]:
        spec = {"dimensionIndex": self.rng.randint(0, 5), "sortOrder": "ASCENDING"}
        size = {"rowCount": self.rng.randint(5, 20), "columnCount": self.rng.randint(5, 20)}
        number = {"userEnteredValue": {"formulaValue": "=A1+1"}, "note": "n"}
        corner = {"sheetId": 0, "rowIndex": self.rng.randint(0, 8), "columnIndex": 2}
        kinds: dict[str, Any] = {
            "insertDimension": {"range": self.line()},
            "deleteDimension": {"range": self.line()},
            "moveDimension": {"source": self.line(), "destinationIndex": self.rng.randint(0, 14)},
            "sortRange": {"range": self.area(), "sortSpecs": [spec]},
            "mergeCells": {"range": self.area(), "mergeType": "MERGE_ALL"},
            "findReplace": {"find": "x", "replacement": "=A1", "allSheets": True},
            "repeatCell": {"range": self.area(), "cell": number, "fields": "*"},
            "updateCells": {"range": self.area(), "rows": [{"values": [number]}], "fields": "*"},
            "copyPaste": {"source": self.area(), "destination": self.area()},
            "cutPaste": {"source": self.area(), "destination": corner},
            "addNamedRange": {"namedRange": {"name": "Name", "range": self.area()}},
            "addProtectedRange": {"protectedRange": {"range": self.area()}},
            "updateSheetProperties": {
                "properties": {"sheetId": 0, "gridProperties": size},
                "fields": "gridProperties",
            },
            "insertRange": {"range": self.area(), "shiftDimension": "ROWS"},
            "deleteRange": {"range": self.area(), "shiftDimension": "COLUMNS"},
            "deleteSheet": {"sheetId": self.rng.choice([7, 99])},
            "noSuchKind": {},
        }
        kind = self.rng.choice(list(kinds))
        return {kind: kinds[kind]}

    def call(self, base: str) -> Request:
        text = quote(self.text(), safe="")
        option = [("valueInputOption", self.rng.choice(["RAW", "USER_ENTERED", "WRONG"]))]
        calls: list[tuple[str, str, list[tuple[str, str]], Any]] = [
            ("PUT", f"/values/{text}", option, {"values": self.values()}),
            ("POST", f"/values/{text}:append", option, {"values": self.values()}),
            ("GET", f"/values/{text}", [("valueRenderOption", "FORMULA")], None),
            ("GET", "", [("includeGridData", "true")], None),
            ("POST", "/values:batchClear", [], {"ranges": [self.text(), self.text()]}),
            (
                "POST",
                "/values:batchUpdate",
                [],
                {
                    "valueInputOption": "USER_ENTERED",
                    "includeValuesInResponse": True,
                    "data": [{"range": self.text(), "values": self.values()} for _ in range(2)],
                },
            ),
            ("POST", ":batchUpdate", [], {"requests": [self.request(), self.request()]}),
            ("POST", ":batchUpdate", [], {"requests": [self.request()]}),
        ]
        verb, path, query, body = self.rng.choice(calls)
        raw = b"" if body is None else json.dumps(body).encode()
        return Request(verb, base + path, query, {}, raw)


def everything(document: Spreadsheet) -> str:
    document.recalculate()
    sheets = [
        (s.title, s.sheet_id, vars(s.grid), s.parts, s.extra, s.grid_extra, s.spilled)
        for s in document.sheets
    ]
    return repr((sheets, document.named_ranges, document.properties))


@pytest.mark.parametrize("seed", range(12))
def test_random_calls_never_break_it_and_a_refused_one_changes_nothing(seed: int):
    chance = Chance(seed)
    emulator = Emulator(seed=seed)
    file = emulator.new(tabs=[{**tab, "rows": chance.values()} for tab in TABS])
    codes = set()
    for _ in range(150):
        before = everything(file.document)
        request = chance.call(f"/v4/spreadsheets/{file.file_id}")
        answer = emulator.answer(request)
        codes.add(answer.status)
        if answer.status != 200 or request.method == "GET":
            assert everything(file.document) == before, request
    emulator.server.server_close()
    assert emulator.broken == []
    assert codes == {200, 400}
