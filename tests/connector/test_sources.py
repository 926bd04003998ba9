"""One promise, several keepers: every source passes this suite. Add yours to KEEPERS."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.csv_file import CsvFile
from connector.memory import MemorySource
from connector.registered import Mode
from connector.source import Change, Row, Source
from wire.vocab import Writeback

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
LINK = "https://trk.example/a"
Make = Callable[[Iterable[Row]], Source]
OpenSheet = Callable[..., Source]


def memory(request: pytest.FixtureRequest) -> Make:
    return lambda rows: MemorySource(rows, source_id="src_a")


def csv_file(request: pytest.FixtureRequest) -> Make:
    tmp_path: Path = request.getfixturevalue("tmp_path")

    def make(rows: Iterable[Row]) -> Source:
        path = tmp_path / "links.csv"
        lines = ["row_id,offer_name,tracking_url,check_status,last_checked\n"]
        lines += [
            f"{row.row_id},{row.offer_name},{row.tracking_url},{row.check_status},{row.last_checked}\n"
            for row in rows
        ]
        path.write_text("".join(lines), "utf-8")
        return CsvFile(path, source_id="src_a")

    return make


def sheet(request: pytest.FixtureRequest, mode: Mode = Mode.IN_PLACE) -> Make:
    open_sheet: OpenSheet = request.getfixturevalue("open_sheet")
    headings = ["row_id", "offer_name", "tracking_url", "check_status", "last_checked"]

    def make(rows: Iterable[Row]) -> Source:
        return open_sheet(
            [
                headings,
                *([getattr(row, heading) for heading in headings] for row in rows),
            ],
            mode=mode,
        )

    return make


def sheet_with_results_tab(request: pytest.FixtureRequest) -> Make:
    return sheet(request, Mode.RESULTS_TAB)


KEEPERS = [memory, csv_file, sheet, sheet_with_results_tab]


@pytest.fixture(params=KEEPERS, ids=lambda keeper: keeper.__name__)
def make(request: pytest.FixtureRequest) -> Make:
    keep: Make = request.param(request)
    return keep


def row(row_id: str = "r_1", tracking_url: str = LINK, **more: str) -> Row:
    return Row(row_id=row_id, tracking_url=tracking_url, **more)


def change(row_id: str = "r_1", tracking_url: str = LINK, **more: object) -> Change:
    cells = {"conclusion": "valid", "final_url": "https://shop.example/", "ready_for_ads": True}
    given: dict[str, object] = {"cells": cells, "checked_at": NOW} | more
    return Change(row_id=row_id, tracking_url=tracking_url, **given)  # type: ignore[arg-type]


def rows_of(source: Source) -> list[Row]:
    return [each for batch in source.read() for each in batch]


def test_rows_come_in_order_with_their_identity(make: Make) -> None:
    source = make([row("r_1"), row("r_2", LINK + "b"), row("", "")])

    read = rows_of(source)

    assert [(each.row_id, each.tracking_url) for each in read][:2] == [
        ("r_1", LINK),
        ("r_2", LINK + "b"),
    ]
    assert source.source_id == "src_a"
    assert source.name


def test_a_result_lands_in_its_row_and_nowhere_else(make: Make) -> None:
    source = make([row("r_1"), row("r_2"), row("r_3")])

    answers = source.write([change("r_2")])

    assert [answer.writeback for answer in answers] == [Writeback.WRITTEN]
    assert [each.conclusion for each in rows_of(source)] == ["", "valid", ""]
    assert [each.final_url for each in rows_of(source)] == ["", "https://shop.example/", ""]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(change("r_9"), Writeback.MISSING, id="the row is gone"),
        pytest.param(
            change("r_1", LINK + "x"), Writeback.CONFLICT, id="the row holds another link"
        ),
        pytest.param(change("r_2"), Writeback.DUPLICATE, id="two rows share the id"),
    ],
)
def test_what_cannot_be_written_is_said_and_changes_nothing(
    make: Make, given: Change, expected: Writeback
) -> None:
    source = make([row("r_1"), row("r_2"), row("r_2")])
    before = rows_of(source)

    (answer,) = source.write([given])

    assert answer.writeback is expected
    assert answer.detail
    assert rows_of(source) == before


def test_answers_come_in_the_order_of_the_changes(make: Make) -> None:
    source = make([row("r_1"), row("r_2")])

    answers = source.write([change("r_2"), change("r_9"), change("r_1")])

    assert [answer.row_id for answer in answers] == ["r_2", "r_9", "r_1"]
    assert [answer.writeback for answer in answers] == ["written", "missing", "written"]


@pytest.mark.parametrize(
    ("last_checked", "conclusion"),
    [
        pytest.param("2026-11-20T12:00:01Z", "", id="a newer answer stays"),
        pytest.param("2026-11-20T12:00:00Z", "valid", id="an equal one is written again"),
        pytest.param("2026-11-20T11:59:59Z", "valid", id="an older one is replaced"),
        pytest.param("some day", "valid", id="a time that is none is replaced"),
    ],
)
def test_a_newer_answer_is_never_overwritten(
    make: Make, last_checked: str, conclusion: str
) -> None:
    source = make([row(last_checked=last_checked)])

    (answer,) = source.write([change()])

    assert answer.writeback is Writeback.WRITTEN
    assert rows_of(source)[0].conclusion == conclusion


def test_identity_ignores_blanks_around_it(make: Make) -> None:
    source = make([row(" r_1 ", f" {LINK} ")])

    assert rows_of(source)[0].row_id == "r_1"
    assert source.write([change()])[0].writeback is Writeback.WRITTEN


def test_of_two_results_for_one_row_the_last_one_stands(make: Make) -> None:
    source = make([row()])

    answers = source.write([change(), change(cells={"conclusion": "http_4xx"})])

    assert len(answers) == 2
    assert rows_of(source)[0].conclusion == "http_4xx"


def test_each_of_several_results_for_one_row_is_judged_by_itself(make: Make) -> None:
    source = make([row()])
    newer = change(cells={"conclusion": "http_4xx", "last_checked": "2026-11-20T12:00:00Z"})
    older = change(checked_at=NOW - timedelta(minutes=1))

    answers = source.write([change(tracking_url=LINK + "old"), newer, older])

    assert [answer.writeback for answer in answers] == ["conflict", "written", "written"]
    assert "newer" in answers[2].detail
    assert rows_of(source)[0].conclusion == "http_4xx"


def test_ids_are_given_once_and_only_where_there_is_a_link(make: Make) -> None:
    source = make([row(""), row("r_2"), row("", "", offer_name="no link"), row("")])

    given, again = source.assign_ids(), source.assign_ids()

    ids = [each.row_id for each in rows_of(source)]
    assert (given, again) == (2, 0)
    assert ids[1:3] == ["r_2", ""]
    assert len({ids[0], ids[3], "r_2"}) == 3
    assert ids[0].startswith("r_")


def test_a_revision_sees_every_row_before_it_decides_the_first(make: Make) -> None:
    class Count:
        def __init__(self) -> None:
            self.seen = 0

        def survey(self, each: Row) -> None:
            self.seen += 1

        def decide(self, each: Row) -> dict[str, str | bool]:
            return {"skip_reason": f"one of {self.seen}"}

    source = make([row("r_1"), row("r_2"), row("r_3")])

    assert source.revise(Count) == 3


def test_nothing_to_write_is_no_error(make: Make) -> None:
    assert make([row()]).write([]) == []
