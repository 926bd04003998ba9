"""What is decided about sheets without any call: names, quota, patience, refusals, credentials."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connector import sheet_errors
from connector.sheet_a1 import block, last_column, letters, runs
from connector.sheet_address import SheetAddress, TabName, parse_address, parse_tab
from connector.sheet_errors import (
    BadSheetAddress,
    SheetBusy,
    SheetLogin,
)
from connector.sheet_links import Found, behind, blocks, most_ranges, shows_a_label
from connector.sheet_patience import SheetPatience
from connector.sheet_plan import flushes
from connector.sheet_quota import PER_PROJECT, PER_USER, Quota, Window, new_project
from connector.sheet_refusals import refusal_of
from connector.sheet_rows import fault_of
from connector.sheets import log_in
from connector.source import Change

KEY = "1AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_abcd"
NOW = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
REPORTED = Path(__file__).parents[1] / "cases" / "sheets_api_errors_reported.jsonl"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://docs.google.com/spreadsheets/d/{KEY}/edit#gid=7", SheetAddress(key=KEY, gid=7)),
        (
            f"https://docs.google.com/spreadsheets/d/{KEY}/edit?gid=7#gid=8",
            SheetAddress(key=KEY, gid=8),
        ),
        (f"https://docs.google.com/spreadsheets/d/{KEY}", SheetAddress(key=KEY)),
        (f"https://docs.google.com/spreadsheets/u/1/d/{KEY}/view", SheetAddress(key=KEY)),
        (f"https://docs.google.com/a/shop.example/spreadsheets/d/{KEY}/", SheetAddress(key=KEY)),
        (f"https://drive.google.com/file/d/{KEY}/view", SheetAddress(key=KEY)),
        (f"https://drive.google.com/open?id={KEY}", SheetAddress(key=KEY)),
        (f"https://spreadsheets.google.com/ccc?key={KEY}", SheetAddress(key=KEY)),
        (f"  {KEY} ", SheetAddress(key=KEY)),
        ("Autumn links 2026", SheetAddress(title="Autumn links 2026")),
        ("a", SheetAddress(title="a")),
        (
            "alongtitlewithoutanyblank",
            SheetAddress(title="alongtitlewithoutanyblank"),
        ),
    ],
)
def test_a_sheet_is_named_in_any_of_googles_forms(text: str, expected: SheetAddress) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "blank"),
        ("https://example.com/spreadsheets/d/x/edit", "docs.google.com"),
        ("https://docs.google.com/spreadsheets/d/e/2PACX-1abc/pubhtml", "published"),
        ("https://docs.google.com/spreadsheets/u/0/", "KEY"),
        ("https://[", "names no sheet"),
    ],
)
def test_an_address_that_names_no_sheet_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(BadSheetAddress, match=why):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("7", TabName(gid=7, title="7")),
        ("#gid=7", TabName(gid=7, title="#gid=7")),
        ("Links 2026", TabName(title="Links 2026")),
    ],
)
def test_a_tab_is_named_by_number_or_title(text: str, expected: TabName | None) -> None:
    assert parse_tab(text) == expected


@pytest.mark.parametrize(
    ("column", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")]
)
def test_columns_are_lettered(column: int, name: str) -> None:
    assert letters(column) == name
    assert last_column(f"'It''s!'!A1:{name}1000") == column


def test_a_title_is_quoted_always() -> None:
    assert block("It's D3", 0, 1, 9, 2) == "'It''s D3'!B1:C10"


def test_runs_are_unbroken_rows() -> None:
    assert runs([1, 2, 3, 7, 8, 10]) == [(1, 3), (7, 8), (10, 10)]
    assert runs([1, 2, 3], longest=2) == [(1, 2), (3, 3)]


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_a_window_never_lets_more_through_in_any_minute() -> None:
    window, taken = Window(3), []
    now = 0.0
    for _ in range(20):
        now += window.wait(now)
        window.take(now)
        taken.append(now)
        now += 7.0

    assert all(later - sooner >= 60.0 for sooner, later in zip(taken, taken[3:], strict=False))


def test_reads_and_writes_are_counted_apart_and_drive_not_at_all() -> None:
    time = Time()
    quota = Quota(clock=lambda: time.now, sleep=time.sleep)
    for _ in range(PER_USER):
        quota.take("read")
        quota.take("write")
        quota.take("drive")
    assert time.now == 0.0

    quota.take("read")

    assert time.now == 60.0


def test_users_of_one_project_share_its_quota() -> None:
    time, project = Time(), new_project()
    users = [Quota(clock=lambda: time.now, sleep=time.sleep, project=project) for _ in range(6)]
    for number in range(PER_PROJECT):
        users[number % 6].take("read")
    assert time.now == 0.0

    users[0].take("read")

    assert time.now == 60.0


@pytest.mark.parametrize(
    ("failures", "status", "retry_after", "second", "expected"),
    [
        pytest.param(1, 503, None, 0.0, 1.5, id="the first pause"),
        pytest.param(4, 502, None, 0.0, 8.5, id="doubled each time"),
        pytest.param(9, 500, None, 0.0, 64.0, id="up to the longest"),
        pytest.param(7, 429, None, 50.0, 10.5, id="a used-up quota: to the next minute"),
        pytest.param(1, 429, 30.0, 50.0, 30.0, id="as long as Google asks"),
        pytest.param(6, 503, 5.0, 0.0, 32.5, id="a short wish does not hasten us"),
        pytest.param(1, 503, 9999.0, 0.0, 600.0, id="no wish makes us wait for ever"),
    ],
)
def test_pauses(
    failures: int, status: int, retry_after: float | None, second: float, expected: float
) -> None:
    pause = SheetPatience().pause(
        failures, status=status, retry_after=retry_after, chance=0.5, second=second
    )

    assert pause == expected


@pytest.mark.parametrize(
    ("failures", "elapsed", "is_over"), [(7, 0.0, False), (8, 0.0, True), (2, 595.0, True)]
)
def test_patience_ends_by_tries_and_by_time(failures: int, elapsed: float, is_over: bool) -> None:
    assert SheetPatience().is_over(failures, elapsed=elapsed, pause=10.0) is is_over


def refused(status: int, body: str, retry_after: str | None = None) -> sheet_errors.SheetError:
    return refusal_of(
        status, body, retry_after=retry_after, now=NOW, what="the sheet", address="bot@x.example"
    )


def google(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, **more}})


@pytest.mark.parametrize(
    ("status", "body", "code", "permanent", "says"),
    [
        (403, google("No permission"), "sheet_not_shared", True, "bot@x.example as"),
        (404, google("Not found."), "sheet_not_found", True, "bot@x.example as"),
        (401, google("Invalid credentials."), "sheet_login_revoked", True, "new key"),
        (500, google("Internal error encountered."), "sheet_unreachable", False, "500"),
        (
            502,
            "<html><title>Error 502 (Server Error)!!1</title>",
            "sheet_unreachable",
            False,
            "Server Error",
        ),
        (408, "", "sheet_unreachable", False, "408"),
        (
            403,
            google("Google Sheets API has not been used in project 1 before or it is disabled."),
            "sheet_api_disabled",
            True,
            "enable it",
        ),
        (
            403,
            google("x", errors=[{"reason": "userRateLimitExceeded"}]),
            "sheet_quota",
            False,
            "quota",
        ),
        (400, google("Unable to parse range: X"), "sheet_refused", True, "Unable to parse"),
        (400, "[1]", "sheet_refused", True, "400"),
    ],
)
def test_a_refusal_is_a_sentence_and_a_code(
    status: int, body: str, code: str, permanent: bool, says: str
) -> None:
    error = refused(status, body)

    assert (error.code, error.permanent) == (code, permanent)
    assert says in str(error)


def test_googles_own_quota_answers_are_understood() -> None:
    cases = [json.loads(line) for line in REPORTED.read_text("utf-8").splitlines()]
    bodies = [
        case["response_body"]
        for case in cases
        if case.get("status") == 429 and "response_body" in case
    ]
    assert bodies

    for body in bodies:
        error = refused(429, json.dumps(body), "17")
        assert isinstance(error, SheetBusy)
        assert error.code == "sheet_quota"
        assert (error.status, error.retry_after) == (429, 17.0)


@pytest.mark.parametrize(
    ("lengths", "portions"),
    [
        ([], []),
        ([10] * 5, [5]),
        ([10] * 4001, [2000, 2000, 1]),
        ([40_000] * 80, [37, 37, 6]),
        ([90_000] * 40, [30, 10]),
    ],
)
def test_no_call_carries_more_than_google_takes(lengths: list[int], portions: list[int]) -> None:
    changes = [
        Change(row_id=f"r_{number}", tracking_url="x", cells={"error": "e" * length})
        for number, length in enumerate(lengths)
    ]

    cut = list(flushes(changes))

    assert [len(some) for some in cut] == portions
    assert [change for some in cut for change in some] == changes


@pytest.mark.parametrize(
    ("row_id", "is_refused"),
    [
        ("1.23E+12", True),
        ("1,23E+12", True),
        ("5E-07", True),
        ("r_1.23E+12", False),
        ("00123", False),
        ("1234567890123", False),
        ("E1", False),
        ("", False),
    ],
)
def test_a_shortened_number_is_no_id(row_id: str, is_refused: bool) -> None:
    assert bool(fault_of(row_id)) is is_refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Buy now", True),
        ("", False),
        ("https://x/", False),
        ("mailto:a@b", False),
        ("x.example/a", True),
    ],
)
def test_what_is_no_url_may_have_one_behind_it(text: str, expected: bool) -> None:
    assert shows_a_label(text) is expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({}, Found(link="Buy")),
        ({"hyperlink": "https://a/"}, Found(link="https://a/")),
        (
            {"textFormatRuns": [{"format": {}}, {"format": {"link": {"uri": "https://b/"}}}]},
            Found(link="https://b/"),
        ),
        (
            {"chipRuns": [{"chip": {"richLinkProperties": {"uri": "https://c/"}}}, {}]},
            Found(link="https://c/"),
        ),
    ],
)
def test_the_link_behind_a_label(cell: dict[str, Any], expected: Found) -> None:
    assert behind(cell, "Buy") == expected


def test_of_several_links_in_one_cell_none_is_chosen() -> None:
    runs_ = [{"format": {"link": {"uri": f"https://{n}/"}}} for n in "ab"]

    found = behind({"textFormatRuns": runs_}, "Buy or rent")

    assert found.link == "Buy or rent"
    assert "2 links" in found.fault


@pytest.mark.parametrize("title", ["T", "Ünïcödé «Herbst» 2026 " * 5])
def test_the_ranges_of_one_call_fit_into_an_address(title: str) -> None:
    most = most_ranges(title, 2)
    ranges = [block(title, 99_999, 18_000, 99_999, 18_000)] * (2 * most)

    assert len("&ranges=".join(map(quote, ranges))) < 8_000


def test_few_ranges_cover_all_rows_however_they_are_strewn() -> None:
    rows = [number * 3 for number in range(500)] + [90_000]

    (call,) = blocks(rows, 60)

    assert len(call) == 60
    assert all(any(top <= row <= bottom for top, bottom in call) for row in rows)
    # The wide gap is not fetched in vain.
    assert sum(bottom - top + 1 for top, bottom in call) < 2000
    assert [len(call) for call in blocks(list(range(45_000)), 60)] == [1, 1, 1]


class TestCredentials:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (None, "No such file"),
            ("no json", "no JSON"),
            ("[]", "neither"),
            ('{"type": "service_account"}', "damaged"),
            ('{"type": "service_account", "private_key": "hush", "client_email": "x"}', "damaged"),
            ('{"installed": {}}', "names an app"),
            ('{"type": "external"}', "neither"),
        ],
    )
    def test_a_file_that_is_no_login_is_refused_and_never_quoted(
        self, tmp_path: Path, text: str | None, says: str
    ) -> None:
        file = tmp_path / "key.json"
        if text is not None:
            file.write_text(text, "utf-8")

        with pytest.raises(SheetLogin, match=says) as caught:
            log_in(file, {})

        assert str(file) in str(caught.value)
        assert "hush" not in str(caught.value)

    def test_a_stand_in_is_on_this_machine_or_refused(self) -> None:
        with pytest.raises(SheetLogin, match="this machine"):
            log_in(None, {"LINKROW_SHEETS_API": "http://evil.example"})

    def test_an_authorized_user_is_told_by_the_files_content(self, tmp_path: Path) -> None:
        file = tmp_path / "any-name.json"
        user = {
            "refresh_token": "rt-hush",
            "client_id": "c",
            "client_secret": "s-hush",
            "account": "a@x",
        }
        file.write_text(json.dumps({"type": "authorized_user", **user}), "utf-8")

        login = log_in(None, {"GOOGLE_APPLICATION_CREDENTIALS": str(file)})

        assert login.address == "a@x"
        assert "hush" not in repr(login)

    def test_gspreads_own_file_is_found(self, tmp_path: Path) -> None:
        folder = tmp_path / ".config" / "gspread"
        folder.mkdir(parents=True)
        user = {"refresh_token": "r", "client_id": "c", "client_secret": "s"}
        (folder / "authorized_user.json").write_text(json.dumps(user), "utf-8")

        login = log_in(None, {"HOME": str(tmp_path), "APPDATA": str(tmp_path / ".config")})

        assert login.project == "c"


def test_every_error_of_sheets_is_as_drawn_and_has_a_code_of_its_own() -> None:
    import inspect

    from connector import errors

    made = [
        each
        for module in (errors, sheet_errors)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, errors.ConnectorError) and each.__module__ == module.__name__
    ]
    codes = [each.code for each in made]
    assert len(set(codes)) == len(codes)
    doc = (Path(__file__).parents[2] / "docs" / "google-sheets.md").read_text("utf-8")
    bases = {"sheet_error", "sheet_busy"}
    told = [each.code for each in made if each.__module__ == sheet_errors.__name__]
    assert [code for code in told if f"`{code}`" not in doc and code not in bases] == []
    drawn, above = {}, [""]
    for line in (sheet_errors.__doc__ or "").splitlines():
        if line.strip().isidentifier():
            depth = (len(line) - len(line.lstrip())) // 4
            del above[depth + 1 :]
            drawn[line.strip()] = above[depth]
            above.append(line.strip())
    found = {
        each.__name__: each.__bases__[0].__name__
        for each in made
        if each.__module__ == sheet_errors.__name__
    }
    assert drawn == found | {"SheetError": ""}
