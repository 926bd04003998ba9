"""gspread's own methods against the emulator: it must not be able to tell."""

from collections.abc import Iterator

import gspread
import pytest
from gspread.utils import (
    DateTimeOption,
    Dimension,
    ExportFormat,
    InsertDataOption,
    MergeType,
    PasteType,
    ValidationConditionType,
    ValueInputOption,
    ValueRenderOption,
)

from tests.emulators.driver import client_for
from tests.emulators.sheets.emulator import Emulator


@pytest.fixture
def gc(sheets_api: Emulator) -> Iterator[gspread.Client]:
    sheets_api.accounts.strict = True
    client = client_for(sheets_api)
    yield client
    client.http_client.session.close()


@pytest.fixture
def book(gc: gspread.Client) -> gspread.Spreadsheet:
    return gc.create("Links")


@pytest.fixture
def sheet(book: gspread.Spreadsheet) -> gspread.Worksheet:
    return book.sheet1


# Files


def test_a_spreadsheet_is_opened_by_key_url_and_title(
    gc: gspread.Client, book: gspread.Spreadsheet
):
    assert gc.open_by_key(book.id).title == "Links"
    assert gc.open_by_url(book.url).id == book.id
    assert gc.open("Links").id == book.id
    assert [b.id for b in gc.openall()] == [book.id]
    assert gc.list_spreadsheet_files("Links")[0]["name"] == "Links"


def test_what_is_not_there_or_not_shared_is_told_apart(sheets_api: Emulator, gc: gspread.Client):
    private = sheets_api.new("Private", share={})
    with pytest.raises(gspread.SpreadsheetNotFound):
        gc.open_by_key("1" + "x" * 43)
    with pytest.raises(PermissionError):
        gc.open_by_key(private.file_id)
    with pytest.raises(gspread.SpreadsheetNotFound):
        gc.open("Private")


def test_a_copy_has_the_cells_and_a_title_of_its_own(gc: gspread.Client, book: gspread.Spreadsheet):
    book.sheet1.update([["a", 1]], "A1")
    copied = gc.copy(book.id, title="Second", copy_comments=False)
    assert copied.id != book.id
    assert copied.sheet1.get_all_values() == [["a", "1"]]
    assert gc.copy(book.id, copy_comments=True).title == "Copy of Links"
    copied.sheet1.update([["changed"]], "A1")
    assert book.sheet1.acell("A1").value == "a"


def test_files_live_in_folders(gc: gspread.Client, book: gspread.Spreadsheet):
    inside = gc.create("Inside", folder_id="a-folder")
    assert [f["id"] for f in gc.list_spreadsheet_files(folder_id="a-folder")] == [inside.id]
    copied = gc.copy(book.id, title="Copied", folder_id="a-folder")
    listed = {f["id"] for f in gc.list_spreadsheet_files(folder_id="a-folder")}
    assert listed == {inside.id, copied.id}


def test_a_copy_may_take_its_permissions_along(gc: gspread.Client, book: gspread.Spreadsheet):
    book.share("ann@example.com", perm_type="user", role="writer", notify=False)
    copied = gc.copy(book.id, copy_permissions=True)
    shared = {p["emailAddress"]: p["role"] for p in copied.list_permissions()}
    assert shared == {
        "linkrow@linkrow-test.iam.gserviceaccount.com": "owner",
        "ann@example.com": "writer",
    }


def test_ownership_is_offered_and_not_simply_taken(book: gspread.Spreadsheet):
    book.share("ann@example.com", perm_type="user", role="writer", notify=False)
    ann = next(p for p in book.list_permissions() if p["emailAddress"] == "ann@example.com")
    assert book.transfer_ownership(ann["id"]).json()["role"] == "writer"
    ann = next(p for p in book.list_permissions() if p["emailAddress"] == "ann@example.com")
    assert ann["pendingOwner"] is True
    with pytest.raises(gspread.exceptions.APIError, match="transferOwnership"):
        book.share("bob@example.com", perm_type="user", role="owner", notify=False)


def test_a_deleted_file_is_gone(gc: gspread.Client, book: gspread.Spreadsheet):
    gc.del_spreadsheet(book.id)
    with pytest.raises(gspread.SpreadsheetNotFound):
        gc.open_by_key(book.id)


def test_a_csv_replaces_all_tabs(gc: gspread.Client, book: gspread.Spreadsheet):
    book.add_worksheet("Second", 5, 5)
    gc.import_csv(book.id, "id,n\n'00123,2.50\nb,\n")
    opened = gc.open_by_key(book.id)
    assert [w.title for w in opened.worksheets()] == ["Links"]
    assert opened.sheet1.get_all_values() == [["id", "n"], ["00123", "2.5"], ["b", ""]]


def test_the_first_tab_is_exported(gc: gspread.Client, book: gspread.Spreadsheet):
    book.sheet1.update([["a,b", 'c"d'], ["e"]], "A1")
    assert gc.export(book.id, ExportFormat.CSV) == b'"a,b","c""d"\r\ne,'
    assert gc.export(book.id, ExportFormat.TSV) == b'a,b\tc"d\r\ne\t'


def test_sharing_decides_who_reads_and_writes(sheets_api: Emulator, book: gspread.Spreadsheet):
    other = client_for(sheets_api, "other@linkrow-test.iam.gserviceaccount.com")
    with pytest.raises(PermissionError):
        other.open_by_key(book.id)
    book.share("other@linkrow-test.iam.gserviceaccount.com", perm_type="user", role="reader")
    theirs = other.open_by_key(book.id).sheet1
    with pytest.raises(gspread.exceptions.APIError, match="does not have permission") as refused:
        theirs.update([["x"]], "A1")
    assert refused.value.response.status_code == 403
    book.share("other@linkrow-test.iam.gserviceaccount.com", perm_type="user", role="writer")
    theirs.update([["x"]], "A1")
    assert book.sheet1.acell("A1").value == "x"
    assert book.remove_permissions("other@linkrow-test.iam.gserviceaccount.com", "writer")
    with pytest.raises(PermissionError):
        other.open_by_key(book.id)
    other.http_client.session.close()


def test_everybody_with_the_link_may_read(sheets_api: Emulator, book: gspread.Spreadsheet):
    book.share("", perm_type="anyone", role="reader", with_link=True)
    other = client_for(sheets_api, "other@linkrow-test.iam.gserviceaccount.com")
    assert other.open_by_key(book.id).title == "Links"
    other.http_client.session.close()


def test_title_zone_and_locale_are_changed(gc: gspread.Client, book: gspread.Spreadsheet):
    book.update_title("New")
    book.update_timezone("Europe/Paris")
    book.update_locale("fr_FR")
    read = gc.open_by_key(book.id)
    assert (read.title, read.timezone, read.locale) == ("New", "Europe/Paris", "fr_FR")
    assert read.get_lastUpdateTime()


# Tabs


def test_tabs_come_go_move_and_are_renamed(book: gspread.Spreadsheet):
    second = book.add_worksheet("Second", rows=5, cols=4)
    third = book.add_worksheet("Third", rows=5, cols=4, index=0)
    assert [w.title for w in book.worksheets()] == ["Third", "Sheet1", "Second"]
    second.update_title("2nd")
    book.reorder_worksheets([second, third, book.worksheet("Sheet1")])
    assert [w.title for w in book.worksheets()] == ["2nd", "Third", "Sheet1"]
    assert second.row_count == 5
    book.del_worksheet(third)
    book.del_worksheet_by_id(second.id)
    assert [w.title for w in book.worksheets()] == ["Sheet1"]
    with pytest.raises(gspread.WorksheetNotFound):
        book.worksheet("Third")


def test_a_tab_is_duplicated_and_copied_to_another_file(
    gc: gspread.Client, book: gspread.Spreadsheet, sheet: gspread.Worksheet
):
    sheet.update([["a"]], "A1")
    doubled = sheet.duplicate(new_sheet_name="Double")
    assert doubled.acell("A1").value == "a"
    other = gc.create("Other")
    sheet.copy_to(other.id)
    assert [w.title for w in other.worksheets()] == ["Sheet1", "Copy of Sheet1"]


def test_tabs_are_hidden_coloured_and_frozen(book: gspread.Spreadsheet, sheet: gspread.Worksheet):
    book.add_worksheet("Second", rows=5, cols=4)
    sheet.hide()
    assert [w.title for w in book.worksheets(exclude_hidden=True)] == ["Second"]
    sheet.show()
    sheet.freeze(rows=1, cols=2)
    sheet.update_tab_color("#ff0000")
    read = book.get_worksheet_by_id(sheet.id)
    assert (read.frozen_row_count, read.frozen_col_count) == (1, 2)
    assert read.tab_color == "#FF0000"
    sheet.clear_tab_color()
    assert book.get_worksheet_by_id(sheet.id).tab_color is None


# Cells


def test_records_are_read_by_their_headers(sheet: gspread.Worksheet):
    sheet.update([["id", "n"], ["a", 1], ["b", "2.5"]], "A1")
    assert sheet.get_all_records() == [{"id": "a", "n": 1}, {"id": "b", "n": 2.5}]
    assert sheet.row_values(2) == ["a", "1"]
    assert sheet.col_values(1) == ["id", "a", "b"]
    assert sheet.get("A1:B2", major_dimension=Dimension.cols) == [["id", "a"], ["n", "1"]]


def test_typed_values_are_parsed_and_raw_ones_kept(sheet: gspread.Worksheet):
    row = ["00123", "1,234.50", "12%", "2020-01-01", "TRUE", "=1+1", "'0042", "$5"]
    sheet.update([row], "A1", raw=True)
    sheet.update([row], "A2", value_input_option=ValueInputOption.user_entered)
    assert sheet.row_values(1) == row
    assert sheet.row_values(2) == [
        "123",
        "1,234.50",
        "12%",
        "2020-01-01",
        "TRUE",
        "2",
        "0042",
        "$5",
    ]
    unformatted = sheet.row_values(2, value_render_option=ValueRenderOption.unformatted)
    assert unformatted == [123, 1234.5, 0.12, 43831, True, 2, "0042", 5]
    formulas = sheet.get(
        "A2:F2",
        value_render_option=ValueRenderOption.formula,
        date_time_render_option=DateTimeOption.formatted_string,
    )
    assert formulas == [[123, 1234.5, 0.12, "2020-01-01", True, "=1+1"]]


def test_rows_are_appended_inserted_and_deleted(sheet: gspread.Worksheet):
    sheet.append_row(["a", 1])
    sheet.append_rows([["b", 2], ["c", 3]], insert_data_option=InsertDataOption.insert_rows)
    sheet.insert_row(["first"], 1)
    sheet.insert_rows([["x"], ["y"]], 2)
    assert sheet.col_values(1) == ["first", "x", "y", "a", "b", "c"]
    sheet.delete_rows(2, 3)
    assert sheet.col_values(1) == ["first", "a", "b", "c"]
    sheet.insert_cols([["p", "q"]], 2)
    assert sheet.get_all_values()[:2] == [["first", "p", ""], ["a", "q", "1"]]
    sheet.delete_columns(2)
    assert sheet.get_all_values()[1] == ["a", "1"]


def test_an_append_past_the_last_row_makes_the_tab_longer(book: gspread.Spreadsheet):
    small = book.add_worksheet("Small", rows=2, cols=2)
    small.append_rows([["1", "2", "3"]] * 3)
    read = book.worksheet("Small")
    assert (read.row_count, read.col_count) == (3, 3)


def test_many_ranges_are_written_and_read_at_once(sheet: gspread.Worksheet):
    sheet.batch_update(
        [{"range": "A1:B1", "values": [["a", "b"]]}, {"range": "A3", "values": [["c"]]}]
    )
    assert sheet.batch_get(["A1:B1", "A3", "C5"]) == [[["a", "b"]], [["c"]], []]
    sheet.batch_clear(["A1", "A3"])
    assert sheet.get_all_values() == [["", "b"]]
    sheet.clear()
    assert sheet.get_all_values() == [[]]


def test_cell_lists_are_written_back(sheet: gspread.Worksheet):
    cells = sheet.range("A1:B2")
    for i, cell in enumerate(cells):
        cell.value = i
    sheet.update_cells(cells)
    sheet.update_acell("C1", "42")
    sheet.update_cell(2, 3, "=C1*2")
    assert sheet.get_all_values() == [["0", "1", "42"], ["2", "3", "84"]]
    assert sheet.acell("C2", value_render_option=ValueRenderOption.formula).value == "=C1*2"


def test_cells_are_found(sheet: gspread.Worksheet):
    sheet.update([["needle", "hay"], ["hay", "needle"]], "B2")
    found = sheet.find("needle")
    assert found is not None
    assert found.address == "B2"
    assert [c.address for c in sheet.findall("needle")] == ["B2", "C3"]
    assert sheet.find("nothing") is None


def test_rows_are_sorted_by_several_columns(sheet: gspread.Worksheet):
    sheet.update([["b", 2], ["a", 2], ["c", 1]], "A1")
    sheet.sort((2, "asc"), (1, "des"), range="A1:B3")
    assert sheet.get("A1:B3") == [["c", "1"], ["b", "2"], ["a", "2"]]


def test_notes_come_and_go(sheet: gspread.Worksheet):
    sheet.insert_note("B2", "look here")
    sheet.insert_notes({"A1": "one", "A2": "two"})
    assert sheet.get_note("B2") == "look here"
    assert sheet.get_notes() == [["one"], ["two", "look here"]]
    sheet.clear_notes(["A1", "B2"])
    assert sheet.get_notes() == [[], ["two"]]


def test_formats_are_set_and_read(book: gspread.Spreadsheet, sheet: gspread.Worksheet):
    sheet.update([[1.5]], "A1")
    sheet.format("A1", {"numberFormat": {"type": "PERCENT", "pattern": "0%"}})
    sheet.batch_format([{"range": "B1:C1", "format": {"textFormat": {"bold": True}}}])
    assert sheet.acell("A1").value == "150%"
    read = book.fetch_sheet_metadata(
        {
            "ranges": "Sheet1!B1",
            "fields": "sheets.data.rowData.values.userEnteredFormat",
        }
    )
    values = read["sheets"][0]["data"][0]["rowData"][0]["values"]
    assert values == [{"userEnteredFormat": {"textFormat": {"bold": True}}}]


def test_merged_cells_show_one_value(sheet: gspread.Worksheet):
    sheet.update([["a", "b"], ["c", "d"]], "A1")
    sheet.merge_cells("A1:B2", MergeType.merge_all)
    assert sheet.get_all_values() == [["a"]]
    sheet.update([["top", "", ""], ["", "", "end"]], "A4")
    sheet.merge_cells("A4:B5", MergeType.merge_all)
    shown = sheet.get("A4:C5", combine_merged_cells=True, pad_values=True)
    assert shown == [["top", "top", ""], ["top", "top", "end"]]
    sheet.unmerge_cells("A4:B5")
    shown = sheet.get("A4:C5", combine_merged_cells=True, pad_values=True)
    assert shown == [["top", "", ""], ["", "", "end"]]


def test_ranges_are_named_protected_filtered_and_checked(
    book: gspread.Spreadsheet, sheet: gspread.Worksheet
):
    sheet.update([["h"], ["a"], ["b"]], "A1")
    named = sheet.define_named_range("A2:A3", "links")["replies"][0]["addNamedRange"]
    assert sheet.get("links") == [["a"], ["b"]]
    assert [n["name"] for n in book.list_named_ranges()] == ["links"]
    sheet.delete_named_range(named["namedRange"]["namedRangeId"])
    assert book.list_named_ranges() == []
    made = sheet.add_protected_range("A1:A1", description="header", warning_only=True)
    ours = book.list_protected_ranges(sheet.id)
    assert [p["description"] for p in ours] == ["header"]
    made_id = made["replies"][0]["addProtectedRange"]["protectedRange"]["protectedRangeId"]
    sheet.delete_protected_range(made_id)
    assert book.list_protected_ranges(sheet.id) == []
    sheet.set_basic_filter("A1:A3")
    sheet.clear_basic_filter()
    sheet.add_validation("B1", ValidationConditionType.one_of_list, ["y", "n"], strict=True)


def test_rows_and_columns_are_hidden_grouped_and_resized(
    book: gspread.Spreadsheet, sheet: gspread.Worksheet
):
    sheet.hide_rows(1, 3)
    sheet.unhide_rows(2, 3)
    sheet.hide_columns(0, 1)
    sheet.add_dimension_group_rows(0, 2)
    assert len(sheet.list_dimension_group_rows()) == 1
    sheet.delete_dimension_group_rows(0, 2)
    assert sheet.list_dimension_group_rows() == []
    sheet.columns_auto_resize(0, 1)
    sheet.resize(rows=10, cols=3)
    read = book.get_worksheet_by_id(sheet.id)
    assert (read.row_count, read.col_count) == (10, 3)
    sheet.add_rows(5)
    sheet.add_cols(2)
    read = book.get_worksheet_by_id(sheet.id)
    assert (read.row_count, read.col_count) == (15, 5)


def test_ranges_are_copied_and_cut(sheet: gspread.Worksheet):
    sheet.update([["a"], ["=A1"]], "A1", raw=False)
    sheet.copy_range("A1:A2", "B1:B2", PasteType.normal)
    assert sheet.acell("B2", value_render_option=ValueRenderOption.formula).value == "=B1"
    sheet.cut_range("A1:A1", "D1")
    assert sheet.get_all_values() == [["", "a", "", "a"], ["a", "a", "", ""]]


def test_a_tab_can_be_expanded_from_its_first_cell(sheet: gspread.Worksheet):
    sheet.update([["a", "b", ""], ["c", "d"], [""], ["far"]], "A1")
    assert sheet.expand("A1") == [["a", "b"], ["c", "d"]]


# Refusals


@pytest.mark.parametrize(
    ("tried", "sentence"),
    [
        ("Sheet1!AP1", "Range (Sheet1!AP1) exceeds grid limits. Max rows: 1000, max columns: 26"),
        ("NoSuchTab!A1", "Unable to parse range: NoSuchTab!A1"),
        (
            "Sheet1!A1:B1",
            "Requested writing within range [Sheet1!A1:B1], but tried writing to column [C]",
        ),
    ],
)
def test_a_write_that_does_not_fit_is_refused(book: gspread.Spreadsheet, tried: str, sentence: str):
    with pytest.raises(gspread.exceptions.APIError) as refused:
        book.values_update(
            tried, params={"valueInputOption": "RAW"}, body={"values": [["a", "b", "c"]]}
        )
    assert refused.value.response.json() == {
        "error": {"code": 400, "message": sentence, "status": "INVALID_ARGUMENT"}
    }
