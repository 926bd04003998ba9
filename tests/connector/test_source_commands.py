"""``linkrow source …`` as people and scripts call it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.locks import try_lock
from connector.opening import run_lock
from tests.processes import ROOT, environ_of

LINKS = """\
row_id,Link,offer_name,check_status,conclusion,last_checked,note
r_1,https://a.example/1,One,valid,valid,2099-01-01T00:00:00Z,x
r_2,https://a.example/2,Two,,,,x
r_2,https://a.example/3,Two,,,,x
,https://a.example/4,Three,,,,x
r_5,,blank,,,,x
r_6,not a link,bad,,,,x
r_7,ftp://a.example/,bad,,,,x
r_8,https://a.example/8,P,paused,,,x
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LINKROW_HOME", str(folder))
    monkeypatch.delenv("LINKROW_RELAY_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "links.csv"
    path.write_text(LINKS)
    return path


@pytest.fixture
def linkrow(home: Path) -> Callable[..., Result]:
    def call(*arguments: object) -> Result:
        return CliRunner().invoke(main, ["source", *map(str, arguments)])

    return call


@pytest.fixture
def told(linkrow: Callable[..., Result]) -> Callable[..., Any]:
    """What a command that goes well says as JSON."""

    def call(*arguments: object) -> Any:
        result = linkrow(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return call


@pytest.fixture
def added(told: Callable[..., Any], file: Path) -> Any:
    return told("add", file, "--column", "tracking_url=Link")["source"]


def test_a_check_counts_every_row_once_and_writes_nothing(told, file, tmp_path):
    found = told("check", file, "--column", "tracking_url=Link")["found"]

    counted = ("to_check", "paused", "duplicate_ids", "blank_links", "bad_links", "unreadable")
    assert {name: found[name] for name in counted} == {
        "to_check": 2,
        "paused": 1,
        "duplicate_ids": 2,
        "blank_links": 1,
        "bad_links": 2,
        "unreadable": 0,
    }
    assert found["rows"] == 8 == sum(found[name] for name in counted)
    assert (found["stale"], found["without_id"], found["api_calls"]) == (1, 1, None)
    assert file.read_text() == LINKS
    assert [each.name for each in tmp_path.iterdir()] == ["links.csv"]


def test_a_check_says_which_columns_there_are_and_which_would_be_made(told, file):
    found = told("check", file, "--column", "tracking_url=Link")["found"]

    assert found["columns"]["tracking_url"] == "Link"
    assert found["columns_to_be_made"] == ["final_url", "error", "skip_reason", "ready_for_ads"]
    assert found["optional_columns_not_there"] == ["expected_domain", "source_mode"]
    assert found["other_columns"] == 1


def test_a_check_shows_people_the_rows_that_will_not_be_checked_and_what_to_do_next(linkrow, file):
    said = linkrow("check", file, "--column", "tracking_url=Link").stdout

    for words in ("share their row_id", "row 6: the link is blank", "paused", "to be made"):
        assert words in said
    assert f"linkrow source add {file} --column tracking_url=Link" in said


def test_a_source_is_added_with_all_that_was_said_of_it(told, file):
    source = told(
        *("add", file, "--column", "tracking_url=Link"),
        *("--name", "the links", "--max-age", "6h"),
    )["source"]

    shown = told("show", "the links")
    assert shown == source | {"in_use": False}
    assert shown["source_id"].startswith("src_")
    assert shown["location"] == str(file)
    assert (shown["max_age_seconds"], shown["columns"]) == (21_600, {"tracking_url": "Link"})
    assert file.read_text() == LINKS


def test_adding_names_the_commands_that_come_next(linkrow, file):
    said = linkrow("add", file, "--column", "tracking_url=Link", "--name", "my links").stdout

    assert "nothing was written" in said
    assert "linkrow-agent run" in said
    assert "linkrow refresh 'my links'" in said


def test_what_a_run_could_not_begin_with_is_not_added(linkrow, told, file):
    result = linkrow("add", file)

    assert result.exit_code == 2
    assert "no column is headed 'tracking_url'" in result.stderr
    assert "[missing_column]" in result.stderr
    assert told("list") == {"items": []}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["add", "nowhere.csv"], "file_not_found"),
        (["add", "."], "not_a_file"),
        (["add", "book.xlsx"], "unsupported_file"),
        (["add", "links.csv", "--tab", "Links"], "no_such_place"),
        (["check", "nowhere.csv"], "file_not_found"),
        (["show", "nothing"], "unknown_source"),
        (["pause", "nothing"], "unknown_source"),
        (["resume", "nothing"], "unknown_source"),
        (["remove", "nothing"], "unknown_source"),
        (["audit", "nothing.csv"], "file_not_found"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_one_line_with_a_code_for_people_and_for_machines(
    linkrow, file, arguments, code
):
    result = linkrow(*arguments, "--json")

    assert result.exit_code == 2
    assert result.stderr.startswith("linkrow: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith(f"[{code}]\n")
    assert json.loads(result.stdout)["error"]["code"] == code


def test_an_age_beyond_all_reason_is_refused_and_spoils_no_settings(linkrow, told, file):
    result = linkrow("add", file, "--column", "tracking_url=Link", "--max-age", "366d")

    assert result.exit_code == 2
    assert "at most 365d" in result.stderr
    longest = told("add", file, "--column", "tracking_url=Link", "--max-age", "365d")["source"]
    assert told("show", "links.csv")["max_age_seconds"] == longest["max_age_seconds"] == 31_536_000


def test_options_of_sheets_are_refused_for_a_file(linkrow, file):
    result = linkrow("add", file, "--results-tab")

    assert result.exit_code == 2
    assert "for Google Sheets" in result.stderr


def test_a_check_of_a_registered_source_knows_its_columns_and_takes_others(told, added):
    as_registered = told("check", "links.csv")
    otherwise = told("check", "links.csv", "--column", "expected_domain=note")

    assert as_registered["source"]["source_id"] == added["source_id"]
    assert as_registered["found"]["columns"]["tracking_url"] == "Link"
    assert otherwise["found"]["columns"]["expected_domain"] == "note"
    assert otherwise["found"]["columns"]["tracking_url"] == "Link"
    assert told("show", "links.csv")["columns"] == {"tracking_url": "Link"}


def test_a_file_that_is_there_is_meant_before_a_source_that_is_called_like_it(
    told, added, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "links.csv").write_text("tracking_url\nhttps://a.example/\n")
    monkeypatch.chdir(elsewhere)

    checked = told("check", "links.csv")

    assert checked["source"] is None
    assert checked["found"]["rows"] == 1


def test_a_file_is_added_once_by_whatever_name(linkrow, added):
    result = linkrow("add", "./links.csv", "--column", "tracking_url=Link", "--name", "again")

    assert result.exit_code == 2
    assert "[source_exists]" in result.stderr
    assert added["source_id"] in result.stderr


def test_two_sources_are_not_given_one_name(linkrow, added, file):
    other = file.with_name("other.csv")
    other.write_text("tracking_url\nhttps://a.example/\n")

    result = linkrow("add", other, "--name", "links.csv")

    assert result.exit_code == 2
    assert "[name_taken]" in result.stderr


def test_a_removed_source_is_gone_and_added_again_it_is_the_same(told, added, file):
    told("remove", "links.csv")
    gone = told("list")

    again = told("add", file, "--column", "tracking_url=Link")["source"]

    assert gone == {"items": []}
    assert again["source_id"] == added["source_id"]


def test_a_pause_is_local_first_and_says_that_no_relay_is_known(told, linkrow, added):
    paused = told("pause", "links.csv")
    shown = told("show", added["source_id"])
    resumed = told("resume", "links.csv")

    assert (paused["source"]["paused"], shown["paused"]) == (True, True)
    assert resumed["source"]["paused"] is False
    assert paused["relay"]["told"] is False
    assert "no relay is known here" in linkrow("pause", "links.csv").stdout


def test_a_relay_that_cannot_be_told_of_a_pause_is_no_failure(told, added, monkeypatch):
    monkeypatch.setenv("LINKROW_DEVICE_KEY", "lrk_aaaaaaaa")
    monkeypatch.setenv("LINKROW_DEVICE_SECRET", "lrs_secret")

    said = told("pause", "links.csv", "--relay", "http://127.0.0.1:9")

    assert said["source"]["paused"] is True
    assert said["relay"]["told"] is False
    assert "the relay was not told: " in said["relay"]["detail"]
    assert "lrs_secret" not in json.dumps(said)


def test_half_a_device_key_keeps_no_source_from_pausing(told, added, monkeypatch):
    monkeypatch.setenv("LINKROW_DEVICE_KEY", "lrk_aaaaaaaa")
    monkeypatch.delenv("LINKROW_DEVICE_SECRET", raising=False)

    said = told("pause", "links.csv", "--relay", "http://127.0.0.1:9")

    assert said["source"]["paused"] is True
    assert "LINKROW_DEVICE_SECRET is not set" in said["relay"]["detail"]


def test_a_list_says_what_is_paused_and_what_is_being_worked_on(linkrow, told, added, home, file):
    other = file.with_name("other.csv")
    other.write_text("tracking_url\nhttps://a.example/\n")
    told("add", other)
    told("pause", "other.csv")

    with try_lock(run_lock(home, added["source_id"])):
        said = linkrow("list").stdout
        items = told("list")["items"]

    lines = [line for line in said.splitlines() if ".csv" in line]
    assert ["in use" in line for line in lines] == [True, False]
    assert ["paused" in line for line in lines] == [False, True]
    assert [(each["name"], each["in_use"]) for each in items] == [
        ("links.csv", True),
        ("other.csv", False),
    ]


def test_an_audit_removes_a_dead_writers_draft_and_nothing_else(told, added, file):
    draft = file.with_name(".links.csv.123.0123abcd.tmp")
    neighbour = file.with_name(".links.csv.old.tmp")
    for each in (draft, neighbour):
        each.write_text("half a fi")

    first, second = told("audit", "links.csv"), told("audit", "links.csv")

    assert (first["repaired"], second["repaired"]) == (1, 0)
    assert (draft.exists(), neighbour.exists()) == (False, True)
    assert file.read_text() == LINKS


def test_an_audit_says_that_a_run_did_not_end(linkrow, told, added, home):
    (home / "runs").mkdir(parents=True, exist_ok=True)
    (home / "runs" / f"{added['source_id']}.unfinished").touch()

    result = linkrow("audit", "links.csv", "--json")
    with try_lock(run_lock(home, added["source_id"])):
        while_it_runs = told("audit", "links.csv")

    said = json.loads(result.stdout)
    assert (result.exit_code, said["in_order"]) == (3, False)
    assert "a run over it did not end" in " ".join(said["details"])
    assert while_it_runs["in_order"]


def test_quiet_says_nothing_when_all_is_well(linkrow, file):
    for arguments in (
        ("add", file, "--column", "tracking_url=Link"),
        ("check", "links.csv"),
        ("pause", "links.csv"),
        ("resume", "links.csv"),
        ("audit", "links.csv"),
        ("remove", "links.csv"),
    ):
        result = linkrow(*arguments, "--quiet")
        assert (result.exit_code, result.output) == (0, "")


def test_names_with_markup_are_shown_as_they_are(linkrow, file):
    linkrow("add", file, "--column", "tracking_url=Link", "--name", "[bold]links[/bold]")

    assert "[bold]links[/bold]" in linkrow("list").stdout
    assert "[bold]links[/bold]" in linkrow("show", "[bold]links[/bold]").stdout


@pytest.mark.processes
def test_the_command_as_a_process_works_without_a_terminal(home, file):
    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "connector.cli", "source", *arguments],
            env=environ_of(home),
            cwd=ROOT,
            text=True,
            capture_output=True,
            check=False,
            timeout=100,
        )

    added = call("add", str(file), "--column", "tracking_url=Link")
    listed = call("list", "--json")
    missing = call("show", "nothing")

    assert added.returncode == 0, added.stderr
    assert "registered as src_" in added.stdout
    assert "\x1b" not in added.stdout
    assert [each["name"] for each in json.loads(listed.stdout)["items"]] == ["links.csv"]
    assert (missing.returncode, "Traceback" in missing.stderr) == (2, False)
