"""A run broken off in mid-run goes on where it stopped: what was fetched is not fetched again.

The bound: what the agent had in hand at the break (leased, not resolved) may be fetched once more.
"""

import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from connector.locks import try_lock

pytestmark = pytest.mark.processes

ROWS = 3_000
DEPTH = 500
IN_HAND = 256 + 128  # walked at once and leased ahead, see agent.agent.Duty
RUN = ("--json", "--only-stale", "1h", "--allow-private", "127.0.0.0/8")


@pytest.fixture
def narrow(linkrow, home: Path) -> None:
    """A relay whose account may have 500 jobs that have not ended, and whose leases are long."""
    linkrow.environ["LINKROW_LEASE_SECONDS"] = "600"
    made = linkrow("relay", "init", "--data", home / "relay")
    assert made.returncode == 0, made.stderr
    with closing(sqlite3.connect(home / "relay" / "ledger.sqlite3")) as books, books:
        books.execute("UPDATE plans SET max_depth = ?", [DEPTH])


class Break:
    """Which links had been asked for when a run was broken off, and which rows were done."""

    def __init__(self, site: Any, table: Any) -> None:
        with site.changed:
            asked = {path for path in site.seen if path.startswith("/fast/")}
        done = {
            row["tracking_url"].removeprefix(site.url)
            for row in table.rows
            if row.get("conclusion")
        }
        self.done = len(done)
        self.unwritten = asked - done


def fetched_twice(site: Any) -> set[str]:
    return {path for path, count in site.seen.items() if path.startswith("/fast/") and count > 1}


def assert_all_is_done(run: Any, output: str, errors: str, table: Any) -> None:
    assert run.returncode == 0, output + errors
    assert table.column("final_url") == [
        link.replace("/fast/", "/page/fast/") for link in table.column("tracking_url")
    ]
    assert set(table.column("conclusion")) == {"valid"}


@pytest.mark.timeout(240)
def test_after_each_ctrl_c_a_run_goes_on_where_it_stopped(
    linkrow, site, table, narrow, summary_of: Callable[[str], dict[str, Any]]
) -> None:
    table.fill([f"{site.url}/fast/{n}" for n in range(ROWS)])
    breaks = []
    for share in (ROWS // 4, ROWS // 2):
        run = linkrow.start("run", table.path, *RUN)
        site.wait_for("/fast/", share)
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate(timeout=110)

        assert run.returncode == 3, output + errors
        assert "Traceback" not in errors
        breaks.append(Break(site, table))
        assert summary_of(output)["trouble"].startswith("stopped before the end")
    assert 0 < breaks[0].done < breaks[1].done < ROWS

    run = linkrow.start("run", table.path, *RUN)
    output, errors = run.communicate(timeout=110)

    assert_all_is_done(run, output, errors, table)
    assert all(len(each.unwritten) <= IN_HAND for each in breaks)
    assert fetched_twice(site) <= breaks[0].unwritten | breaks[1].unwritten
    assert summary_of(output)["by_conclusion"]["fresh_enough"] >= breaks[1].done


@pytest.fixture
def hold(table) -> Iterator[Callable[[], ExitStack]]:
    """Lock the file against its writers, as another program would."""
    with ExitStack() as held:

        def lock() -> ExitStack:
            path = table.path.with_name(f".{table.path.name}.lock")
            inner = held.enter_context(ExitStack())
            while not inner.enter_context(try_lock(path)):
                pass
            return inner

        yield lock


@pytest.mark.timeout(240)
def test_after_kill_9_of_everything_results_on_this_disk_are_written_and_not_fetched_again(
    linkrow, site, home: Path, table, narrow, hold, running, kill
) -> None:
    table.fill([f"{site.url}/fast/{n}" for n in range(ROWS)])
    run = linkrow.start("run", table.path, *RUN)
    site.wait_for("/fast/", 1)
    lock = hold()  # from here on results pile up beside the file
    site.wait_for("/fast/", Break(site, table).done + 3 * IN_HAND)
    kill(running(home))
    run.wait(10)
    lock.close()
    broken = Break(site, table)
    assert len(broken.unwritten) > 2 * IN_HAND

    run = linkrow.start("run", table.path, *RUN)
    output, errors = run.communicate(timeout=110)

    assert_all_is_done(run, output, errors, table)
    assert fetched_twice(site) <= broken.unwritten
    assert len(fetched_twice(site)) <= IN_HAND


@pytest.mark.timeout(240)
def test_after_kill_9_of_the_run_another_one_waits_for_its_agent_and_goes_on(
    linkrow, site, table, narrow
) -> None:
    table.fill([f"{site.url}/fast/{n}" for n in range(ROWS)])
    run = linkrow.start("run", table.path, *RUN)
    site.wait_for("/fast/", ROWS // 2)
    run.kill()
    run.wait(10)

    run = linkrow.start("run", table.path, *RUN)
    output, errors = run.communicate(timeout=110)

    assert_all_is_done(run, output, errors, table)
    assert len(fetched_twice(site)) <= IN_HAND


@pytest.mark.timeout(240)
def test_a_relay_that_takes_fewer_jobs_than_one_request_holds_gets_them_all(
    linkrow, site, home: Path, table, narrow, summary_of: Callable[[str], dict[str, Any]]
) -> None:
    with closing(sqlite3.connect(home / "relay" / "ledger.sqlite3")) as books, books:
        books.execute("UPDATE plans SET max_depth = 7")
    table.fill([f"{site.url}/fast/{n}" for n in range(60)])

    run = linkrow("run", table.path, *RUN)

    assert_all_is_done(run, run.stdout, run.stderr, table)
    assert not fetched_twice(site)
    said = summary_of(run.stdout)
    assert said["rows_per_second"] > 0
    peaks = {each["process"]: each["peak_mb"] for each in said["memory"]}
    assert peaks.keys() >= {"run", "agent", "relay serve", "relay recorder", "redis"}
    assert all(10 < peak < 500 for kind, peak in peaks.items() if kind != "redis")


@pytest.mark.skipif(sys.platform != "linux", reason="looks at pipes in /proc")
def test_a_second_ctrl_c_does_not_wait_for_what_is_in_hand_and_costs_no_row(
    linkrow, site, home: Path, table, eventually, running
) -> None:
    table.fill([f"{site.url}/slow/{n}" for n in range(30)])
    run = linkrow.start("run", table.path, *RUN)
    site.wait_for("/slow/", 1)

    run.send_signal(signal.SIGINT)
    # The agent has five seconds for links in hand, and these never answer. Its standard input is
    # closed before it is waited for.
    (agent,) = running(home, "agent.cli")
    eventually(lambda: not _is_writing_to(run.pid, agent.pid), what="the agent is told to stop")
    run.send_signal(signal.SIGINT)
    output, errors = run.communicate(timeout=60)

    assert run.returncode == 1
    assert output == ""
    assert errors.strip() == "Aborted!"
    site.gate.set()
    eventually(lambda: not running(home), what="every process ends by itself")
    done = linkrow("run", table.path, *RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert table.column("conclusion") == ["valid"] * 30


def _is_writing_to(run: int, agent: int) -> bool:
    """Whether *run* still holds the other end of *agent*'s standard input."""
    pipe = Path(f"/proc/{agent}/fd/0").readlink()
    held = set()
    for each in Path(f"/proc/{run}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed while we look
            held.add(each.readlink())
    return pipe in held
