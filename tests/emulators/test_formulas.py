"""Formulas of the emulator: what a sheet would show."""

from typing import Any

import pytest
import requests

from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.rendering import Rendering
from tests.emulators.sheets.seeding import dump, seed

TABLE = [["id", "n", "when"], ["a", 2, "2020-01-01"], ["b", 3, ""], ["C", "4", ""], ["'00123", 5]]


def shown(formula: str, how: str = "UNFORMATTED_VALUE", beside: list[Any] | None = None) -> Any:
    """What a cell under the table shows (row 7, column A)."""
    document = Spreadsheet("x", "t")
    rows = [*TABLE, [], [formula, *(beside or [])]]
    tabs = [
        {"title": "Data", "rows": rows, "input": "USER_ENTERED"},
        {"title": "Other tab", "rows": [["b", 10], ["c", 20]]},
    ]
    seed(document, tabs)
    kept = dump(document, Rendering(how))["tabs"][0]["rows"]
    return kept[6][0] if len(kept) > 6 else ""


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("=1+2*3^2", 19),
        ("=-2^2", 4),
        ("=(1+2)*3", 9),
        ("=10%", 0.1),
        ("=1/4", 0.25),
        ("= 1 / 1024", 0.0009765625),
        ('="a"&1&TRUE', "a1TRUE"),
        ("=2>1", True),
        ('="a"="A"', True),
        ('="b"<>"a"', True),
        ("=B2+B3", 5),
        ("=SUM(B2:B5)", 14),
        ("=SUM(B:B)", 14),
        ("=SUM(B2:B3,10)", 15),
        ("=AVERAGE(B2:B4)", 3),
        ("=COUNTA(A2:A5)", 4),
        ('=COUNTIF(A2:A5,"a")', 1),
        ("='Other tab'!B2", 20),
        ('=VLOOKUP("B",A2:B5,2,FALSE)', 3),
        ("=VLOOKUP(\"b\",'Other tab'!A:B,2,FALSE)", 10),
        ('=XLOOKUP("c",A2:A5,B2:B5)', 4),
        ('=XLOOKUP("zz",A2:A5,B2:B5,"none")', "none"),
        ("=INDEX(A2:B5,2,2)", 3),
        ('=INDEX(B2:B5,MATCH("00123",A2:A5,0))', 5),
        ('=IFERROR(VLOOKUP("zz",A2:B5,2,FALSE),"-")', "-"),
        ('=IF(B2>1,"yes","no")', "yes"),
        ('=IF(B2>5,"yes")', False),
        ("=ROW()", 7),
        ("=ROW(A3)", 3),
        ("=COLUMN(C1)", 3),
        ("=LEN(A1)", 2),
        ('=LEFT("abc",2)&RIGHT("abc",1)', "abc"),
        ('=CONCATENATE(A2,"-",B2)', "a-2"),
        ('=TEXTJOIN(",",TRUE,A2:A4)', "a,b,C"),
        ('=HYPERLINK("https://a.example/x","label")', "label"),
        ('=HYPERLINK("https://a.example/x")', "https://a.example/x"),
        ("=C2+1", 43832),
        ('=TEXT(C2,"yyyy/mm/dd")', "2020/01/01"),
        ("=ROUND(2.345,2)", 2.35),
        ('=SUBSTITUTE("a.b",".","_")', "a_b"),
        ("=D9", 0),
    ],
)
def test_a_formula_is_worth(formula: str, value: Any):
    assert shown(formula) == value


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("=1/0", "#DIV/0!"),
        ("=NOSUCH(1)", "#NAME?"),
        ("=nosuchname", "#NAME?"),
        ("=Nowhere!A1", "#REF!"),
        ("=A7", "#REF!"),
        ('="x"+1', "#VALUE!"),
        ('=VLOOKUP("zz",A2:B5,2,FALSE)', "#N/A"),
        ("=SUM(", "#ERROR!"),
        ("=SUM(1/0)", "#DIV/0!"),
        ('=VLOOKUP("a",A2:B5,3,FALSE)', "#REF!"),
    ],
)
def test_a_formula_that_fails_shows_its_error(formula: str, value: str):
    assert shown(formula, "FORMATTED_VALUE") == value


def test_an_array_formula_fills_the_cells_below(sheets_api: Emulator):
    rows = [["n", '=ARRAYFORMULA(A1:A3&"!")'], ["x"], ["y"]]
    file = sheets_api.new(tabs=[{"title": "T", "rows": rows, "input": "USER_ENTERED"}])
    assert sheets_api.rows(file) == [["n", "n!"], ["x", "x!"], ["y", "y!"]]
    sheets_api.edit(file, {"do": "type", "cell": "A2", "value": "z"})
    assert sheets_api.rows(file)[1] == ["z", "z!"]


def test_an_array_that_meets_a_value_is_a_reference_error(sheets_api: Emulator):
    rows = [["=ARRAYFORMULA(C1:C3)", "", 1], ["", "", 2], ["in the way", "", 3]]
    file = sheets_api.new(tabs=[{"title": "T", "rows": rows, "input": "USER_ENTERED"}])
    assert sheets_api.rows(file) == [["#REF!", "", "1"], ["", "", "2"], ["in the way", "", "3"]]
    sheets_api.edit(file, {"do": "type", "cell": "A3", "value": ""})
    assert sheets_api.rows(file) == [["1", "", "1"], ["2", "", "2"], ["3", "", "3"]]


def test_the_link_of_a_hyperlink_formula_is_shown_beside_its_label(sheets_api: Emulator):
    rows = [['=HYPERLINK("https://a.example/"&B1,"label")', "path"]]
    file = sheets_api.new(tabs=[{"title": "T", "rows": rows, "input": "USER_ENTERED"}])
    answer = requests.get(
        f"{sheets_api.url}/v4/spreadsheets/{file.file_id}",
        params={"fields": "sheets.data.rowData.values(hyperlink,formattedValue,userEnteredValue)"},
        timeout=60,
    ).json()
    cell = answer["sheets"][0]["data"][0]["rowData"][0]["values"][0]
    assert cell == {
        "userEnteredValue": {"formulaValue": rows[0][0]},
        "formattedValue": "label",
        "hyperlink": "https://a.example/path",
    }


def test_ten_thousand_lookups_in_ten_thousand_rows_are_worked_out(sheets_api: Emulator):
    rows: list[list[Any]] = [
        [f"k{i}", i, f'=VLOOKUP("k{9999 - i}",A:B,2,FALSE)'] for i in range(10_000)
    ]
    file = sheets_api.new(tabs=[{"title": "T", "rows": rows, "input": "USER_ENTERED"}])
    assert [row[2] for row in sheets_api.rows(file)[:3]] == ["9999", "9998", "9997"]
