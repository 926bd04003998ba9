"""People sort, insert, delete and move rows all the time while results are written: nothing strays.

The truth about the sheet is kept in it: every row that people own carries a serial number that
names all its cells, whatever they do with it. Edits come in the worst moment, between the look and
the write of a flush, and (in one test) from a thread that knows no moments.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import pytest

from connector.memory import IdsOnly
from connector.registered import Mode
from connector.sheet_errors import SheetMoving
from connector.sheet_google import GoogleCalls
from connector.sheets import SheetSource
from connector.source import Cells, Change, Row
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.store import File

ROWS = 1000
BYSTANDERS = 60
FLUSH = 50
NOW = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
HEADINGS = [
    "row_id", "serial", "tracking_url", "notes", "check_status", "final_url", "conclusion",
    "error", "skip_reason", "last_checked", "ready_for_ads", "check_ref", "margin",
]  # fmt: skip
OURS = HEADINGS[4:11]
THEIRS = ("serial", "tracking_url", "notes", "margin")
LINK = "https://trk.example/{}"


class People:
    """Edits rows as people do, and keeps what each row of theirs says."""

    def __init__(self, api: Emulator, file: File, seed: int) -> None:
        self.api = api
        self.file = file
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.serials = 0
        self.rows: dict[str, dict[str, str]] = {}
        self.deleted: set[str] = set()

    def new_row(self, *, row_id: bool = True, link: bool = True, old: bool = False) -> list[str]:
        """A row that people own, with an *old* result; remembered by its serial number."""
        self.serials += 1
        serial = f"s{self.serials}"
        row = {
            "serial": serial,
            "tracking_url": LINK.format(self.serials) if link else "",
            "notes": f"note {self.random.randrange(5)}",
            "margin": f"m{self.serials}",
        }
        self.rows[serial] = row
        texts = {**row, "row_id": f"r_{self.serials}" if row_id else ""}
        if old:
            texts |= old_result(self.serials)
        return [texts.get(heading, "") for heading in HEADINGS]

    def had_result(self, number: int) -> bool:
        """Whether the row had an old result before anybody wrote."""
        return number > ROWS or number % 2 == 0

    def edit(self) -> dict[str, Any]:
        """What somebody does next, as the emulator is told; remembered here."""
        count = len(self.api.rows(self.file))
        kind = self.random.choices(
            ["sort", "insert", "delete", "move", "type"], [40, 25, 20, 15, 10]
        )[0]
        self.done[kind] += 1
        at = self.random.randrange(1, count)
        if kind == "sort":
            column = self.random.choice([0, 1, 3, 6, 12])
            return {"do": "sort", "column": column, "descending": self.random.random() < 0.5}
        if kind == "insert":
            made = [self.new_row(row_id=False) for _ in range(self.random.randrange(1, 4))]
            return {"do": "insert_rows", "at": at, "count": len(made), "rows": made}
        if kind == "delete" and count > 100:
            return {"do": "delete_rows", "start": at, "end": at + 1}
        if kind == "move":
            to = self.random.randrange(1, count)
            return {"do": "move_rows", "start": at, "end": at + 1, "to": to}
        return {"do": "type", "cell": f"D{at + 1}", "value": f"typed {self.random.random()}"}

    def act(self) -> None:
        """Do it, and note what it did to cells of theirs."""
        with self.file.lock:
            before = self.api.rows(self.file)
            step = self.edit()
            self.api.edit(self.file, step)
            if step["do"] == "delete_rows":
                for row in before[step["start"] : step["end"]]:
                    self.deleted.add(said(row)["serial"])
            if step["do"] == "type":
                row = self.api.rows(self.file)[int(step["cell"][1:]) - 1]
                self.rows[said(row)["serial"]]["notes"] = step["value"]


def said(row: list[Any], headings: list[str] = HEADINGS) -> dict[str, str]:
    texts = [str(cell) for cell in row] + [""] * (len(headings) - len(row))
    return dict(zip(headings, texts, strict=True))


def old_result(number: int) -> dict[str, str]:
    return {
        "check_status": "failed",
        "final_url": f"https://old.example/{number}",
        "conclusion": "http_4xx",
        "error": f"old error {number}",
        "last_checked": "2026-11-20T09:00:00Z",
        "ready_for_ads": "FALSE",
        "check_ref": f"r_{number}",
    }


def result(number: int) -> Change:
    cells: dict[str, str | bool] = {
        "check_status": "valid",
        "final_url": f"https://shop.example/{number}",
        "conclusion": "valid",
        "error": "",
        "skip_reason": "",
        "last_checked": "2026-11-21T09:00:00Z",
        "ready_for_ads": True,
    }
    return Change(
        row_id=f"r_{number}", tracking_url=LINK.format(number), cells=cells, checked_at=NOW
    )


NEW = {"check_status": "valid", "conclusion": "valid", "error": "", "ready_for_ads": "TRUE"}


def crowd(api: Emulator, seed: int, *, count: int = ROWS, old: bool = True) -> People:
    """A sheet with rows to check and some more, and the people who work in it."""
    people = People(api, api.new("Links", [HEADINGS]), seed)
    rows = [HEADINGS]
    rows += [people.new_row(old=old and number % 2 == 0) for number in range(1, count + 1)]
    rows += [people.new_row(old=old) for _ in range(BYSTANDERS)]
    people.file = api.new("Links", rows)
    return people


class Meddler:
    """Lets people act in the moment between a look and the write that follows it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, people: People, *, often: float) -> None:
        self.often = often
        send = GoogleCalls.write_values

        def sent(calls: GoogleCalls, body: dict[str, Any]) -> dict[str, Any]:
            if people.random.random() < self.often:
                people.act()
            return send(calls, body)

        monkeypatch.setattr(GoogleCalls, "write_values", sent)


Open = Callable[..., SheetSource]
T = TypeVar("T")


def persistently(write: Callable[[], T]) -> T:
    """As the agent does: again, when people would not stop."""
    for _ in range(50):
        try:
            return write()
        except SheetMoving:
            continue
    raise AssertionError("never written")


def check_truth(people: People, written: set[int]) -> None:
    """No cell of ours in another's row, no cell of theirs other than they left it."""
    rows = people.api.rows(people.file)
    assert rows[0] == HEADINGS
    seen: set[str] = set()
    for row in filter(any, rows[1:]):
        texts = said(row)
        serial = texts["serial"]
        assert serial not in seen
        seen.add(serial)
        assert {name: texts[name] for name in THEIRS} == people.rows[serial]
        number = int(serial[1:])
        expected: dict[str, str] = dict.fromkeys(OURS, "")
        if texts["row_id"]:
            assert texts["row_id"] == f"r_{number}"
            if number in written:
                expected |= NEW | {
                    "final_url": f"https://shop.example/{number}",
                    "last_checked": "2026-11-21T09:00:00Z",
                }
            elif people.had_result(number) and number <= ROWS + BYSTANDERS:
                expected |= {k: v for k, v in old_result(number).items() if k != "check_ref"}
        found = {name: texts[name] for name in OURS}
        assert found == expected, f"{serial}: {found}"
        assert texts["check_ref"] in ("", texts["row_id"])
    assert seen == set(people.rows) - people.deleted


def write_all(people: People, source: SheetSource, *, count: int = ROWS) -> set[int]:
    """Write a result for each of the rows; returns which were written."""
    written: set[int] = set()
    for start in range(1, count + 1, FLUSH):
        changes = [result(number) for number in range(start, start + FLUSH)]
        words = persistently(partial(source.write, changes))
        for change, word in zip(changes, words, strict=True):
            assert word.row_id == change.row_id
            if word.writeback == "written":
                written.add(int(change.row_id[2:]))
            else:
                assert word.writeback == "missing"
                assert f"s{change.row_id[2:]}" in people.deleted
    return written


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_results_reach_their_rows_while_people_move_them(
    sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    people = crowd(sheets_api, seed)
    source = open_sheet(people.file)
    meddler = Meddler(monkeypatch, people, often=0.7)

    written = write_all(people, source)

    meddler.often = 0.0
    check_truth(people, written)
    assert min(people.done[kind] for kind in ("sort", "insert", "delete", "move", "type")) > 0
    assert source.stats["repairs"] > 0
    assert source.audit().is_clean


@pytest.mark.parametrize("seed", [4, 5])
def test_results_reach_their_rows_although_answers_are_lost_as_well(
    sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    people = crowd(sheets_api, seed)
    source = open_sheet(people.file)
    meddler = Meddler(monkeypatch, people, often=0.5)
    for skip in range(0, 60, 3):
        kind = people.random.choice(["timeout_after", "timeout_before", "502", "429"])
        sheets_api.faults.add(kind, "values.batchUpdate", skip=skip)

    written = write_all(people, source)

    meddler.often = 0.0
    check_truth(people, written)
    assert source.stats["repairs"] > 0


class Killed(BaseException):
    """What a process hears of kill -9: nothing."""


@pytest.mark.parametrize("seed", [15, 16])
def test_processes_that_die_at_any_moment_leave_nothing_in_wrong_rows(
    sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    people = crowd(sheets_api, seed, count=300)
    meddler = Meddler(monkeypatch, people, often=0.7)
    send = GoogleCalls.write_values
    deaths = 0

    def dying(calls: GoogleCalls, body: dict[str, Any]) -> dict[str, Any]:
        nonlocal deaths
        answer = send(calls, body)
        if meddler.often and people.random.random() < 0.3:
            deaths += 1
            raise Killed
        return answer

    monkeypatch.setattr(GoogleCalls, "write_values", dying)
    source = open_sheet(people.file)
    for start in range(1, 301, 20):
        changes = [result(number) for number in range(start, start + 20)]
        try:
            persistently(partial(source.write, changes))
        except Killed:
            source = open_sheet(people.file)

    meddler.often = 0.0
    source = open_sheet(people.file)
    source.audit()

    assert deaths > 3
    for row in filter(any, sheets_api.rows(people.file)[1:]):
        texts = said(row)
        assert {name: texts[name] for name in THEIRS} == people.rows[texts["serial"]]
        number = int(texts["serial"][1:])
        old = old_result(number)["final_url"]
        assert texts["final_url"] in ("", old, f"https://shop.example/{number}")
        assert texts["check_ref"] in ("", texts["row_id"])
    # Written anew, all of it is there.
    written = write_all(people, source, count=300)
    for row in filter(any, sheets_api.rows(people.file)[1:]):
        texts = said(row)
        number = int(texts["serial"][1:])
        if number in written:
            assert texts["final_url"] == f"https://shop.example/{number}"


def test_two_calls_a_flush_when_nobody_interferes(sheets_api: Emulator, open_sheet: Open) -> None:
    people = crowd(sheets_api, 6)
    source = open_sheet(people.file)

    written = write_all(people, source)

    check_truth(people, written)
    assert source.stats["repairs"] == 0
    assert dict(source.calls) == {"read": ROWS // FLUSH, "write": ROWS // FLUSH}


def test_results_reach_their_rows_beside_people_who_know_no_moments(
    sheets_api: Emulator, open_sheet: Open
) -> None:
    people = crowd(sheets_api, 7)
    source = open_sheet(people.file)
    done = threading.Event()
    fell: list[Exception] = []

    def work() -> None:
        # An edit for every few calls, whenever in them it comes.
        acted = 0
        try:
            while not done.wait(0.001):
                if len(sheets_api.log.entries()) >= 3 * (acted + 1):
                    people.act()
                    acted += 1
        except Exception as error:  # noqa: BLE001 - shown by the test
            fell.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        written = write_all(people, source)
    finally:
        done.set()
        worker.join()

    assert not fell
    check_truth(people, written)
    assert sum(people.done.values()) > 10


@pytest.mark.parametrize("seed", [8, 9, 10])
def test_ids_are_given_and_none_is_lost_while_people_move_rows(
    sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    people = People(sheets_api, sheets_api.new("Links", [HEADINGS]), seed)
    rows = [people.new_row(row_id=number % 3 > 0, old=number % 3 == 1) for number in range(600)]
    people.file = sheets_api.new("Links", [HEADINGS, *rows])
    before = {said(row)["serial"]: said(row) for row in rows}
    source = open_sheet(people.file)
    meddler = Meddler(monkeypatch, people, often=0.8)

    for _ in range(6):
        persistently(source.assign_ids)
    meddler.often = 0.0
    source.assign_ids()

    seen: Counter[str] = Counter()
    for row in filter(any, sheets_api.rows(people.file)[1:]):
        texts = said(row)
        assert {name: texts[name] for name in THEIRS} == people.rows[texts["serial"]]
        old = before.get(texts["serial"], {})
        assert texts["row_id"].startswith("r_")
        if old.get("row_id"):
            assert {name: texts[name] for name in OURS} == {name: old[name] for name in OURS}
            assert texts["row_id"] == old["row_id"]
        seen[texts["row_id"]] += 1
    assert set(seen.values()) == {1}
    assert source.stats["repairs"] > 0


class Paused:
    """A revision that gives ids and tells every third row that it is left out."""

    def __init__(self) -> None:
        self.ids = IdsOnly()

    def survey(self, row: Row) -> None:
        self.ids.survey(row)

    def decide(self, row: Row) -> Cells | None:
        cells = dict(self.ids.decide(row) or {})
        if int(row.tracking_url.rpartition("/")[2]) % 3 == 0:
            cells |= {"check_status": "skipped", "skip_reason": f"told {row.tracking_url}"}
        return cells or None


@pytest.mark.parametrize("seed", [11, 12])
def test_what_rows_are_told_stands_in_those_rows(
    sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    people = People(sheets_api, sheets_api.new("Links", [HEADINGS]), seed)
    rows = [people.new_row(row_id=number % 2 > 0) for number in range(300)]
    people.file = sheets_api.new("Links", [HEADINGS, *rows])
    source = open_sheet(people.file)
    meddler = Meddler(monkeypatch, people, often=0.7)

    persistently(partial(source.revise, Paused))
    meddler.often = 0.0
    source.revise(Paused)

    for row in filter(any, sheets_api.rows(people.file)[1:]):
        texts = said(row)
        assert {name: texts[name] for name in THEIRS} == people.rows[texts["serial"]]
        is_told = int(texts["serial"][1:]) % 3 == 0
        assert texts["skip_reason"] == (f"told {texts['tracking_url']}" if is_told else "")
        assert texts["check_ref"] in ("", texts["row_id"])


@pytest.mark.parametrize("seed", [13, 14])
def test_in_a_results_tab_nothing_ever_strays(
    sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    people = crowd(sheets_api, seed, count=200, old=False)
    source = open_sheet(people.file, mode=Mode.RESULTS_TAB)
    source.assign_ids()
    append = GoogleCalls.append_values

    def appended(calls: GoogleCalls, range_: str, values: list[list[str]]) -> Any:
        people.act()
        return append(calls, range_, values)

    monkeypatch.setattr(GoogleCalls, "append_values", appended)
    before = dict(source.calls)

    written = write_all(people, source, count=200)

    spent = {kind: source.calls[kind] - before[kind] for kind in ("read", "write")}
    assert spent == {"read": 200 // FLUSH, "write": 200 // FLUSH}
    for row in filter(any, sheets_api.rows(people.file)[1:]):
        texts = said(row)
        assert {name: texts[name] for name in THEIRS} == people.rows[texts["serial"]]
        number = int(texts["serial"][1:])
        expected = f"https://shop.example/{number}" if number in written else ""
        assert texts["final_url"] == expected
