"""gspread's own methods against the emulator: every one of them that sends a batchUpdate."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import gspread
import pytest
from google.auth.credentials import AnonymousCredentials
from gspread import utils
from gspread.exceptions import APIError

from tests.emulators.sheets.emulator import Emulator


def client_of(api: Emulator) -> gspread.Client:
    class Loopback(gspread.HTTPClient):
        def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> Any:
            self.session.trust_env = False
            path = urlsplit(endpoint).path
            return super().request(method, api.url + path, *args, **kwargs)

    return gspread.Client(AnonymousCredentials(), http_client=Loopback)


@pytest.fixture
def book(sheets_api: Emulator) -> Iterator[gspread.Spreadsheet]:
    client = client_of(sheets_api)
    yield client.create("Book")
    client.http_client.session.close()


@pytest.fixture
def tab(book: gspread.Spreadsheet) -> gspread.Worksheet:
    return book.sheet1


def shown(book: gspread.Spreadsheet, index: int = 0) -> dict[str, Any]:
    sheets: list[dict[str, Any]] = book.fetch_sheet_metadata()["sheets"]
    return sheets[index]


def test_tabs(book: gspread.Spreadsheet):
    first = book.add_worksheet("first", 2, 3)
    second = book.add_worksheet("second", 4, 5, index=0)
    assert [w.title for w in book.worksheets()] == ["second", "Sheet1", "first"]
    assert (first.row_count, second.col_count) == (2, 5)
    book.reorder_worksheets(reversed(book.worksheets()))
    assert [w.title for w in book.worksheets()] == ["first", "Sheet1", "second"]
    second.update_index(0)
    assert [w.title for w in book.worksheets()] == ["second", "first", "Sheet1"]
    book.del_worksheet(second)
    book.del_worksheet_by_id(first.id)
    assert [w.title for w in book.worksheets()] == ["Sheet1"]
    with pytest.raises(APIError, match="already exists"):
        book.add_worksheet("sheet1", 1, 1)
    with pytest.raises(APIError, match="remove all the sheets"):
        book.del_worksheet(book.sheet1)


def test_a_tab_is_duplicated_and_copied(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    tab.update([["a"]], "A1")
    twin = tab.duplicate(new_sheet_name="twin")
    assert twin.get_values() == [["a"]]
    third = book.duplicate_sheet(tab.id, insert_sheet_index=2, new_sheet_id=123)
    assert (third.id, third.title) == (123, "Copy of Sheet1")
    made = tab.copy_to(book.id)
    assert made["title"] == "Copy of Sheet1 2"
    assert [w.title for w in book.worksheets()] == [
        "twin",
        "Sheet1",
        "Copy of Sheet1",
        "Copy of Sheet1 2",
    ]


def test_a_tabs_looks(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    other = book.add_worksheet("other", 2, 2)
    assert tab.update_tab_color("#FF007F") == {"spreadsheetId": book.id, "replies": [{}]}
    colour = {"red": 1, "blue": 0.49803922}
    assert shown(book)["properties"]["tabColorStyle"] == {"rgbColor": colour}
    assert shown(book)["properties"]["tabColor"] == colour
    tab.clear_tab_color()
    params = {"fields": "sheets.properties.tabColorStyle"}
    assert book.fetch_sheet_metadata(params=params)["sheets"][0] == {"properties": {}}
    other.hide()
    assert shown(book, 1)["properties"]["hidden"] is True
    with pytest.raises(APIError, match="You can't hide all the sheets in a document"):
        tab.hide()
    other.show()
    assert "hidden" not in shown(book, 1)["properties"]
    tab.hide_gridlines()
    assert shown(book)["properties"]["gridProperties"]["hideGridlines"] is True
    tab.show_gridlines()
    assert "hideGridlines" not in shown(book)["properties"]["gridProperties"]
    tab.update_title("New")
    assert book.sheet1.title == "New"


def test_a_tabs_size(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    def grid() -> dict[str, int]:
        found: dict[str, int] = shown(book)["properties"]["gridProperties"]
        return found

    tab.add_rows(10)
    tab.add_cols(10)
    assert grid() == {"rowCount": 1010, "columnCount": 36}
    tab.resize(6, 3)
    assert grid() == {"rowCount": 6, "columnCount": 3}
    tab.freeze(2)
    tab.freeze(cols=1)
    assert grid() == {
        "rowCount": 6,
        "columnCount": 3,
        "frozenRowCount": 2,
        "frozenColumnCount": 1,
    }
    tab.freeze(0, 0)
    assert grid() == {"rowCount": 6, "columnCount": 3}


def test_rows_and_columns(tab: gspread.Worksheet):
    tab.update([["a", "1"], ["b", "2"], ["c", "3"]], "A1")
    tab.insert_row(["x", "0"], 2)
    tab.insert_cols([["p"], ["q"]], 2)
    assert tab.get_values("A1:D2") == [["a", "p", "q", "1"], ["x", "", "", "0"]]
    tab.delete_rows(1)
    tab.delete_columns(2, 3)
    assert tab.get_values() == [["x", "0"], ["b", "2"], ["c", "3"]]
    tab.delete_dimension(utils.Dimension.rows, 1, 2)
    assert tab.get_values() == [["c", "3"]]
    with pytest.raises(APIError, match="Cannot delete a row that doesn't exist"):
        tab.delete_rows(5000)
    with pytest.raises(APIError, match="delete all the rows"):
        tab.delete_rows(1, tab.row_count)


def test_a_sort_keeps_the_frozen_header(tab: gspread.Worksheet):
    tab.resize(4, 2)
    tab.update([["name", "n"], ["b", "2"], ["a", "10"], ["c", "1"]], "A1")
    tab.freeze(1)
    tab.sort((1, "asc"))
    assert tab.get_values() == [["name", "n"], ["a", "10"], ["b", "2"], ["c", "1"]]
    tab.sort((1, "des"), range="A2:B3")
    assert tab.get_values() == [["name", "n"], ["b", "2"], ["a", "10"], ["c", "1"]]


def test_hidden_and_grouped(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    for hide, unhide in (
        (tab.hide_columns, tab.unhide_columns),
        (tab.hide_rows, tab.unhide_rows),
    ):
        assert hide(0, 2) == unhide(0, 2) == {"spreadsheetId": book.id, "replies": [{}]}
    group = {"startIndex": 0, "endIndex": 2}
    tab.add_dimension_group_columns(0, 2)
    assert tab.list_dimension_group_columns() == [
        {"range": {"dimension": "COLUMNS", **group}, "depth": 1}
    ]
    tab.delete_dimension_group_columns(0, 2)
    assert tab.list_dimension_group_columns() == []
    tab.add_dimension_group_rows(0, 2)
    assert tab.list_dimension_group_rows() == [
        {"range": {"dimension": "ROWS", **group}, "depth": 1}
    ]
    tab.delete_dimension_group_rows(0, 2)
    assert tab.list_dimension_group_rows() == []


def test_columns_fit_their_text(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    tab.update_acell("A1", "A" * 1024)
    tab.columns_auto_resize(0, 1)
    tab.rows_auto_resize(0, 1)
    params = {"fields": "sheets.data.columnMetadata"}
    (data,) = book.fetch_sheet_metadata(params=params)["sheets"][0]["data"]
    assert [c["pixelSize"] for c in data["columnMetadata"]] == [8691, *[100] * 25]


def test_formats(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    shape = {"textFormat": {"bold": True}, "backgroundColor": {"green": 1}}
    tab.format(["A1:B1", "C3"], shape)
    tab.batch_format([{"range": "A2", "format": {"horizontalAlignment": "CENTER"}}])
    params = {"ranges": "Sheet1!A1:A2", "fields": "sheets.data.rowData.values.userEnteredFormat"}
    (data,) = book.fetch_sheet_metadata(params=params)["sheets"][0]["data"]
    (first,), (second,) = (row["values"] for row in data["rowData"])
    assert first["userEnteredFormat"] == {
        **shape,
        "backgroundColorStyle": {"rgbColor": {"green": 1}},
    }
    assert second["userEnteredFormat"] == {"horizontalAlignment": "CENTER"}


def test_merges(tab: gspread.Worksheet):
    tab.resize(4, 4)
    tab.update([["1", "", "2", "3"], ["", "", "", ""], ["", "4", "", ""], ["", "5", "", ""]], "A1")
    tab.merge_cells("A1:B2")
    tab.merge_cells("C1:D2", utils.MergeType.merge_columns)
    tab.merge_cells("B3:C4", utils.MergeType.merge_rows)
    assert tab.get_values("A1:D4", combine_merged_cells=True) == [
        ["1", "1", "2", "3"],
        ["1", "1", "2", "3"],
        ["", "4", "4", ""],
        ["", "5", "5", ""],
    ]
    tab.unmerge_cells("A1:D4")
    tab.batch_merge([{"range": "A1:B1"}, {"range": "C2:C3"}])
    assert tab.get_values("A1:D1", combine_merged_cells=True) == [["1", "1", "2", "3"]]


def test_notes(tab: gspread.Worksheet):
    assert tab.get_notes() == [[]]
    tab.insert_notes({"A1": "one", "B2": "two"})
    tab.update_note("A1", "uno")
    assert tab.get_notes() == [["uno"], ["", "two"]]
    assert tab.get_note("B2") == "two"
    tab.clear_note("A1")
    tab.clear_notes(["B2"])
    assert tab.get_notes() == [[]]


def test_named_and_protected_ranges(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    tab.define_named_range("A1:B2", "Mine")
    (named,) = book.list_named_ranges()
    where = {"startRowIndex": 0, "endRowIndex": 2, "startColumnIndex": 0, "endColumnIndex": 2}
    assert (named["name"], named["range"]) == ("Mine", where)
    tab.delete_named_range(named["namedRangeId"])
    assert book.list_named_ranges() == []
    tab.add_protected_range("A1:B2", [])
    tab.add_protected_range("C1", warning_only=True, description="look")
    first, second = book.list_protected_ranges(tab.id)
    assert first["range"] == where
    assert (second["warningOnly"], second["description"]) == (True, "look")
    for protected in (first, second):
        tab.delete_protected_range(protected["protectedRangeId"])
    assert book.list_protected_ranges(tab.id) == []


def test_filters(book: gspread.Spreadsheet, tab: gspread.Worksheet):
    tab.resize(20, 20)
    tab.set_basic_filter()
    assert shown(book)["basicFilter"]["range"]["endColumnIndex"] == 20
    tab.set_basic_filter("B1:C2")
    assert shown(book)["basicFilter"]["range"]["startColumnIndex"] == 1
    tab.clear_basic_filter()
    assert "basicFilter" not in shown(book)


def test_copy_cut_and_validation(tab: gspread.Worksheet):
    tab.update([["a"], ["b"]], "A1:A2")
    tab.copy_range("A1:A2", "B1:B2")
    tab.cut_range("A1:A2", "C1")
    assert tab.get_values() == [["", "a", "a"], ["", "b", "b"]]
    answer = tab.add_validation(
        "A1", utils.ValidationConditionType.one_of_list, ["y", "n"], strict=True
    )
    assert answer["replies"] == [{}]


def test_a_spreadsheets_own_properties(book: gspread.Spreadsheet):
    book.update_title("New")
    book.update_timezone("Europe/Paris")
    book.update_locale("fr_FR")
    properties = book.fetch_sheet_metadata()["properties"]
    assert properties["title"] == "New"
    assert (properties["timeZone"], properties["locale"]) == ("Europe/Paris", "fr_FR")
