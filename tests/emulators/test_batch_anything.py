"""Whatever a client sends: the emulator answers as an API, and its document can be read after."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulators.book import Book
from tests.emulators.sheets.a1 import quoted
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.requests_messages import ENUMS, MESSAGES, ONEOFS

# A small grid, so that a request for all of it is soon done.
THERE = [
    {"updateSheetProperties": {"properties": {"gridProperties": {"rowCount": 20, "columnCount": 9}},
                               "fields": "gridProperties(rowCount,columnCount)"}},
    {"mergeCells": {"range": {"startRowIndex": 5, "endRowIndex": 7, "endColumnIndex": 3}}},
    {"addNamedRange": {"namedRange": {"name": "N", "namedRangeId": "a", "range": {}}}},
    {"addProtectedRange": {"protectedRange": {"protectedRangeId": 1, "range": {"endRowIndex": 3}}}},
    {"addDimensionGroup": {"range": {"dimension": "ROWS", "startIndex": 1, "endIndex": 3}}},
    {"addFilterView": {"filter": {"filterViewId": 1, "range": {"endRowIndex": 3}}}},
    {"addBanding": {"bandedRange": {"bandedRangeId": 1, "range": {"startRowIndex": 9},
                                    "rowProperties": {"firstBandColor": {"red": 1}}}}},
    {"addConditionalFormatRule": {"rule": {"ranges": [{"endRowIndex": 3}],
                                           "booleanRule": {"condition": {"type": "BLANK"}}}}},
    {"createDeveloperMetadata": {"developerMetadata": {
        "metadataId": 1, "metadataKey": "a", "visibility": "DOCUMENT",
        "location": {"dimensionRange": {"dimension": "ROWS", "startIndex": 1, "endIndex": 2}}}}},
    {"addSheet": {"properties": {"sheetId": 1, "title": "Other",
                                 "gridProperties": {"rowCount": 9, "columnCount": 9}}}},
    {"addSlicer": {"slicer": {"slicerId": 1, "spec": {"dataRange": {"endRowIndex": 3}}}}},
]  # fmt: skip

SCALARS: dict[str, list[Any]] = {
    "int32": [0, 1, 1, 2, 3, 4, 6, -1, 8, 26],
    "int64": [0, 1],
    "float": [0, 0.5, 1],
    "double": [0, -1.5, 2],
    "string": ["", "a", "1", "Sheet1!A1:B2", "=A1+1", "=", "(", "\u00e4"],
    "bool": [True, False],
    "mask": ["*", "*", "", "name", "title", "note", "range", "userEnteredFormat", "a(b"],
    "json": [{}, {"a": 1}, "x", [1]],
    "object": [{}, {"dataRange": {"endRowIndex": 3}}, {"title": "x"}],
    "list": [["a"]],
}


def value(kind: str, rng: random.Random, depth: int) -> Any:
    if kind in MESSAGES:
        return message(kind, rng, depth + 1)
    return rng.choice(ENUMS[kind] if kind in ENUMS else SCALARS[kind])


def message(kind: str, rng: random.Random, depth: int = 0) -> dict[str, Any]:
    """A message of this kind with some of its fields, most of them with values that may be."""
    _, choices = ONEOFS.get(kind, ("", ()))
    members = sorted(MESSAGES[kind] if choices is None else choices)
    kept = rng.choice(members) if members else None
    made: dict[str, Any] = {}
    for name, known in MESSAGES[kind].items():
        left_out = rng.random() > (0.9 if depth < 2 else 0.45)
        if depth > 5 or left_out or (name in members and name != kept):
            continue
        if name in ("sheetId", "sourceSheetId"):
            made[name] = rng.choice([0, 0, 0, 1, 7])
        elif known.mapped:
            made[name] = {"0": value(known.kind, rng, depth)}
        elif known.repeated:
            made[name] = [value(known.kind, rng, depth) for _ in range(rng.randrange(3))]
        else:
            made[name] = value(known.kind, rng, depth)
    return made


@pytest.mark.parametrize("kind", sorted(MESSAGES["Request"]))
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rng=st.randoms(use_true_random=False))
def test_no_request_breaks_the_emulator(sheets_api: Emulator, kind: str, rng: random.Random):
    book = Book(sheets_api, [["a", 1, True], ["b", 2], ["c"]])
    book.do(*THERE)
    book.formula("E5", "=A1+B2:B3")
    sent = {kind: message(MESSAGES["Request"][kind].kind, rng)}
    answer = book.post(":batchUpdate", {"requests": [sent]})
    assert answer.status_code in (200, 400), answer.text
    assert book.get(includeGridData=True, ranges=f"{quoted(book.titles()[0])}!A1")["sheets"]
    book.http.close()
