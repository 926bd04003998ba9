"""spreadsheets.get and create: masks, ranges, cells."""

from typing import Any

import pytest
import requests

from tests.emulators.sheets.emulator import Emulator

TABS = [
    {
        "title": "One",
        "rows": [["a", "1"], [], ["=B1*2", "http://a.example/x"]],
        "input": "USER_ENTERED",
    },
    {"title": "Two", "rows": [["x"]], "sheet_id": 7},
]


def get(api: Emulator, file_id: str, **query: Any) -> Any:
    return requests.get(f"{api.url}/v4/spreadsheets/{file_id}", params=query, timeout=60).json()


@pytest.mark.parametrize(
    ("mask", "answer"),
    [
        ("sheets.properties.title", [{"properties": {"title": t}} for t in ("One", "Two")]),
        ("sheets/properties/title", [{"properties": {"title": t}} for t in ("One", "Two")]),
        ("sheets(properties(title,sheetId))", [
            {"properties": {"sheetId": 0, "title": "One"}},
            {"properties": {"sheetId": 7, "title": "Two"}},
        ]),
        ("sheets.properties(title),sheets.properties.index", [
            {"properties": {"title": "One", "index": 0}},
            {"properties": {"title": "Two", "index": 1}},
        ]),
        ("sheets.merges", [{}, {}]),
        ("sheets.data.rowData.values.formattedValue", [
            {"data": [{"rowData": [
                {"values": [{"formattedValue": "a"}, {"formattedValue": "1"}]},
                {},
                {"values": [{"formattedValue": "2"}, {"formattedValue": "http://a.example/x"}]},
            ]}]},
            {"data": [{"rowData": [{"values": [{"formattedValue": "x"}]}]}]},
        ]),
    ],
)  # fmt: skip
def test_a_mask_shows_what_it_names(sheets_api: Emulator, mask: str, answer: Any):
    file = sheets_api.new(tabs=TABS)
    assert get(sheets_api, file.file_id, fields=mask) == {"sheets": answer}


def test_a_mask_of_everything_shows_the_cells_too(sheets_api: Emulator):
    file = sheets_api.new(tabs=TABS)
    whole = get(sheets_api, file.file_id, fields="*")
    assert whole["spreadsheetId"] == file.file_id
    assert whole["sheets"][1]["data"][0]["rowData"][0]["values"][0]["formattedValue"] == "x"
    assert "data" not in get(sheets_api, file.file_id)["sheets"][0]


def test_ranges_choose_tabs_and_cells(sheets_api: Emulator):
    file = sheets_api.new(tabs=TABS)
    answer = get(
        sheets_api,
        file.file_id,
        ranges=["One!B3:C3", "One!A1"],
        fields="sheets(properties.title,data(startRow,startColumn,rowData.values.hyperlink))",
    )
    assert answer == {
        "sheets": [
            {
                "properties": {"title": "One"},
                "data": [
                    {
                        "startRow": 2,
                        "startColumn": 1,
                        "rowData": [{"values": [{"hyperlink": "http://a.example/x"}]}],
                    },
                    {"rowData": [{"values": [{}]}]},
                ],
            }
        ]
    }


def test_a_cell_is_shown_as_entered_effective_and_formatted(sheets_api: Emulator):
    rows = [["12%", "=1/0", "TRUE", "text"]]
    file = sheets_api.new(tabs=[{"title": "T", "rows": rows, "input": "USER_ENTERED"}])
    answer = get(sheets_api, file.file_id, includeGridData="true")
    data = answer["sheets"][0]["data"][0]
    percent, failed, true, text = data["rowData"][0]["values"]
    assert percent["userEnteredValue"] == percent["effectiveValue"] == {"numberValue": 0.12}
    assert percent["formattedValue"] == "12%"
    assert percent["userEnteredFormat"] == {"numberFormat": {"type": "PERCENT", "pattern": "0%"}}
    assert percent["effectiveFormat"]["numberFormat"] == {"type": "PERCENT", "pattern": "0%"}
    assert percent["effectiveFormat"]["horizontalAlignment"] == "RIGHT"
    assert failed["userEnteredValue"] == {"formulaValue": "=1/0"}
    assert failed["effectiveValue"] == {
        "errorValue": {
            "type": "DIVIDE_BY_ZERO",
            "message": "Function DIVIDE parameter 2 cannot be zero.",
        }
    }
    assert failed["formattedValue"] == "#DIV/0!"
    assert true["effectiveValue"] == {"boolValue": True}
    assert text["userEnteredValue"] == {"stringValue": "text"}
    assert len(data["rowMetadata"]) == 1000
    assert data["columnMetadata"][0] == {"pixelSize": 100}


@pytest.mark.parametrize("mask", ["sheets.colour", "colour", "sheets.data.rowData.values.colour"])
def test_a_mask_that_names_nothing_is_refused(sheets_api: Emulator, mask: str):
    error = get(sheets_api, sheets_api.new().file_id, fields=mask)["error"]
    assert (error["code"], error["message"]) == (400, "Request contains an invalid argument.")
    assert error["details"][0]["fieldViolations"] == [
        {
            "field": mask,
            "description": "Error expanding 'fields' parameter. Cannot find matching fields for"
            f" path '{mask}'.",
        }
    ]


def test_a_spreadsheet_is_made_with_tabs_and_cells(sheets_api: Emulator):
    body = {
        "properties": {"title": "Made", "locale": "de_DE"},
        "sheets": [
            {"properties": {"title": "A", "gridProperties": {"rowCount": 5, "columnCount": 2}}},
            {
                "properties": {"title": "B", "sheetId": 9, "gridProperties": {"frozenRowCount": 1}},
                "data": [
                    {"rowData": [{"values": [{"userEnteredValue": {"stringValue": "cell"}}]}]}
                ],
            },
        ],
    }
    url = f"{sheets_api.url}/v4/spreadsheets"
    made = requests.post(url, json=body, timeout=60).json()
    assert made["properties"]["title"] == "Made"
    assert [s["properties"]["sheetId"] for s in made["sheets"]][1] == 9
    read = get(sheets_api, made["spreadsheetId"])
    assert read["sheets"][0]["properties"]["gridProperties"] == {"rowCount": 5, "columnCount": 2}
    assert read["sheets"][1]["properties"]["gridProperties"]["frozenRowCount"] == 1
    assert sheets_api.rows(made["spreadsheetId"], "B") == [["cell"]]
    plain = requests.post(url, timeout=60).json()
    assert plain["properties"]["title"] == "Untitled spreadsheet"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"title": "x"}, 'Unknown name "title": Cannot find field.'),
        (
            {"sheets": [{"properties": {"name": "x"}}]},
            "Unknown name \"name\" at 'sheets[0].properties': Cannot find field.",
        ),
        (
            {"sheets": [{"properties": {"title": "A"}}, {"properties": {"title": "A"}}]},
            'A sheet with the name "A" already exists. Please enter another name.',
        ),
    ],
)
def test_a_spreadsheet_that_is_wrong_is_not_made(sheets_api: Emulator, body: Any, message: str):
    answer = requests.post(f"{sheets_api.url}/v4/spreadsheets", json=body, timeout=60)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert sheets_api.store.files == {}
