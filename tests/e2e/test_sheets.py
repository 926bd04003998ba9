"""A Google Sheet from end to end: run, registered and served, against a Sheets API on loopback."""

import json
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.store import File

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]
LOOPBACK = ("--allow-private", "127.0.0.0/8")


class Sheet:
    """One tab of links, as a person sees it."""

    def __init__(self, api: Emulator, file: File, gid: int, tab: str) -> None:
        self.api, self.file, self.gid, self.tab = api, file, gid, tab

    @property
    def url(self) -> str:
        return self.api.sheet_url(self.file, self.gid)

    @property
    def rows(self) -> list[dict[str, str]]:
        headings, *rows = self.api.rows(self.file, self.tab)
        return [
            dict(zip(headings, [*row, *[""] * len(headings)], strict=False)) for row in rows if row
        ]

    def column(self, name: str) -> list[str]:
        return [row.get(name, "") for row in self.rows]


@pytest.fixture
def sheet(sheets_api: Emulator) -> Callable[..., Sheet]:
    def make(links: list[str], *, title: str = "Offers", heading: str = "tracking_url") -> Sheet:
        rows = [["note", heading], *[[f"n{number}", link] for number, link in enumerate(links)]]
        tabs = [
            {"title": "About", "rows": [["nothing here"]], "sheet_id": 0},
            {"title": "Links", "rows": rows, "sheet_id": 77},
        ]
        return Sheet(sheets_api, sheets_api.new(title, tabs=tabs), 77, "Links")

    return make


@pytest.fixture
def google(sheets_api: Emulator, tmp_path: Path) -> dict[str, str]:
    """What a process needs to meet the Sheets API of this test."""
    return {
        "LINKROW_SHEETS_API": sheets_api.url,
        "GOOGLE_APPLICATION_CREDENTIALS": str(sheets_api.credentials(tmp_path)),
    }


@pytest.fixture
def relay(linkrow, eventually, home: Path) -> Iterator[str]:
    """This user's relay, up."""
    up = linkrow.start("relay", "up", "--bind", "127.0.0.1:0")
    noted = home / "relay" / "relay.json"
    eventually(noted.exists, what="the relay is up")
    yield str(json.loads(noted.read_text())["url"])
    up.send_signal(signal.SIGTERM)
    up.wait(60)


def assert_right(sheet: Sheet, site: Any, *, heading: str = "tracking_url") -> None:
    """Every row has what its own link led to, and nothing else of it changed."""
    for number, row in enumerate(sheet.rows):
        path = row[heading].removeprefix(site.url)
        assert row["note"] == f"n{number}"
        assert (row["conclusion"], row["check_status"]) == ("valid", "valid")
        assert row["final_url"] == f"{site.url}/{site.landing}{path}"
        assert row["row_id"].startswith("r_")
        assert row["last_checked"].endswith("Z")


def assert_shown(sheet: Sheet, site: Any) -> None:
    """Every row shows what its own link led to."""
    for row in sheet.rows:
        path = row["tracking_url"].removeprefix(site.url)
        assert (row["conclusion"], row["final_url"]) == ("valid", f"{site.url}/page{path}")


def protections(sheet: Sheet) -> list[dict[str, Any]]:
    """The protected ranges of the tab."""
    return list(sheet.file.document.sheet(sheet.gid).parts.get("protectedRanges", []))


def test_a_sheet_is_run_by_its_address_and_every_row_comes_back(linkrow, site, sheet, google):
    links = sheet([f"{site.url}/fast/{number}" for number in range(25)])

    done = linkrow("run", links.url, "--json", *LOOPBACK, **google)

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["by_conclusion"] == {"valid": 25}
    assert said["by_writeback"]["written"] == 25
    assert (said["sheet"], said["file"], said["name"]) == (links.url, None, "Offers / Links")
    assert_right(links, site)


def test_a_sheet_is_run_by_its_title_and_tab_with_its_own_headings(linkrow, site, sheet, google):
    links = sheet([f"{site.url}/fast/{number}" for number in range(3)], heading="Link")

    done = linkrow(
        *("run", "Offers", "--tab", "Links", "--column", "tracking_url=Link"), *LOOPBACK, **google
    )

    assert done.returncode == 0, done.stderr
    assert "results are in Offers / Links" in done.stdout
    assert_right(links, site, heading="Link")


def test_a_second_run_of_a_sheet_leaves_fresh_rows_alone_and_its_id_is_the_same(
    linkrow, site, sheet, google
):
    links = sheet([f"{site.url}/fast/{number}" for number in range(3)])
    first = json.loads(linkrow("run", links.url, "--json", *LOOPBACK, **google).stdout)

    again = linkrow("run", links.url, "--only-stale", "1h", "--json", *LOOPBACK, **google)

    said = json.loads(again.stdout)
    assert said["by_conclusion"] == {"fresh_enough": 3}
    assert said["source_id"] == first["source_id"]
    assert site.visits("/fast/") == 3


def test_a_run_of_a_sheet_that_was_killed_is_finished_by_the_next_one(
    linkrow, site, sheet, google, home, kill, running, eventually
):
    links = sheet([f"{site.url}/{'slow' if n % 2 else 'fast'}/{n}" for n in range(10)])
    linkrow.start("run", links.url, "--quiet", *LOOPBACK, **google)
    site.wait_for("/slow/", 5)

    kill([*running(home, "connector.cli"), *running(home, "agent.cli")])
    site.gate.set()
    done = linkrow("run", links.url, "--only-stale", "1h", "--json", *LOOPBACK, **google)

    assert done.returncode == 0, done.stderr
    assert_right(links, site)
    again = linkrow("run", links.url, "--only-stale", "1h", "--json", *LOOPBACK, **google)
    assert json.loads(again.stdout)["by_conclusion"] == {"fresh_enough": 10}


def test_a_run_may_put_its_results_into_a_tab_of_their_own(linkrow, site, sheet, google):
    links = sheet([f"{site.url}/fast/{number}" for number in range(5)])

    done = linkrow("run", links.url, "--results-tab", *LOOPBACK, **google)

    assert done.returncode == 0, done.stderr
    assert_shown(links, site)
    headings, *results = links.api.rows(links.file, "Links - Linkrow results")
    at = headings.index("final_url")
    assert {row[at] for row in results if row[0].startswith("r_")} == {
        f"{site.url}/page/fast/{number}" for number in range(5)
    }


def test_result_columns_that_a_source_asked_to_protect_warn_whoever_edits_them(
    linkrow, site, sheet, google, relay
):
    links = sheet([f"{site.url}/fast/1"])
    assert linkrow("source", "add", links.url, "--protect", "--quiet", **google).returncode == 0
    before = protections(links)
    linkrow.start("agent", "run", "--quiet", *LOOPBACK, **google)

    assert linkrow("refresh", "Offers / Links", "--wait").returncode == 0

    assert_right(links, site)
    assert before == []
    made = protections(links)
    assert made
    assert all(each["warningOnly"] for each in made)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("not shared", "sheet_not_shared", "linkrow@linkrow-test.iam.gserviceaccount.com"),
        ("no such tab", "tab_not_found", "'Links'"),
        ("no column", "missing_column", "--column tracking_url=HEADING"),
    ],
)
def test_a_sheet_that_cannot_be_used_is_said_in_one_line(
    linkrow, site, sheet, google, sheets_api, change, code, words
):
    links = sheet(
        [f"{site.url}/fast/1"], heading="Link" if change == "no column" else "tracking_url"
    )
    url = links.url
    if change == "not shared":
        url = sheets_api.sheet_url(sheets_api.new("Secret", [["tracking_url"]], share={}))
    if change == "no such tab":
        url = sheets_api.sheet_url(links.file, 5)

    for command in (("run", url), ("source", "add", url), ("source", "check", url)):
        done = linkrow(*command, **google)
        assert done.returncode == 2, done.stdout
        assert done.stderr.startswith("linkrow: ")
        assert done.stderr.endswith(f"[{code}]\n")
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_registered_sheet_and_a_file_are_served_by_one_agent_and_told_apart(
    linkrow, site, sheet, table, google, relay, eventually
):
    links = sheet([f"{site.url}/fast/s{number}" for number in range(10)])
    table.fill([f"{site.url}/fast/f{number}" for number in range(10)])
    added = linkrow("source", "add", links.url, "--json", **google)
    assert added.returncode == 0, added.stderr
    assert links.column("row_id") == [""] * 10
    agent = linkrow.start("agent", "run", "--quiet", "--relay", relay, *LOOPBACK, **google)
    assert linkrow("source", "add", table.path, "--name", "a file").returncode == 0

    for name in ("Offers / Links", "a file"):
        done = linkrow("refresh", name, "--wait", "--relay", relay, **google)
        assert done.returncode == 0, done.stderr

    assert_right(links, site)
    assert table.column("conclusion") == ["valid"] * 10
    listed = json.loads(linkrow("source", "list", "--json").stdout)["items"]
    assert [(each["name"], each["in_use"]) for each in listed] == [
        ("Offers / Links", True),
        ("a file", True),
    ]
    refused = linkrow("run", links.url, **google)
    assert refused.returncode == 2
    assert "[already_running]" in refused.stderr
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(90) == 0


def test_a_check_of_a_sheet_says_what_a_run_finds_and_costs_and_writes_nothing(
    linkrow, site, sheet, google, sheets_api
):
    links = sheet([f"{site.url}/fast/1", f"{site.url}/fast/2", "", "no link"])
    sheets_api.edit(
        links.file,
        {
            "do": "batch",
            "requests": [
                {
                    "addProtectedRange": {
                        "protectedRange": {"range": {"sheetId": 77, "startRowIndex": 1}}
                    }
                }
            ],
        },
    )
    before = links.rows

    done = linkrow("source", "check", links.url, "--json", **google)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["found"]
    assert (found["rows"], found["to_check"], found["blank_links"], found["bad_links"]) == (
        *(4, 2, 1, 1),
    )
    assert found["without_id"] == 3
    assert "check_ref" in found["columns_to_be_made"]
    assert found["api_calls"]["reads"] >= 3
    assert found["api_calls"]["writes"] >= 2
    assert links.rows == before
    asked = {entry.name for entry in sheets_api.log.entries() if "/v4/" in entry.path}
    assert asked <= {"spreadsheets.get", "values.batchGet", "values.batchGetByDataFilter"}
    people = linkrow("source", "check", links.url, **google).stdout
    assert "calls of a run" in people
    assert "About" not in people


def test_a_run_makes_about_as_many_calls_as_a_check_foretells(
    linkrow, site, sheet, google, sheets_api
):
    links = sheet([f"{site.url}/fast/{number}" for number in range(20)])
    found = json.loads(linkrow("source", "check", links.url, "--json", **google).stdout)["found"]
    counted = len(sheets_api.log.entries())

    assert linkrow("run", links.url, "--quiet", *LOOPBACK, **google).returncode == 0

    made = [entry for entry in sheets_api.log.entries()[counted:] if entry.path.startswith("/v4/")]
    told = found["api_calls"]
    # By its address a sheet is found first, and looked at before the relay is asked.
    assert told["reads"] + told["writes"] <= len(made) <= told["reads"] + told["writes"] + 4


def test_an_audit_brings_a_strayed_result_back(linkrow, site, sheet, google, sheets_api):
    links = sheet([f"{site.url}/fast/{number}" for number in range(4)])
    assert linkrow("run", links.url, "--quiet", *LOOPBACK, **google).returncode == 0
    right = links.rows
    headings = list(right[0])
    at = chr(ord("A") + headings.index("final_url"))
    ref = chr(ord("A") + headings.index("check_ref"))
    # As if rows 2 and 3 had changed places between a look and a write of a process that died.
    for column, name in ((at, "final_url"), (ref, "check_ref")):
        sheets_api.edit(
            links.file,
            *(
                {
                    "do": "type",
                    "tab": "Links",
                    "cell": f"{column}{row}",
                    "value": right[other][name],
                }
                for row, other in ((2, 1), (3, 0))
            ),
        )
    assert links.rows != right

    done = linkrow("source", "audit", links.url, "--json", **google)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["repaired"] == 2
    assert links.column("final_url") == [row["final_url"] for row in right]
    assert links.column("check_ref") == [row["check_ref"] for row in right]


def test_a_sheet_whose_credentials_are_revoked_is_served_again_with_new_ones(
    linkrow, site, sheet, google, relay, sheets_api, eventually
):
    links = sheet([f"{site.url}/fast/{number}" for number in range(5)])
    key = Path(google["GOOGLE_APPLICATION_CREDENTIALS"])
    assert linkrow("source", "add", links.url, "--quiet", **google).returncode == 0
    agent = linkrow.start("agent", "run", "--relay", relay, *LOOPBACK, **google)
    first = linkrow("refresh", "Offers / Links", "--wait", **google)
    sheets_api.accounts.strict = True
    sheets_api.accounts.revoke("linkrow@linkrow-test.iam.gserviceaccount.com")

    failed = linkrow("refresh", "Offers / Links", "--wait", "--json", **google)
    links.file.share("other@linkrow-test.iam.gserviceaccount.com", "writer")
    robot = sheets_api.service_account("other@linkrow-test.iam.gserviceaccount.com")
    key.write_text(json.dumps(robot))
    again = linkrow("refresh", "Offers / Links", "--wait", "--json", **google)

    assert first.returncode == 0, first.stderr
    assert failed.returncode == 5
    assert json.loads(failed.stdout)["error"]["code"] == "sheet_login_revoked"
    assert again.returncode == 0, again.stdout
    assert_right(links, site)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(90) == 0
    assert agent.stderr.read().count("cannot be served now") == 1


def test_a_sheet_that_is_not_shared_any_more_stops_no_other_and_comes_back(
    linkrow, site, sheet, table, google, relay, eventually
):
    links = sheet([f"{site.url}/fast/{number}" for number in range(5)])
    table.fill([f"{site.url}/fast/f{number}" for number in range(5)])
    for place in (links.url, table.path):
        assert linkrow("source", "add", place, "--quiet", **google).returncode == 0
    links.file.share("linkrow@linkrow-test.iam.gserviceaccount.com", "")
    agent = linkrow.start("agent", "run", "--relay", relay, *LOOPBACK, **google)

    assert linkrow("refresh", "links.csv", "--wait").returncode == 0
    links.file.share("linkrow@linkrow-test.iam.gserviceaccount.com", "writer")
    assert linkrow("refresh", "Offers / Links", "--wait").returncode == 0

    assert_right(links, site)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(90) == 0
    said = agent.stderr.read()
    assert said.count("Offers / Links cannot be served now") == 1
    assert "share it with linkrow@linkrow-test.iam.gserviceaccount.com as editor" in said


def test_the_commands_that_add_names_for_a_sheet_work_as_they_stand(linkrow, sheet, site, google):
    links = sheet([f"{site.url}/fast/1"], heading="Link")
    said = linkrow("source", "check", links.url, "--column", "tracking_url=Link", **google).stdout
    (command,) = [line.split("   ")[0].strip() for line in said.splitlines() if " add " in line]

    done = linkrow(*shlex.split(command)[1:], **google)

    assert done.returncode == 0, done.stderr
    assert "registered as src_" in done.stdout
