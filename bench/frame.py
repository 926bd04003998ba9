"""Let contestants take turns at the same work, and keep what each turn took.

Every turn is a process of its own, so its CPU seconds and its peak memory are the operating
system's accounting of it and of nothing else.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]


class WrongAnswer(Exception):
    """A contestant ended without having done the work; its time means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One repetition of one contestant."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A *command* that does *count* pieces of work.

    It may say ``{"seconds": …}`` on its last line of standard error: the time without its own
    start, else the whole process is timed. *check* raises WrongAnswer from its standard output.
    """

    name: str
    command: Sequence[str]
    count: int
    check: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """How many times faster than *yardstick* Linkrow wants to be, counted in work per second."""

    yardstick: str
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: the same work by everybody. The first contestant is Linkrow."""

    name: str
    title: str
    contestants: Sequence[Contestant]
    aims: Sequence[Aim] = field(default_factory=tuple)


def run(line: Line, *, repeat: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every contestant *repeat* times, in turn, each round begun by another one."""
    turns: dict[str, list[Turn]] = {each.name: [] for each in line.contestants}
    for number in range(repeat):
        first = number % len(line.contestants)
        for each in (*line.contestants[first:], *line.contestants[:first]):
            say(f"{line.name}: round {number + 1} of {repeat}, {each.name}")
            turns[each.name].append(take_turn(each))
    return summed_up(line, turns)


def take_turn(contestant: Contestant) -> Turn:
    """Run it once, then see that it did the work. Raises WrongAnswer."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            contestant.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        answers, words = out.read().decode(), err.read().decode("utf-8", "replace").strip()
    last = words.splitlines()[-1] if words else ""
    if process.returncode:
        raise WrongAnswer(f"{contestant.name} ended with {process.returncode}: {last}")
    if last.startswith("{"):
        seconds = float(json.loads(last)["seconds"])
    contestant.check(answers)
    # ru_maxrss: kilobytes on Linux, bytes on macOS.
    scale = 1024 if sys.platform != "darwin" else 1024 * 1024
    return Turn(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / scale,
    )


def summed_up(line: Line, turns: dict[str, list[Turn]]) -> dict[str, Any]:
    """The line as data: medians with their spread, and the ratios that were aimed at."""
    rates: dict[str, list[float]] = {
        each.name: [each.count / turn.seconds for turn in turns[each.name]]
        for each in line.contestants
    }
    ours = line.contestants[0].name
    return {
        "name": line.name,
        "title": line.title,
        "contestants": [
            {
                "name": each.name,
                "count": each.count,
                "per_second": _spread(rates[each.name]),
                "cpu_us_each": statistics.median(
                    turn.cpu_seconds / each.count * 1e6 for turn in turns[each.name]
                ),
                "peak_mb": max(turn.peak_mb for turn in turns[each.name]),
            }
            for each in line.contestants
        ],
        # Round by round: whatever slowed the machine then slowed both.
        "ratios": [
            {
                "yardstick": aim.yardstick,
                "aim": aim.ratio,
                **_spread([a / b for a, b in zip(rates[ours], rates[aim.yardstick], strict=True)]),
            }
            for aim in line.aims
        ],
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
