"""Refreshes of registered sources, with real processes: killed, canceled, waited for."""

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.store import File
from tests.machines import Machine, Source
from tests.processes import Relay
from tests.processes import wait_until as eventually
from wire.vocab import RefreshState, Writeback

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

DEPTH = 40
ROWS = 100
IN_THE_AIR = 5  # links that wait for the gate; they must not wait so long that they time out


@pytest.fixture
def relay(home: Path) -> Iterator[Relay]:
    relay = Relay(home)
    yield relay
    relay.close()


@pytest.fixture
def machine(relay: Relay, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(relay, tmp_path)
    yield machine
    machine.close()


def narrow(relay: Relay, depth: int = DEPTH) -> None:
    """The account may have so many jobs that have not ended: handing in stops there."""
    with closing(sqlite3.connect(relay.data / "ledger.sqlite3", timeout=30)) as books, books:
        books.execute("UPDATE plans SET max_depth = ?", [depth])


def assert_each_row_ended_once(source: Source, refresh_id: str) -> None:
    found = source.progress(refresh_id)
    count = len(source.links)
    assert (found.state, found.rows) == (RefreshState.DONE, count)
    assert (found.submitted, found.finished) == (count, count)
    assert found.by_conclusion == {"valid": count}
    assert found.by_writeback == {Writeback.WRITTEN: count}
    # The books are a moment behind, and some seconds after a recorder was killed.
    eventually(lambda: len(source.jobs(refresh_id)) >= count, what="every job is in the books")
    jobs = source.jobs(refresh_id)
    assert sorted(str(job.row_id) for job in jobs) == sorted(f"r_{n}" for n in range(count))
    assert {job.status for job in jobs} == {"done"}
    source.assert_right()


def test_a_refresh_reaches_every_row_and_its_end_is_the_commands(machine, site):
    source = machine.source(site, "spring", fast=30)
    machine.start_agent()

    done = machine.linkrow("refresh", "spring", "--watch")

    assert done.returncode == 0, done.stdout + done.stderr + machine.log
    assert done.stderr.splitlines()[-1] == "done"
    assert "valid" in done.stdout
    source.assert_right()
    assert site.visits("/fast/") == 30


def agent_only(machine: Machine) -> Callable[[], None]:
    machine.kill_agent()
    return machine.start_agent


def relay_only(machine: Machine) -> Callable[[], None]:
    machine.relay.kill()
    return machine.relay.start_again


def both(machine: Machine) -> Callable[[], None]:
    machine.kill_agent()
    machine.relay.kill()

    def start() -> None:
        machine.relay.start_again()
        machine.start_agent()

    return start


@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(agent_only, id="the agent"),
        pytest.param(relay_only, id="the relay"),
        pytest.param(both, id="both"),
    ],
)
def test_what_is_killed_in_mid_refresh_costs_no_row_and_doubles_none(machine, site, kill):
    source = machine.source(site, "spring", fast=DEPTH // 2, slow=ROWS - DEPTH // 2)
    narrow(machine.relay)
    machine.start_agent()
    refresh_id = machine.ask(source)
    # Links are in the air, results are written, and the rest of the rows is not handed in yet.
    site.wait_for("/slow/", IN_THE_AIR)
    eventually(lambda: "valid" in source.column("conclusion"), what="the first rows are written")
    before = source.progress(refresh_id)
    assert before.state is RefreshState.READING
    assert 0 < before.finished < before.submitted < ROWS

    start = kill(machine)
    start()
    site.gate.set()
    source.await_state(refresh_id, RefreshState.DONE, RefreshState.FAILED)

    assert_each_row_ended_once(source, refresh_id)


def test_a_refresh_waits_for_an_agent_that_is_started_later(machine, site):
    source = machine.source(site, "spring", fast=5)
    watching = machine.start("refresh", "spring", "--watch", "--key", "later")
    refresh_id = machine.ask(source, "--key", "later")

    waiting = source.progress(refresh_id)
    machine.start_agent()
    output, errors = watching.communicate(timeout=80)

    assert waiting.state is RefreshState.WAITING_FOR_AGENT
    assert watching.returncode == 0, output + errors
    assert errors.splitlines()[0] == "waiting for an agent that serves this source"
    assert_each_row_ended_once(source, refresh_id)


def test_a_canceled_refresh_ends_at_once_and_fetches_no_more(machine, site):
    source = machine.source(site, "spring", slow=ROWS)
    narrow(machine.relay)
    machine.start_agent()
    refresh_id = machine.ask(source)
    site.wait_for("/slow/", IN_THE_AIR)

    canceled = machine.linkrow("refresh", "spring", "--cancel", refresh_id)
    assert canceled.returncode == 0, canceled.stderr
    eventually(lambda: "no longer ours" in machine.log, what="the agent has heard of it")
    site.gate.set()
    again = machine.linkrow("refresh", "spring", "--wait", "--rows", "r_0", "--json")

    assert again.returncode == 0, again.stdout + again.stderr
    assert source.progress(refresh_id).state is RefreshState.CANCELED
    assert json.loads(again.stdout)["by_conclusion"] == {"valid": 1}
    assert source.column("conclusion").count("valid") == 1
    assert site.visits("/slow/") < ROWS


def test_an_agent_that_is_stopped_gives_its_refresh_back_to_the_next(machine, site):
    source = machine.source(site, "spring", slow=ROWS)
    narrow(machine.relay)
    machine.start_agent()
    refresh_id = machine.ask(source)
    site.wait_for("/slow/", IN_THE_AIR)

    assert machine.end_agent() == 0
    assert source.progress(refresh_id).state is RefreshState.WAITING_FOR_AGENT
    site.gate.set()
    machine.start_agent()
    source.await_state(refresh_id, RefreshState.DONE)

    assert_each_row_ended_once(source, refresh_id)


def test_a_source_that_is_paused_in_mid_refresh_goes_on_when_it_is_resumed(machine, site):
    source = machine.source(site, "spring", slow=ROWS)
    narrow(machine.relay)
    machine.start_agent()
    refresh_id = machine.ask(source)
    site.wait_for("/slow/", IN_THE_AIR)

    assert machine.linkrow("source", "pause", "spring").returncode == 0
    source.await_state(refresh_id, RefreshState.WAITING_FOR_AGENT)
    site.gate.set()
    assert machine.linkrow("source", "resume", "spring").returncode == 0
    source.await_state(refresh_id, RefreshState.DONE)

    assert_each_row_ended_once(source, refresh_id)


def test_only_the_rows_that_were_asked_for_are_checked(machine, site):
    source = machine.source(site, "spring", fast=6)
    machine.start_agent()
    named = machine.linkrow(
        "refresh", "spring", "--rows", "r_1", "--rows", "r_4", "--rows", "r_99", "--wait", "--json"
    )

    found = json.loads(named.stdout)
    assert named.returncode == 3, named.stderr  # one of them is not there
    assert (found["rows"], found["submitted"]) == (3, 2)
    assert found["not_submitted"] == {"row_missing": 1}
    assert source.column("conclusion") == ["", "valid", "", "", "valid", ""]

    stale = machine.linkrow("refresh", "spring", "--stale", "1h", "--wait", "--json")
    found = json.loads(stale.stdout)
    assert (stale.returncode, found["submitted"]) == (0, 4), stale.stderr
    assert found["not_submitted"] == {"fresh_enough": 2}
    assert site.visits("/fast/") == 6


def test_a_source_that_cannot_be_read_fails_in_words_until_it_is_set_right(machine, site):
    source = machine.source(site, "spring", fast=2)
    machine.start_agent()
    assert machine.linkrow("refresh", "spring", "--wait").returncode == 0
    away = source.path.rename(machine.folder / "away.csv")

    failed = machine.linkrow("refresh", "spring", "--wait", "--key", "k")
    assert machine.end_agent() == 0
    machine.start_agent()  # one that never saw the file
    still = machine.linkrow("refresh", "spring", "--wait", "--key", "k")

    for each in (failed, still):
        assert each.returncode == 5, each.stdout + each.stderr
        assert "[file_not_found]" in each.stdout
    away.rename(source.path)
    again = machine.linkrow("refresh", "spring", "--wait", "--key", "k")
    assert again.returncode == 0, again.stdout + again.stderr + machine.log
    source.assert_right()


def test_nobody_there_in_time_is_a_failure_that_says_so(machine, site):
    source = machine.source(site, "spring", fast=2)
    machine.start_agent()
    assert machine.linkrow("refresh", "spring", "--wait").returncode == 0
    machine.end_agent()

    late = machine.linkrow("refresh", "spring", "--wait", "--expires-in", "1s")

    assert late.returncode == 5, late.stdout + late.stderr
    assert "[job_expired]" in late.stdout
    assert source.column("conclusion") == ["valid", "valid"]


def test_ctrl_c_leaves_the_refresh_to_go_on(machine, site):
    source = machine.source(site, "spring", slow=3)
    machine.start_agent()
    watching = machine.start("refresh", "spring", "--watch")
    site.wait_for("/slow/", 3)

    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=80)
    site.gate.set()

    assert watching.returncode == 6, errors
    refresh_id = errors.rpartition("--cancel ")[2].strip()
    assert machine.linkrow("refresh", "spring", "--id", refresh_id).returncode == 0
    assert_each_row_ended_once(source, refresh_id)


# Sheets


@pytest.fixture
def sheet(machine: Machine, sheets_api: Emulator, tmp_path: Path) -> Callable[..., File]:
    """A registered tab of links, called spring."""

    def register(links: list[str]) -> File:
        machine.environ |= {
            "LINKROW_SHEETS_API": sheets_api.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(sheets_api.credentials(tmp_path)),
        }
        rows = [["note", "tracking_url"], *[[f"n{n}", link] for n, link in enumerate(links)]]
        file = sheets_api.new("Offers", tabs=[{"title": "Links", "rows": rows, "sheet_id": 77}])
        url = sheets_api.sheet_url(file, 77)
        added = machine.linkrow("source", "add", url, "--name", "spring")
        assert added.returncode == 0, added.stderr
        return file

    return register


@pytest.mark.timeout(300)
def test_a_sheets_refresh_outlives_its_agent_while_people_sort(machine, site, sheet, sheets_api):
    links = [f"{site.url}/fast/{n}" for n in range(20)]
    links += [f"{site.url}/slow/{n}" for n in range(40)]
    file = sheet(links)
    narrow(machine.relay)
    machine.start_agent()
    asked = json.loads(machine.linkrow("refresh", "spring", "--json").stdout)
    site.wait_for("/slow/", IN_THE_AIR)

    machine.kill_agent()
    sheets_api.edit(file, {"do": "sort", "tab": "Links", "column": 0, "descending": True})
    site.gate.set()
    machine.start_agent()
    done = machine.linkrow("refresh", "spring", "--id", asked["refresh_id"], "--json")

    assert done.returncode == 0, done.stdout + done.stderr + machine.log
    found = json.loads(done.stdout)
    assert (found["rows"], found["submitted"], found["finished"]) == (60, 60, 60)
    assert found["by_writeback"] == {"written": 60}
    headings, *rows = sheets_api.rows(file, "Links")
    for row in rows:
        cells = dict(zip(headings, row, strict=False))
        path = cells["tracking_url"].removeprefix(site.url)
        assert links[int(cells["note"][1:])] == cells["tracking_url"]
        assert (cells["conclusion"], cells["final_url"]) == ("valid", f"{site.url}/page{path}")
    assert len({row[headings.index("row_id")] for row in rows}) == 60


def test_a_tab_that_was_deleted_fails_its_refresh_in_words(machine, site, sheet, sheets_api):
    file = sheet([f"{site.url}/fast/1"])
    machine.start_agent()
    assert machine.linkrow("refresh", "spring", "--wait").returncode == 0
    sheets_api.edit(
        file,
        {"do": "batch", "requests": [{"addSheet": {"properties": {"title": "Other"}}}]},
        {"do": "delete_tab", "tab": "Links"},
    )

    failed = machine.linkrow("refresh", "spring", "--wait", "--quiet")
    assert machine.end_agent() == 0
    machine.start_agent()
    again = machine.linkrow("refresh", "spring", "--wait", "--quiet")

    for each in (failed, again):
        assert each.returncode == 5, each.stdout + each.stderr
        assert "[tab_not_found]" in each.stderr
