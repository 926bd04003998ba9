"""What can go wrong with a sheet: each is a sentence and a code, and nothing is lost or spoiled."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector import sheet_giving
from connector.errors import ConnectorError
from connector.locks import try_lock
from connector.registered import Mode
from connector.sheet_errors import SheetError
from connector.sheet_google import GoogleCalls
from connector.sheets import SheetSource
from connector.source import Change, Row
from tests.emulators.sheets.emulator import SERVICE_ACCOUNT, Emulator

NOW = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
LINK = "https://trk.example/{}"
ALL = (
    "check_status", "final_url", "conclusion", "error", "skip_reason", "last_checked",
    "ready_for_ads", "check_ref",
)  # fmt: skip
Open = Callable[..., SheetSource]


def links(count: int = 4) -> list[list[str]]:
    top = ["row_id", "tracking_url", *ALL, "margin"]
    rows = [
        [f"r_{number}", LINK.format(number), *[""] * 8, f"m{number}"]
        for number in range(1, count + 1)
    ]
    return [top, *rows]


def change(number: int, **cells: str) -> Change:
    return Change(
        row_id=f"r_{number}",
        tracking_url=LINK.format(number),
        cells={"conclusion": "valid", "final_url": f"https://shop.example/{number}"} | cells,
        checked_at=NOW,
    )


def rows_of(source: SheetSource) -> list[Row]:
    return [row for batch in source.read() for row in batch]


def finals(source: SheetSource) -> dict[str, str]:
    return {row.row_id: row.final_url for row in rows_of(source)}


def protect(columns: tuple[int, int] | None, rows: tuple[int, int] | None) -> dict[str, Any]:
    range_: dict[str, int] = {}
    if columns:
        range_ |= {"startColumnIndex": columns[0], "endColumnIndex": columns[1]}
    if rows:
        range_ |= {"startRowIndex": rows[0], "endRowIndex": rows[1]}
    body = {"range": range_, "editors": {"users": ["owner@example.com"]}}
    return {"do": "batch", "requests": [{"addProtectedRange": {"protectedRange": body}}]}


def merge(first: int, end: int) -> dict[str, Any]:
    range_ = {
        "startRowIndex": 0, "endRowIndex": 1, "startColumnIndex": first, "endColumnIndex": end,
    }  # fmt: skip
    return {
        "do": "batch",
        "requests": [{"mergeCells": {"range": range_, "mergeType": "MERGE_ALL"}}],
    }


BROKEN = [
    pytest.param({"do": "type", "cell": "B1", "value": "Link"}, "missing_column", id="renamed"),
    pytest.param(
        {"do": "type", "cell": "K1", "value": "Final_URL"}, "duplicate_column", id="twice"
    ),
    pytest.param({"do": "delete_tab"}, "tab_not_found", id="tab deleted"),
    pytest.param({"do": "delete_rows", "start": 0, "end": 9}, "no_header_row", id="emptied"),
]


@pytest.mark.parametrize(("edit", "code"), BROKEN)
def test_a_tab_that_cannot_be_understood_any_more_takes_nothing(
    sheets_api: Emulator, open_sheet: Open, edit: dict[str, Any], code: str
) -> None:
    file = sheets_api.new(
        "Links", tabs=[{"title": "Links", "rows": links()}, {"title": "Other", "rows": [["x"]]}]
    )
    source = open_sheet(file)
    source.write([change(1)])
    sheets_api.edit(file, edit)
    before = [sheets_api.rows(file, sheet.title) for sheet in file.document.sheets]

    with pytest.raises(ConnectorError) as caught:
        source.write([change(2)])

    assert caught.value.code == code
    assert caught.value.mend_seconds >= 600
    assert len(str(caught.value)) > 20
    assert [sheets_api.rows(file, sheet.title) for sheet in file.document.sheets] == before


@pytest.mark.parametrize("first", [1, 10])
def test_a_merged_header_is_called_by_its_name(
    sheets_api: Emulator, open_sheet: Open, first: int
) -> None:
    source = open_sheet([["Offer", *row] for row in links()])
    # Over row_id and tracking_url, or over a heading of ours and a stranger.
    sheets_api.edit(source.spreadsheet_id, merge(first, first + 2))

    for work in (source.check, source.survey, source.assign_ids):
        with pytest.raises(SheetError, match="is merged with its neighbours") as caught:
            work()
        assert caught.value.code == "header_merged"


class TestRows:
    @pytest.mark.parametrize(
        ("edit", "word", "when"),
        [
            ({"do": "type", "cell": "A3", "value": "r_other"}, "missing", "before"),
            ({"do": "type", "cell": "A3", "value": "r_other"}, "missing", "between"),
            ({"do": "delete_rows", "start": 2, "end": 3}, "missing", "before"),
            ({"do": "delete_rows", "start": 2, "end": 3}, "missing", "between"),
            ({"do": "type", "cell": "B3", "value": "https://new.example/"}, "conflict", "before"),
            ({"do": "type", "cell": "B3", "value": "https://new.example/"}, "conflict", "between"),
            # A twin that comes between is told of at the next look.
            ({"do": "insert_rows", "at": 4, "rows": [["r_2", "x"]]}, "duplicate", "before"),
        ],
    )
    def test_a_row_that_is_not_what_it_was_takes_no_result(
        self, sheets_api: Emulator, open_sheet: Open, edit: dict[str, Any], word: str, when: str
    ) -> None:
        source = open_sheet(links())
        if when == "before":
            sheets_api.edit(source.spreadsheet_id, edit)
        else:
            sheets_api.faults.add("edit_before", "values.batchUpdate", edits=[edit])

        first, second, third = source.write([change(1), change(2), change(3)])

        assert (first.writeback, third.writeback) == ("written", "written")
        assert second.writeback == word
        assert second.detail
        found = finals(source)
        assert found.pop("r_1") == "https://shop.example/1"
        assert found.pop("r_3") == "https://shop.example/3"
        assert not any(found.values())

    def test_a_row_that_was_cleared_by_mistake_gets_back_what_it_held(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links())
        source.write([change(number, error=f"old {number}") for number in (1, 2, 3, 4)])
        edits = (
            # The result lands in a new row, which is to be cleared then ...
            {"do": "insert_rows", "at": 3},
            # ... but another one comes to its place, and nobody hears how that went.
            {"do": "move_rows", "start": 2, "end": 3, "to": 4},
        )
        for skip, edit in enumerate(edits):
            sheets_api.faults.add("edit_before", "values.batchUpdate", skip=skip, edits=[edit])
        sheets_api.faults.add("timeout_after", "values.batchUpdate", skip=1)

        (word,) = source.write([change(3, conclusion="http_4xx")])

        assert word.writeback == "written"
        shown = [row for row in sheets_api.rows(source.spreadsheet_id)[1:] if row]
        assert [(row[0], row[4], row[5], row[9]) for row in shown] == [
            ("r_1", "valid", "old 1", "r_1"),
            ("r_2", "valid", "old 2", "r_2"),
            ("r_3", "http_4xx", "old 3", "r_3"),
            ("r_4", "valid", "old 4", "r_4"),
        ]

    def test_an_id_that_was_written_over_is_put_back_before_anything_else(
        self, sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = open_sheet([*links(3), ["", LINK.format(4)]])
        source.write([change(number) for number in (1, 2, 3)])
        insert = {"do": "insert_rows", "at": 1}
        sheets_api.faults.add("edit_before", "values.batchUpdate", times=2, edits=[insert])
        monkeypatch.setattr(sheet_giving, "MOST_GOES", 2)
        with pytest.raises(SheetError, match="being moved all the time"):
            source.assign_ids()
        before = [row[0] for row in sheets_api.rows(source.spreadsheet_id) if any(row)]
        assert before[1:] != ["r_1", "r_2", "r_3"]

        rows = rows_of(source)

        assert [row.row_id for row in rows[:3]] == ["r_1", "r_2", "r_3"]
        assert [row.final_url for row in rows[:3]] == [
            f"https://shop.example/{number}" for number in (1, 2, 3)
        ]
        assert rows[3].row_id.startswith("r_")

    def test_protected_rows_are_told_of_and_the_others_are_written(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links())
        sheets_api.edit(source.spreadsheet_id, protect(None, (2, 3)))

        words = source.write([change(number) for number in (1, 2, 3)])

        assert [word.writeback for word in words] == ["written", "failed", "written"]
        assert "protected" in words[1].detail
        assert SERVICE_ACCOUNT in words[1].detail
        assert finals(source) == {
            "r_1": "https://shop.example/1", "r_2": "", "r_3": "https://shop.example/3", "r_4": "",
        }  # fmt: skip
        assert any("1 rows are protected" in each for each in source.survey().obstacles)

    def test_a_refusal_nobody_can_explain_costs_only_the_rows_it_is_about(
        self, sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from connector.sheet_errors import SheetRefused

        source = open_sheet(links(9))
        send = GoogleCalls.write_values

        def picky(calls: GoogleCalls, body: dict[str, Any]) -> Any:
            if "shop.example/7" in str(body):
                raise SheetRefused(400, "Sie versuchen, eine Zelle zu bearbeiten")
            return send(calls, body)

        monkeypatch.setattr(GoogleCalls, "write_values", picky)

        words = source.write([change(number) for number in range(1, 10)])

        assert [word.row_id for word in words if word.writeback == "failed"] == ["r_7"]
        assert "Zelle" in words[6].detail
        assert sum(map(bool, finals(source).values())) == 8

    def test_a_protected_result_column_is_one_clear_error(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links())
        sheets_api.edit(source.spreadsheet_id, protect((3, 4), None))

        for work in (source.check, source.assign_ids, partial(source.write, [change(1)])):
            with pytest.raises(SheetError, match="'final_url' is protected") as caught:
                work()
            assert caught.value.code == "column_protected"
            assert SERVICE_ACCOUNT in str(caught.value)

        assert any("column D (final_url)" in each for each in source.survey().obstacles)

    @pytest.mark.parametrize(
        "protection",
        [
            pytest.param(protect((1, 2), None), id="the links"),
            pytest.param(protect(None, (0, 1)), id="the header"),
        ],
    )
    def test_cells_of_others_that_are_protected_are_not_in_the_way(
        self, sheets_api: Emulator, open_sheet: Open, protection: dict[str, Any]
    ) -> None:
        rows = [*links(), ["", LINK.format(5)]]
        source = open_sheet(rows)
        sheets_api.edit(source.spreadsheet_id, protection)

        assert source.assign_ids() == 1
        words = source.write([change(1), change(3)])
        sheets_api.faults.add(
            "edit_before",
            "values.batchUpdate",
            edits=[{"do": "sort", "column": 1, "descending": True}],
        )
        words += source.write([change(2), change(4)])

        assert {word.writeback for word in words} == {"written"}
        found = finals(source)
        assert {found[f"r_{number}"] for number in (1, 2, 3, 4)} == {
            f"https://shop.example/{number}" for number in (1, 2, 3, 4)
        }
        assert source.audit().is_clean

    def test_rows_that_moved_to_and_fro_around_a_write_past_protected_cells(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links())
        sheets_api.edit(source.spreadsheet_id, protect((1, 2), None))
        source.write([change(1)])
        for kind, descending in (("edit_before", True), ("edit_after", False)):
            sort = {"do": "sort", "column": 0, "descending": descending}
            sheets_api.faults.add(kind, "values.batchUpdate", edits=[sort])

        (word,) = source.write([change(2)])

        assert word.writeback == "written"
        shown = sheets_api.rows(source.spreadsheet_id)[1:]
        assert [row[3] for row in shown] == [
            "https://shop.example/1", "https://shop.example/2", "", "",
        ]  # fmt: skip

    def test_protected_rows_get_no_id_and_the_others_do(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet([*links(2), ["", LINK.format(3)], ["", LINK.format(4)]])
        sheets_api.edit(source.spreadsheet_id, protect(None, (3, 4)))

        source.assign_ids()

        assert [bool(row.row_id) for row in rows_of(source)] == [True, True, False, True]

    def test_a_protected_column_of_ids_is_one_clear_error(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet([*links(2), ["", LINK.format(3)]])
        sheets_api.edit(source.spreadsheet_id, protect((0, 1), None))

        with pytest.raises(SheetError, match="'row_id' is protected"):
            source.assign_ids()


class TestGoogle:
    @pytest.mark.parametrize(
        "kind", ["429", "500", "502", "503", "timeout_before", "timeout_after"]
    )
    def test_what_passes_by_itself_is_waited_for(
        self, sheets_api: Emulator, open_sheet: Open, kind: str
    ) -> None:
        source = open_sheet(links())
        for call in ("values.batchUpdate", "values.batchGetByDataFilter"):
            sheets_api.faults.add(kind, call, times=2)

        (word,) = source.write([change(2)])

        assert word.writeback == "written"
        assert finals(source)["r_2"] == "https://shop.example/2"

    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("429", "sheet_quota"),
            ("502", "sheet_unreachable"),
            ("timeout_before", "sheet_unreachable"),
        ],
    )
    def test_what_does_not_pass_is_an_error_that_asks_for_patience(
        self, sheets_api: Emulator, open_sheet: Open, kind: str, code: str
    ) -> None:
        slept: list[float] = []
        source = open_sheet(links(), sleep=slept.append)
        fault = sheets_api.faults.add(kind, "values.batchUpdate", times=None)

        with pytest.raises(SheetError) as caught:
            source.write([change(2)])

        assert (caught.value.code, caught.value.permanent) == (code, False)
        assert fault.hits == 8
        assert len(slept) == 7
        sheets_api.faults.clear()
        assert source.write([change(2)])[0].writeback == "written"

    def test_a_write_whose_answer_was_lost_is_found_again_and_not_repeated(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links())
        sheets_api.faults.add("timeout_after", "values.batchUpdate")

        (word,) = source.write([change(2)])

        assert word.writeback == "written"
        assert source.calls["write"] == 1

    @pytest.mark.parametrize("hidden", [slice(0, 1), slice(None)], ids=["the header", "all"])
    def test_rows_that_an_answer_does_not_show_are_looked_at(
        self,
        sheets_api: Emulator,
        open_sheet: Open,
        monkeypatch: pytest.MonkeyPatch,
        hidden: slice,
    ) -> None:
        source = open_sheet(links())
        send = GoogleCalls.write_values

        def silent(calls: GoogleCalls, body: dict[str, Any]) -> Any:
            answer = send(calls, body)
            for response in answer["responses"][hidden]:
                response.pop("updatedData", None)
            return answer

        monkeypatch.setattr(GoogleCalls, "write_values", silent)
        assert source.write([change(1)])[0].writeback == "written"
        assert dict(source.calls) == {"read": 2, "write": 1}
        sort = {"do": "sort", "column": 0, "descending": True}
        sheets_api.faults.add("edit_before", "values.batchUpdate", edits=[sort])

        (word,) = source.write([change(2)])

        assert word.writeback == "written"
        assert [row[3] for row in sheets_api.rows(source.spreadsheet_id)[1:]] == [
            "", "", "https://shop.example/2", "https://shop.example/1",
        ]  # fmt: skip

    def test_the_quota_of_google_is_kept_while_it_is_our_own(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        from connector.sheet_quota import Quota

        sheets_api.quota.on = True
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds
            sheets_api.clock.advance(seconds)

        source = open_sheet(links(), quota=Quota(clock=lambda: now[0], sleep=sleep), sleep=sleep)

        for number in range(70):
            source.write([change(1, error=f"turn {number}")])

        answers = [entry.status for entry in sheets_api.log.entries()]
        assert set(answers) == {200}
        assert now[0] >= 60.0

    def test_an_expired_token_is_renewed_and_a_revoked_login_said(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        sheets_api.accounts.strict = True
        source = open_sheet(links())
        assert source.write([change(1)])[0].writeback == "written"
        sheets_api.accounts.expire(SERVICE_ACCOUNT)
        assert source.write([change(2)])[0].writeback == "written"
        sheets_api.accounts.revoke(SERVICE_ACCOUNT)

        with pytest.raises(SheetError, match=SERVICE_ACCOUNT) as caught:
            source.write([change(3)])

        assert caught.value.code == "sheet_login_revoked"
        assert caught.value.mend_seconds >= 600

    @pytest.mark.parametrize(
        ("role", "code", "says"),
        [
            ("", "sheet_not_shared", f"share it with {SERVICE_ACCOUNT} as editor"),
            ("reader", "sheet_read_only", f"make {SERVICE_ACCOUNT} an editor"),
        ],
    )
    def test_a_sheet_that_is_shared_no_more_says_with_whom_to_share_it(
        self, sheets_api: Emulator, open_sheet: Open, role: str, code: str, says: str
    ) -> None:
        file = sheets_api.new("Links", links())
        source = open_sheet(file)
        source.write([change(1)])
        file.share(SERVICE_ACCOUNT, role)

        with pytest.raises(SheetError, match=says) as caught:
            source.write([change(2)])

        assert caught.value.code == code
        file.share(SERVICE_ACCOUNT, "writer")
        assert source.write([change(2)])[0].writeback == "written"

    def test_a_sheet_that_is_not_there_says_so(
        self, open_sheet: Open, sheets_api: Emulator
    ) -> None:
        file = sheets_api.new("Links", links())
        source = open_sheet(file)
        sheets_api.store.files.pop(file.file_id)

        with pytest.raises(SheetError) as caught:
            source.check()

        assert caught.value.code == "sheet_not_found"


class TestAudit:
    def astray(self, monkeypatch: pytest.MonkeyPatch, api: Emulator, source: SheetSource) -> None:
        """A process that dies between a write and the look at its answer."""
        send = GoogleCalls.write_values

        class Died(BaseException):
            pass

        def dying(calls: GoogleCalls, body: dict[str, Any]) -> Any:
            api.edit(source.spreadsheet_id, {"do": "sort", "column": 0, "descending": True})
            send(calls, body)
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(GoogleCalls, "write_values", dying)
            with pytest.raises(Died):
                source.write([change(1), change(2)])

    @pytest.mark.parametrize("how", ["audit", "read", "revise"])
    def test_what_a_dead_process_left_is_seen_by_the_next_one_and_put_right(
        self, sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        file = sheets_api.new("Links", links(5))
        self.astray(monkeypatch, sheets_api, open_sheet(file))
        assert sheets_api.rows(file)[1][:5] == [
            "r_5",
            LINK.format(5),
            "",
            "https://shop.example/1",
            "valid",
        ]
        source = open_sheet(file)
        assert source.survey().misplaced == 2
        assert sheets_api.rows(file)[1][3]

        if how == "audit":
            audit = source.audit()
            assert (audit.cleared, audit.moved, audit.is_clean) == (2, 2, False)
            assert audit.cleared_ids == ("r_5", "r_4")
            assert "2 rows" in audit.sentence
        elif how == "read":
            rows_of(source)
        else:
            source.assign_ids()

        # What the others held is not known any more; the results themselves come home.
        assert {row_id: url for row_id, url in finals(source).items() if url} == {
            "r_1": "https://shop.example/1",
            "r_2": "https://shop.example/2",
        }
        assert source.audit().is_clean
        assert [row[10] for row in sheets_api.rows(file)[1:]] == ["m5", "m4", "m3", "m2", "m1"]

    def test_results_that_were_sorted_without_their_rows_are_brought_back(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links())
        source.write([change(number) for number in (1, 2, 3)])
        # Somebody sorts the first two columns alone.
        range_ = {"startRowIndex": 1, "startColumnIndex": 0, "endColumnIndex": 2}
        by = [{"dimensionIndex": 0, "sortOrder": "DESCENDING"}]
        sort = {"sortRange": {"range": range_, "sortSpecs": by}}
        sheets_api.edit(source.spreadsheet_id, {"do": "batch", "requests": [sort]})

        audit = source.audit()

        assert audit.moved == 3
        assert finals(source) == {
            "r_4": "", "r_3": "https://shop.example/3", "r_2": "https://shop.example/2",
            "r_1": "https://shop.example/1",
        }  # fmt: skip

    def test_an_operators_pause_outlives_the_audit(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links())
        source.write([change(2)])
        for cell, value in (("A3", "r_new"), ("C3", "paused")):
            sheets_api.edit(source.spreadsheet_id, {"do": "type", "cell": cell, "value": value})

        assert source.audit().cleared == 1

        assert rows_of(source)[1].check_status == "paused"
        assert rows_of(source)[1].final_url == ""


class TestOneWriter:
    def test_another_process_that_writes_is_waited_for_and_then_named(
        self, sheets_api: Emulator, open_sheet: Open, tmp_path: Path
    ) -> None:
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += 10

        source = open_sheet(links(), clock=lambda: now[0], sleep=sleep)

        with try_lock(tmp_path / "sheets" / f"{source.spreadsheet_id}.0.lock") as is_ours:
            assert is_ours
            with pytest.raises(SheetError, match="another Linkrow process") as caught:
                source.write([change(1)])

        assert (caught.value.code, caught.value.permanent) == ("sheet_locked", False)
        assert source.write([change(1)])[0].writeback == "written"


class TestResultsTab:
    def test_formulas_show_the_last_result_of_each_row_wherever_it_went(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        links = [[f"o{number}", LINK.format(number)] for number in (1, 2, 3)]
        source = open_sheet([["Offer", "tracking_url"], *links], mode=Mode.RESULTS_TAB)
        source.assign_ids()
        for word in ("old", "new"):
            source.write(
                [
                    Change(
                        row_id=row.row_id,
                        tracking_url=row.tracking_url,
                        cells={"error": f"{word} {row.tracking_url}"},
                    )
                    for row in rows_of(source)
                ]
            )
        sheets_api.edit(source.spreadsheet_id, {"do": "sort", "column": 0, "descending": True})

        top, *shown = sheets_api.rows(source.spreadsheet_id)

        assert top[:3] == ["Offer", "tracking_url", "row_id"]
        assert "check_ref" not in top
        assert [(row[0], row[top.index("error")]) for row in shown] == [
            (f"o{number}", f"new {LINK.format(number)}") for number in (3, 2, 1)
        ]

    def test_what_a_change_does_not_name_is_kept(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        source = open_sheet(links(), mode=Mode.RESULTS_TAB)
        source.write([change(1)])

        source.write([Change(row_id="r_1", tracking_url=LINK.format(1), cells={"error": "later"})])

        assert rows_of(source)[0].final_url == "https://shop.example/1"

    def test_results_that_stood_in_place_move_over(
        self, sheets_api: Emulator, open_sheet: Open
    ) -> None:
        file = sheets_api.new("Links", links())
        open_sheet(file).write([change(1, check_status="valid"), change(2)])
        sheets_api.edit(file, {"do": "type", "cell": "C5", "value": "paused"})
        source = open_sheet(file, mode=Mode.RESULTS_TAB)

        source.write([change(3)])

        assert finals(source) == {
            **{f"r_{n}": f"https://shop.example/{n}" for n in (1, 2, 3)}, "r_4": ""
        }  # fmt: skip
        shown = sheets_api.rows(file)
        assert [row[3] for row in shown[1:4]] == [f"https://shop.example/{n}" for n in (1, 2, 3)]
        assert [row[2] for row in shown] == ["check_status", "", "", "", "paused"]
        assert [row[10] for row in shown] == ["margin", "m1", "m2", "m3", "m4"]
        assert [row.check_status for row in rows_of(source)] == ["valid", "", "", "paused"]

    def test_outdated_entries_are_removed_by_one_call_and_the_last_ones_stay(
        self, sheets_api: Emulator, open_sheet: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from connector import sheet_results

        monkeypatch.setattr(sheet_results, "TOO_MANY", 0)
        minute = iter(range(60))
        source = open_sheet(
            links(), mode=Mode.RESULTS_TAB, wall=lambda: NOW.replace(minute=next(minute))
        )
        for turn in range(4):
            source.write([change(1, error=f"turn {turn}"), change(2, error=f"turn {turn}")])
        tab = sheets_api.file(source.spreadsheet_id).document.sheets[1].title
        assert len(sheets_api.rows(source.spreadsheet_id, tab)) == 9

        source.audit()

        kept = sheets_api.rows(source.spreadsheet_id, tab)
        assert sorted((row[0], row[6]) for row in kept[1:]) == [
            ("r_1", "turn 3"),
            ("r_2", "turn 3"),
        ]
        assert finals(source)["r_1"] == "https://shop.example/1"

    @pytest.mark.parametrize(
        "edit",
        [
            pytest.param({"do": "rename_tab", "title": "Answers"}, id="renamed"),
            pytest.param({"do": "delete_tab"}, id="deleted"),
            pytest.param({"do": "sort", "column": 4, "descending": True}, id="sorted"),
        ],
    )
    @pytest.mark.parametrize("is_later", [True, False])
    def test_results_find_their_tab_whatever_became_of_it(
        self, sheets_api: Emulator, open_sheet: Open, edit: dict[str, Any], is_later: bool
    ) -> None:
        file = sheets_api.new("Links", links())
        source = open_sheet(file, mode=Mode.RESULTS_TAB)
        source.write([change(1)])
        sheets_api.edit(file, {**edit, "tab": file.document.sheets[1].title})
        if is_later:
            source = open_sheet(file, mode=Mode.RESULTS_TAB)

        source.write([change(1), change(2)])

        assert [finals(source)[f"r_{number}"] for number in (1, 2)] == [
            f"https://shop.example/{number}" for number in (1, 2)
        ]
        top, *shown = sheets_api.rows(file)
        assert sorted(top) == sorted(links()[0])
        assert [row[top.index("final_url")] for row in shown[:2]] == [
            f"https://shop.example/{number}" for number in (1, 2)
        ]

    def test_looking_makes_no_tab(self, sheets_api: Emulator, open_sheet: Open) -> None:
        source = open_sheet(links(), mode=Mode.RESULTS_TAB)

        source.check()
        source.survey()
        rows_of(source)
        source.audit()

        assert len(sheets_api.file(source.spreadsheet_id).document.sheets) == 1
        assert "write" not in source.calls
