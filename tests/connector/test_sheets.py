"""A tab of a Google Sheet as a keeper of rows, over real HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.sheets import SheetSource, find_sheet
from connector.source import Change, Row
from tests.emulators.sheets.emulator import SERVICE_ACCOUNT, Emulator

NOW = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
LINK = "https://trk.example/{}"
Open = Callable[..., SheetSource]


def change(number: int, **cells: str | bool) -> Change:
    return Change(
        row_id=f"r_{number}",
        tracking_url=LINK.format(number),
        cells={"conclusion": "valid", "final_url": f"https://shop.example/{number}"} | cells,
        checked_at=NOW,
    )


def links(count: int, *headings: str) -> list[list[str]]:
    """Rows r_1 ... with their links, under row_id, tracking_url and more headings."""
    top = ["row_id", "tracking_url", *headings]
    return [top, *([f"r_{number}", LINK.format(number)] for number in range(1, count + 1))]


ALL = (
    "check_status", "final_url", "conclusion", "error", "skip_reason", "last_checked",
    "ready_for_ads", "check_ref",
)  # fmt: skip


def rows_of(source: SheetSource) -> list[Row]:
    return [row for batch in source.read() for row in batch]


def told(api: Emulator, source: SheetSource) -> list[dict[str, str]]:
    """What stands in the tab, by heading."""
    top, *rows = api.rows(source.spreadsheet_id)
    return [dict(zip(top, [*row, *[""] * len(top)], strict=False)) for row in rows]


class TestCalls:
    @pytest.mark.parametrize(("count", "calls"), [(1, 1), (2000, 1), (2001, 2), (4500, 3)])
    def test_two_calls_bring_two_thousand_results_home(
        self, sheets_api: Emulator, open_sheet: Open, count: int, calls: int
    ) -> None:
        source = open_sheet(links(count, *ALL))
        changes = [change(number) for number in range(1, count + 1)]
        source.check()
        before = dict(source.calls)

        answers = source.write(changes)

        assert {answer.writeback for answer in answers} == {"written"}
        after = source.calls
        assert after["read"] - before["read"] == calls
        assert after["write"] - before.get("write", 0) == calls
        assert [row["final_url"] for row in told(sheets_api, source)] == [
            f"https://shop.example/{number}" for number in range(1, count + 1)
        ]

    def test_a_survey_foretells_what_a_run_costs(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        rows = links(30, *ALL)
        rows += [["", LINK.format(number)] for number in range(31, 41)]
        source = open_sheet(rows)
        cost = source.survey().cost
        before = dict(source.calls)

        source.assign_ids()
        read = rows_of(source)
        source.write(
            [
                Change(row_id=row.row_id, tracking_url=row.tracking_url, cells={"error": "x"})
                for row in read
            ]
        )

        spent = {
            kind: source.calls.get(kind, 0) - before.get(kind, 0) for kind in ("read", "write")
        }
        assert (cost.reads, cost.writes) == (spent["read"], spent["write"])

    def test_what_stands_there_already_is_not_written_again(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links(3, *ALL))
        source.write([change(2)])
        before = source.calls["write"]

        (answer,) = source.write([change(2)])

        assert answer.writeback == "written"
        assert source.calls["write"] == before


class TestColumns:
    def test_columns_are_made_once_with_a_note_each(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet([["Offer", "tracking_url"], ["a", LINK.format(1)]])

        assert source.assign_ids() == 1
        (row,) = rows_of(source)
        source.write(
            [Change(row_id=row.row_id, tracking_url=row.tracking_url, cells={"error": "e"})]
        )

        top = sheets_api.rows(source.spreadsheet_id)[0]
        assert top == ["Offer", "tracking_url", "row_id", *ALL]
        grid = sheets_api.file(source.spreadsheet_id).document.sheets[0].grid
        assert "Linkrow" in (grid.cell(0, 3).note or "")
        assert told(sheets_api, source)[0]["error"] == "e"

    def test_the_grid_grows_where_columns_have_no_room(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        file = sheets_api.new("Links", [["tracking_url"], [LINK.format(1)]])
        sheet = file.document.sheets[0]
        sheet.grid.resize(sheet.grid.row_count, 2)
        source = open_sheet(file)

        source.assign_ids()

        assert sheets_api.rows(file)[0] == ["tracking_url", "row_id", *ALL]

    def test_result_columns_are_protected_by_a_warning_on_request(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet([["tracking_url"], [LINK.format(1)]], protect=True)

        source.assign_ids()

        sheet = sheets_api.file(source.spreadsheet_id).document.sheets[0]
        (protected,) = sheet.parts["protectedRanges"]
        assert protected["warningOnly"] is True
        assert (protected["range"].c0, protected["range"].c1) == (1, 10)

    def test_a_title_line_above_the_header_does_no_harm(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        rows = [["Autumn campaign"], [], *links(2, *ALL)]
        source = open_sheet(rows)

        source.write([change(2)])

        assert sheets_api.rows(source.spreadsheet_id)[:2] == [["Autumn campaign"], []]
        assert [row.row_id for row in rows_of(source)] == ["r_1", "r_2"]
        assert rows_of(source)[1].conclusion == "valid"

    @pytest.mark.parametrize(
        "edit",
        [
            pytest.param({"do": "insert_columns", "at": 1, "count": 2}, id="columns inserted"),
            pytest.param({"do": "insert_columns", "at": 4, "count": 1}, id="amid the results"),
            pytest.param({"do": "insert_columns", "at": 2, "count": 1}, id="before the results"),
            pytest.param({"do": "insert_rows", "at": 0, "count": 3}, id="header moved down"),
            pytest.param({"do": "rename_tab", "title": "It's new"}, id="tab renamed"),
            pytest.param({"do": "sort", "column": 0, "descending": True}, id="sorted"),
        ],
    )
    @pytest.mark.parametrize("when", ["between flushes", "between look and write"])
    def test_columns_and_header_are_found_again_wherever_they_went(
        self, sheets_api: Emulator, open_sheet: Open, edit: dict[str, Any], when: str
    ) -> None:
        top, *rows = links(6, *ALL, "margin")
        rows = [[*row, *[""] * 8, f"m{number}"] for number, row in enumerate(rows, 1)]
        source = open_sheet([top, *rows])
        source.write([change(1)])
        if when == "between flushes":
            sheets_api.edit(source.spreadsheet_id, edit)
        else:
            sheets_api.faults.add("edit_before", "values.batchUpdate", edits=[edit])

        answers = source.write([change(2), change(5)])

        assert [answer.writeback for answer in answers] == ["written", "written"]
        found = {row.row_id: row for row in rows_of(source)}
        assert {key: row.final_url for key, row in found.items() if row.final_url} == {
            f"r_{number}": f"https://shop.example/{number}" for number in (1, 2, 5)
        }
        everything = sheets_api.rows(source.spreadsheet_id)
        top = next(row for row in everything if "margin" in row)
        assert [heading for heading in top if heading] == ["row_id", "tracking_url", *ALL, "margin"]
        for row in everything[everything.index(top) + 1 :]:
            assert row[top.index("margin")] == "m" + row[top.index("row_id")][2:]


def move_column(start: int, to: int) -> dict[str, Any]:
    source = {"sheetId": 0, "dimension": "COLUMNS", "startIndex": start, "endIndex": start + 1}
    return {"moveDimension": {"source": source, "destinationIndex": to}}


SORT = {
    "sortRange": {
        "range": {"startRowIndex": 1},
        "sortSpecs": [{"dimensionIndex": 9, "sortOrder": "DESCENDING"}],
    }
}


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"do": "batch", "requests": [move_column(0, 5)]}, id="ids amid results"),
        pytest.param({"do": "batch", "requests": [move_column(0, 11), SORT]}, id="and sorted"),
        pytest.param({"do": "batch", "requests": [move_column(10, 0)]}, id="theirs to the front"),
        pytest.param({"do": "batch", "requests": [move_column(10, 3)]}, id="theirs amid ours"),
        pytest.param({"do": "batch", "requests": [move_column(3, 9)]}, id="ours among themselves"),
        pytest.param({"do": "delete_columns", "start": 2}, id="the first of ours deleted"),
        pytest.param({"do": "delete_columns", "start": 6}, id="another deleted"),
        pytest.param({"do": "insert_columns", "at": 0, "count": 3}, id="inserted before all"),
    ],
)
@pytest.mark.parametrize("work", ["results", "ids"])
def test_columns_that_move_in_the_worst_moment_cost_no_cell_of_anybody(
    request: pytest.FixtureRequest,
    sheets_api: Emulator,
    open_sheet: Open,
    edit: dict[str, Any],
    work: str,
) -> None:
    top, *rows = links(5, *ALL, "margin")
    rows = [[*row, *[""] * 8, f"m{number}"] for number, row in enumerate(rows, 1)]
    rows[4][0] = ""
    source = open_sheet([top, *rows])
    source.write([change(1, error="e1", skip_reason="s1")])
    sheets_api.faults.add("edit_before", "values.batchUpdate", edits=[edit])

    if work == "ids":
        source.assign_ids()
    words = source.write([change(2), change(3)])

    assert [word.writeback for word in words] == ["written", "written"]
    for row in told(sheets_api, source):
        number = row["tracking_url"].rpartition("/")[2]
        assert row["margin"] == f"m{number}"
        # Where columns moved as well, a row may get its id the next time.
        if number != "5":
            assert row["row_id"] == f"r_{number}"
        has_result = number in "123"
        assert row["final_url"] == (f"https://shop.example/{number}" if has_result else "")
        assert row["conclusion"] == ("valid" if has_result else "")
        assert row["error"] == ("e1" if number == "1" else "")
        if "another" not in request.node.name:  # the one that was deleted
            assert row["skip_reason"] == ("s1" if number == "1" else "")
        assert (row["check_status"], row["last_checked"], row["ready_for_ads"]) == ("", "", "")
        assert row["check_ref"] in ((row["row_id"],) if has_result else ("", row["row_id"]))


class TestLinks:
    def test_a_cell_that_shows_a_label_is_read_by_its_link(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links(3, *ALL))
        sheets_api.edit(
            source.spreadsheet_id,
            {"do": "type", "cell": "B3", "value": '=HYPERLINK("https://trk.example/h","Buy now")'},
        )

        rows = rows_of(source)
        (answer,) = source.write(
            [Change(row_id="r_2", tracking_url="https://trk.example/h", cells={"error": "seen"})]
        )

        assert [row.tracking_url for row in rows] == [
            LINK.format(1), "https://trk.example/h", LINK.format(3)
        ]  # fmt: skip
        assert answer.writeback == "written"

    @pytest.mark.parametrize(
        ("cell", "fields"),
        [
            pytest.param(
                {"userEnteredFormat": {"textFormat": {"link": {"uri": "https://trk.example/h"}}}},
                "userEnteredFormat",
                id="the whole cell",
            ),
            pytest.param(
                {
                    "textFormatRuns": [
                        {"format": {}},
                        {
                            "startIndex": 4,
                            "format": {"link": {"uri": "https://trk.example/h"}},
                        },
                    ]
                },
                "textFormatRuns",
                id="a part of it",
            ),
        ],
    )
    def test_linked_words_are_read_by_their_link(
        self, sheets_api: Emulator, open_sheet: Open, cell: dict[str, Any], fields: str
    ) -> None:
        source = open_sheet(links(3, *ALL))
        update = {
            "rows": [{"values": [{"userEnteredValue": {"stringValue": "Buy now"}, **cell}]}],
            "fields": f"userEnteredValue,{fields}",
            "start": {"sheetId": 0, "rowIndex": 2, "columnIndex": 1},
        }
        sheets_api.edit(
            source.spreadsheet_id, {"do": "batch", "requests": [{"updateCells": update}]}
        )

        assert [row.tracking_url for row in rows_of(source)] == [
            LINK.format(1), "https://trk.example/h", LINK.format(3)
        ]  # fmt: skip

    def test_a_label_whose_link_changed_takes_no_result_of_the_old_one(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links(1, *ALL))
        for target in ("old", "new"):
            value = f'=HYPERLINK("https://trk.example/{target}","Buy now")'
            sheets_api.edit(source.spreadsheet_id, {"do": "type", "cell": "B2", "value": value})

        (answer,) = source.write(
            [Change(row_id="r_1", tracking_url="https://trk.example/old", cells={"error": "e"})]
        )

        assert answer.writeback == "conflict"
        assert rows_of(source)[0].tracking_url == "https://trk.example/new"

    def test_formulas_that_make_links_are_told_of_and_read_as_they_show(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links(2, *ALL))
        sheets_api.edit(
            source.spreadsheet_id,
            {"do": "type", "cell": "B2", "value": '="https://trk.example/"&"made"'},
        )

        survey = source.survey()

        assert survey.rows[0].tracking_url == "https://trk.example/made"
        assert survey.formula_links == 1
        assert any("made by formulas" in each for each in survey.obstacles)


class TestIds:
    @pytest.mark.parametrize(
        ("value", "word"),
        [("=ROW()", "formula"), ("1234567890123456789012", "shortened")],
    )
    def test_an_id_that_names_no_row_for_good_is_refused_and_its_row_gets_no_job(
        self, sheets_api: Emulator, open_sheet: Open, value: str, word: str
    ) -> None:
        source = open_sheet(links(2, *ALL))
        sheets_api.edit(source.spreadsheet_id, {"do": "type", "cell": "A3", "value": value})

        first, second = rows_of(source)

        assert first.fault == ""
        assert word in second.fault

    def test_numbers_and_leading_zeros_stay_as_they_show(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet([["row_id", "tracking_url", *ALL], ["00123", LINK.format(1)]])

        source.write([Change(row_id="00123", tracking_url=LINK.format(1), cells={"error": "0042"})])

        assert told(sheets_api, source)[0]["error"] == "0042"
        assert rows_of(source)[0].row_id == "00123"

    def test_nothing_of_ours_is_ever_a_formula(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links(1, *ALL))

        source.write([change(1, error='=IMPORTXML("https://evil.example/","//a")')])

        sheet = sheets_api.file(source.spreadsheet_id).document.sheets[0]
        assert sheet.grid.cell(1, 5).formula is None
        assert told(sheets_api, source)[0]["error"].startswith("=IMPORTXML")

    def test_a_cell_takes_what_it_can_hold(self, sheets_api: Emulator, open_sheet: Open) -> None:
        source = open_sheet(links(1, *ALL))

        (answer,) = source.write([change(1, error="x" * 60_000)])

        assert answer.writeback == "written"
        assert len(told(sheets_api, source)[0]["error"]) == 50_000


class TestFinding:
    @pytest.mark.parametrize("by", ["url", "fragment", "key", "title"])
    def test_a_sheet_is_found_by_whatever_names_it(
        self, sheets_api: Emulator, tmp_path: Any, by: str
    ) -> None:
        tabs = [{"title": "One", "rows": [["x"]]}, {"title": "Two", "rows": [["y"]], "sheet_id": 7}]
        file = sheets_api.new("Autumn's links", tabs=tabs)
        key = sheets_api.credentials(tmp_path)
        base = f"https://docs.google.com/spreadsheets/d/{file.file_id}"
        address, tab = {
            "url": (f"{base}/edit?gid=7#gid=7", ""),
            "fragment": (f"{base}/edit#gid=7&range=A1", ""),
            "key": (file.file_id, "Two"),
            "title": ("Autumn's links", "7"),
        }[by]

        found = find_sheet(
            address, tab=tab, credentials=key, environ={"LINKROW_SHEETS_API": sheets_api.url}
        )

        assert (found.spreadsheet_id, found.gid, found.tab) == (file.file_id, 7, "Two")
        assert found.title == "Autumn's links"

    def test_a_sheet_that_is_not_shared_says_with_whom_to_share_it(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        from connector.sheet_errors import SheetNotShared

        source = open_sheet(sheets_api.new("Secret", links(1), share={}))

        with pytest.raises(SheetNotShared, match=f"share it with {SERVICE_ACCOUNT} as editor"):
            source.check()


def test_many_rows_come_in_one_read(sheets_api: Emulator, open_sheet: Open) -> None:
    source = open_sheet(links(20_000, *ALL))
    source.check()
    before = source.calls["read"]

    batches = list(source.read())

    assert sum(map(len, batches)) == 20_000
    assert max(map(len, batches)) == 1000
    # the values, and once more for what is made by formulas
    assert source.calls["read"] - before == 2


def test_a_reader_and_a_writer_use_it_at_once(sheets_api: Emulator, open_sheet: Open) -> None:
    source = open_sheet(links(400, *ALL))
    seen: list[int] = []

    def read() -> None:
        while not seen or seen[-1] < 400:
            seen.append(sum(bool(row.final_url) for row in rows_of(source)))

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for start in range(1, 401, 20):
            changes = [change(number) for number in range(start, start + 20)]
            assert {word.writeback for word in source.write(changes)} == {"written"}
        for reader in readers:
            reader.result(100)

    # A flush is there as a whole, or not at all.
    assert all(count % 20 == 0 for count in seen)
    assert source.stats["repairs"] == 0
