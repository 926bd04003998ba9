"""The peaks of processes, from a folder that looks as Linux' does."""

import os
import sys
from pathlib import Path

import pytest

from connector.running.footprint import Footprint, kind_of, own_peak


class Proc:
    """A made-up /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, pid: int, command: str, *, peak_kb: int | None, children: str = "") -> None:
        place = self.folder / str(pid) / "task" / str(pid)
        place.mkdir(parents=True, exist_ok=True)
        (place / "children").write_text(children)
        (self.folder / str(pid) / "cmdline").write_text(command.replace(" ", "\0"))
        lines = ["Name:\tx"] + ([] if peak_kb is None else [f"VmHWM:\t  {peak_kb} kB"])
        (self.folder / str(pid) / "status").write_text("\n".join(lines))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def seen(footprint: Footprint) -> list[tuple[str, int, int]]:
    return [(each.process, each.pid, each.peak // 1024) for each in footprint.peaks()]


def test_a_process_and_all_it_started_are_seen(proc: Proc) -> None:
    proc.put(1, "python -m relay.entry up", peak_kb=10, children="2 3 ")
    proc.put(2, "redis-server unixsocket:/x", peak_kb=30, children="4")
    proc.put(3, "python -m relay.entry serve", peak_kb=20)
    proc.put(4, "redis-aof-rewrite unixsocket:/x", peak_kb=25)
    footprint = Footprint(proc.folder)

    footprint.look(1, "relay up")

    assert seen(footprint) == [
        ("redis", 2, 30),
        ("redis rewriting its log", 4, 25),
        ("relay serve", 3, 20),
        ("relay up", 1, 10),
    ]


def test_what_ended_stays_as_it_was_seen_last_and_peaks_never_fall(proc: Proc) -> None:
    footprint = Footprint(proc.folder)
    proc.put(1, "python -m agent.cli run", peak_kb=50)
    footprint.look(1)
    proc.put(1, "python -m agent.cli run", peak_kb=None)  # a zombie has no memory
    footprint.look(1)
    footprint.look(99)

    assert seen(footprint) == [("agent", 1, 50)]


def test_a_restarted_process_is_another_one_but_a_fork_of_a_moment_is_not(proc: Proc) -> None:
    footprint = Footprint(proc.folder)
    for pid in (6, 5):
        proc.put(pid, "python -m agent.cli run", peak_kb=10 * pid)
        proc.put(pid + 10, "redis-aof-rewrite x", peak_kb=pid)
        footprint.look(pid)
        footprint.look(pid + 10)

    assert seen(footprint) == [
        ("agent", 6, 60),
        ("agent", 5, 50),
        ("redis rewriting its log", 16, 6),
    ]


def test_a_stranger_is_not_counted(proc: Proc) -> None:
    proc.put(7, "/usr/bin/editor links.csv", peak_kb=10)
    footprint = Footprint(proc.folder)

    footprint.look(7)

    assert footprint.peaks() == ()
    assert kind_of("/usr/bin/editor links.csv") == ""


def test_a_system_without_such_a_folder_knows_nothing_of_others(tmp_path: Path) -> None:
    footprint = Footprint(tmp_path / "nowhere")

    footprint.look(1, "agent")

    assert footprint.peaks() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_our_own_peak_is_what_the_system_says() -> None:
    footprint = Footprint()
    footprint.look(os.getpid(), "run")

    (found,) = [each for each in footprint.peaks() if each.process == "run"]
    assert found.peak == pytest.approx(own_peak(), rel=0.05)
