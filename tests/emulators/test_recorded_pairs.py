"""Google's recorded answers: 320 requests of gspread's own tests, played to the emulator."""

import json
from collections import Counter
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.replay import Outcome, Replay, content, target
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.server import Request

FILE = Path(__file__).parent.parent / "cases" / "sheets_api_pairs.jsonl"
PAIRS = [json.loads(line) for line in FILE.read_text().splitlines()]


@cache
def played(cassette: str) -> tuple[list[Outcome], list[tuple[str, str]]]:
    """One cassette over HTTP, on an emulator of its own; each test looks at one outcome."""
    emulator = Emulator(seed=7)
    emulator.start()
    connection = HTTPConnection("127.0.0.1", emulator.server.server_address[1], timeout=60)

    def send(request: Request) -> tuple[int, Any]:
        connection.request(request.method, target(request), request.body or None)
        answer = connection.getresponse()
        return answer.status, content(answer.read())

    try:
        replay = Replay(emulator, send)
        outcomes = replay.play([p for p in PAIRS if p["cassette"] == cassette])
    finally:
        connection.close()
        emulator.stop()
    assert emulator.broken == []
    return outcomes, replay.premises.taken


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["id"])
def test_the_recorded_answer_is_given(pair: dict[str, Any]):
    outcomes, _ = played(pair["cassette"])
    outcome = next(o for o in outcomes if o.pair["id"] == pair["id"])
    assert outcome.status == pair["status"]
    assert outcome.body == outcome.expected


def test_no_more_is_taken_for_granted_than_the_missing_requests_explain():
    """A mistake of the emulator must not hide behind a premise: their number is known."""
    taken = [t for cassette in {p["cassette"] for p in PAIRS} for t in played(cassette)[1]]
    assert Counter(what for _, what in taken) == {
        "file": 94,
        "size": 19,
        "tab": 6,
        "notes": 6,
        "values": 4,
        "named range": 2,
        "tab color": 1,
        "private": 1,
    }
