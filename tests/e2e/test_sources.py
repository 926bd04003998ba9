"""Sources registered, paused and removed by commands while an agent of the machine serves them."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.locks import try_lock
from connector.opening import run_lock

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]
LOOPBACK = ("--allow-private", "127.0.0.0/8")
# So that a dead agent's leases come back soon.
TERMS = {"LINKROW_LEASE_SECONDS": "4", "LINKROW_OBLIGATION_SECONDS": "3"}


@pytest.fixture
def relay(linkrow, eventually, home: Path) -> Iterator[str]:
    up = linkrow.start("relay", "up", "--bind", "127.0.0.1:0", **TERMS)
    noted = home / "relay" / "relay.json"
    eventually(noted.exists, what="the relay is up")
    yield str(json.loads(noted.read_text())["url"])
    up.send_signal(signal.SIGTERM)
    up.wait(60)


@pytest.fixture
def tables(table, tmp_path: Path, site) -> Callable[..., Any]:
    """A file of five links below a folder of the site; slow ones wait for the gate."""

    def make(name: str, kind: str = "fast") -> Any:
        made = type(table)(tmp_path / f"{name}.csv")
        return made.fill([f"{site.url}/{kind}/{name}{number}" for number in range(5)])

    return make


@pytest.fixture
def do(linkrow) -> Callable[..., Any]:
    """A command that goes well, and what it says as JSON."""

    def call(*arguments: object) -> Any:
        done = linkrow(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def is_checked(table: Any) -> bool:
    return table.column("conclusion") == ["valid"] * 5 if "conclusion" in table.rows[0] else False


def test_sources_come_pause_and_go_by_commands_while_an_agent_works(
    linkrow, do, relay, tables, eventually
):
    first, second, third = tables("first"), tables("second"), tables("third")
    do("source", "add", first.path)
    agent = linkrow.start("agent", "run", "--quiet", *LOOPBACK)
    do("refresh", "first.csv", "--wait")
    assert is_checked(first)

    do("source", "add", second.path)
    do("refresh", "second.csv", "--wait")
    assert is_checked(second)

    do("source", "add", third.path)
    do("source", "pause", "third.csv")
    refused = linkrow("refresh", "third.csv")
    assert refused.returncode == 4
    assert "[source_paused]" in refused.stderr
    do("source", "resume", "third.csv")
    do("refresh", "third.csv", "--wait")
    assert is_checked(third)

    do("source", "remove", "first.csv")
    left = do("source", "list")["items"]
    eventually(
        lambda: [each["in_use"] for each in do("source", "list")["items"]] == [True, True],
        what="the others are served on",
    )
    assert [each["name"] for each in left] == ["second.csv", "third.csv"]
    assert linkrow("run", first.path, "--quiet", *LOOPBACK).returncode == 0
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0


def test_an_agent_that_is_killed_leaves_nothing_of_several_sources_behind(
    linkrow, do, relay, site, tables, kill, running, home, eventually
):
    slow, other = tables("slow", "slow"), tables("other", "slow")
    for each in (slow, other):
        do("source", "add", each.path)
    linkrow.start("agent", "run", "--quiet", *LOOPBACK)
    asked = [do("refresh", each.path.name)["refresh_id"] for each in (slow, other)]
    site.wait_for("/slow/", 10)

    kill(running(home, "agent.cli"))
    agent = linkrow.start("agent", "run", "--quiet", *LOOPBACK)
    site.gate.set()

    for each, refresh_id in zip((slow, other), asked, strict=True):
        assert do("refresh", each.path.name, "--id", refresh_id, "--wait")["state"] == "done"
        assert is_checked(each)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0


def test_the_relay_knows_a_source_by_name_from_the_moment_it_is_added(do, relay, tables, linkrow):
    source = do("source", "add", tables("first").path, "--name", "my links", "--max-age", "6h")

    waiting = do("refresh", "my links")

    assert source["relay"] == {
        "told": True,
        "url": relay,
        "detail": f"the relay at {relay} knows",
    }
    assert waiting["state"] == "waiting_for_agent"
    agent = linkrow.start("agent", "once", "--quiet", *LOOPBACK)
    assert agent.wait(90) == 0
    shown = do("refresh", "my links", "--id", waiting["refresh_id"])
    assert shown["state"] == "done"


def test_an_agent_says_which_sources_it_serves(linkrow, do, relay, tables, eventually, home):
    first, gone = tables("first"), tables("gone")
    for each in (first, gone):
        do("source", "add", each.path)
    gone.path.unlink()

    with try_lock(run_lock(home, do("source", "show", "first.csv")["source_id"])):
        done = linkrow("agent", "once", "--events", *LOOPBACK)

    said = [json.loads(line) for line in done.stdout.splitlines()]
    states = {each["name"]: each["state"] for each in said if each["event"] == "source"}
    assert states == {"first.csv": "busy", "gone.csv": "unavailable"}
    assert done.stderr.count("gone.csv cannot be served now: there is no file") == 1


def test_a_second_agent_of_the_same_key_is_refused(linkrow, do, relay, tables, eventually):
    do("source", "add", tables("first").path)
    linkrow.start("agent", "run", "--quiet", *LOOPBACK)
    eventually(lambda: do("source", "list")["items"][0]["in_use"], what="it is served")

    assert linkrow("agent", "run", *LOOPBACK).returncode == 5


def test_a_run_uses_what_was_registered_of_a_file_by_whatever_it_is_named(
    linkrow, do, tables, tmp_path, site
):
    file = tmp_path / "links.csv"
    file.write_text(f"row_id,Link\nr_1,{site.url}/fast/1\n")
    source = do("source", "add", file, "--column", "tracking_url=Link")["source"]
    do("source", "pause", "links.csv")

    for named in (file, source["source_id"]):
        said = do("run", named, *LOOPBACK)
        assert said["source_id"] == source["source_id"]
        assert said["by_conclusion"] == {"valid": 1}
