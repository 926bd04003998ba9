"""`linkrow demo`: what a stranger sees first."""

import json
import signal

import pytest

from connector.demo_site import LINKS

pytestmark = pytest.mark.processes


def test_the_demo_gets_every_row_right_and_leaves_no_process(
    linkrow, home, running, eventually
) -> None:
    done = linkrow("demo", "--json")

    shown = json.loads(done.stdout)
    assert {row["row_id"]: row["conclusion"] for row in shown["rows"]} == {
        link.row_id: link.expects for link in LINKS
    }
    assert done.returncode == 0
    hops = {row["row_id"]: row["hops"] for row in shown["rows"]}
    assert [hops[f"demo-{n:02d}"] for n in range(1, 7)] == [1, 2, 3, 4, 5, 6]
    eventually(lambda: not running(home, ""), what="nothing is left behind")


def test_the_demo_shows_a_table_and_where_the_file_lies(linkrow, home) -> None:
    done = linkrow("demo", COLUMNS="140")

    assert done.returncode == 0, done.stderr
    assert "rows hold what the demo expects" in done.stdout
    assert str(home / "demo" / "links.csv") in done.stdout
    assert "make run FILE=path/to/your.csv" in done.stdout
    assert "FILE=links.csv" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_the_demo_leaves_no_process_however_it_ends(
    linkrow, home, running, eventually, number: signal.Signals
) -> None:
    demo = linkrow.start("demo")
    eventually(lambda: bool(running(home, "agent.cli")), what="the agent works")

    demo.send_signal(number)

    demo.wait(60)
    eventually(lambda: not running(home, ""), what="nothing is left behind")
