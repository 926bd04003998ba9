"""Let contestants take turns at the same work, and keep what each turn took.

Every turn is a process of its own, so its CPU seconds and its peak memory are the operating
system's accounting of it and of nothing else.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]


class Measure(StrEnum):
    """What counts on a line."""

    RATE = "rate"  # how many pieces of work in a second
    WAIT = "wait"  # how long one piece of work takes
    CALLS = "calls"  # how many calls of somebody's API all of it takes: those are rationed


class WrongAnswer(Exception):
    """A contestant ended without having done the work; its time means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One repetition of one contestant. *waits* are seconds, one for each piece of work."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    waits: Sequence[float] = ()
    calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A *command* that does *count* pieces of work.

    Its last line of standard error may be a JSON object: ``seconds`` is the time without its own
    start (else the whole process is timed), ``cpu_seconds`` what it and its helpers spent in that
    time (else what the process and the children it waited for spent in their lives), ``waits``
    how long each piece took, ``calls`` how many calls of the API it made. *check* raises
    WrongAnswer from its standard output.
    """

    name: str
    command: Sequence[str]
    count: int
    check: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """How many times faster than *yardstick* Linkrow wants to be.

    *mark* is a yardstick that nobody runs: pieces of work in a second, or milliseconds on a line of
    waits, or pieces of work for each call on a line of calls.
    """

    yardstick: str
    ratio: float
    mark: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: the same work by everybody. The first contestant is Linkrow."""

    name: str
    title: str
    contestants: Sequence[Contestant]
    unit: str
    measure: Measure = Measure.RATE
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
    said = json.loads(last) if last.startswith("{") else {}
    contestant.check(answers)
    # ru_maxrss: kilobytes on Linux, bytes on macOS.
    scale = 1024 if sys.platform != "darwin" else 1024 * 1024
    return Turn(
        seconds=float(said.get("seconds", seconds)),
        cpu_seconds=float(said.get("cpu_seconds", usage.ru_utime + usage.ru_stime)),
        peak_mb=usage.ru_maxrss / scale,
        waits=said.get("waits", ()),
        calls=int(said.get("calls", 0)),
    )


def summed_up(line: Line, turns: dict[str, list[Turn]]) -> dict[str, Any]:
    """The line as data: medians with their spread, and the ratios that were aimed at."""
    speeds = {
        each.name: [_speed(line, each, turn) for turn in turns[each.name]]
        for each in line.contestants
    }
    ours = speeds[line.contestants[0].name]
    return {
        "name": line.name,
        "title": line.title,
        "unit": line.unit,
        "measure": line.measure,
        "rounds": len(ours),
        "contestants": [
            {
                "name": each.name,
                "count": each.count,
                **_figures(line, each, turns[each.name]),
                "cpu_us_each": statistics.median(
                    turn.cpu_seconds / each.count * 1e6 for turn in turns[each.name]
                ),
                "peak_mb": max(turn.peak_mb for turn in turns[each.name]),
            }
            for each in line.contestants
        ],
        "ratios": [
            {
                "yardstick": aim.yardstick,
                "aim": aim.ratio,
                **_spread(_ratios(line, aim, speeds)),
                "cpu": _cpu_ratio(line, aim, turns),
            }
            for aim in line.aims
        ],
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of *values* that at least *share* (0..1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _speed(line: Line, contestant: Contestant, turn: Turn) -> float:
    """What is compared; more is better."""
    match line.measure:
        case Measure.WAIT:
            return 1 / percentile(turn.waits, 0.5)
        case Measure.CALLS:
            return contestant.count / turn.calls
        case Measure.RATE:
            return contestant.count / turn.seconds


def _figures(line: Line, contestant: Contestant, turns: Sequence[Turn]) -> dict[str, Any]:
    if line.measure is Measure.WAIT:
        return {
            "p50_ms": _spread([1000 * percentile(turn.waits, 0.5) for turn in turns]),
            "p95_ms": _spread([1000 * percentile(turn.waits, 0.95) for turn in turns]),
        }
    rate = {"per_second": _spread([contestant.count / turn.seconds for turn in turns])}
    if line.measure is Measure.CALLS:
        return {"calls": _spread([turn.calls for turn in turns]), **rate}
    return rate


def _ratios(line: Line, aim: Aim, speeds: dict[str, list[float]]) -> list[float]:
    """Round by round: whatever slowed the machine then slowed both."""
    ours = speeds[line.contestants[0].name]
    if aim.mark is not None:
        mark = 1000 / aim.mark if line.measure is Measure.WAIT else aim.mark
        return [speed / mark for speed in ours]
    return [a / b for a, b in zip(ours, speeds[aim.yardstick], strict=True)]


def _cpu_ratio(line: Line, aim: Aim, turns: dict[str, list[Turn]]) -> float | None:
    """How many times the CPU of ours a piece of work costs the yardstick, if that is known."""
    if aim.mark is not None:
        return None
    counts = {each.name: each.count for each in line.contestants}
    ours = line.contestants[0].name
    pairs = [
        (a.cpu_seconds / counts[ours], b.cpu_seconds / counts[aim.yardstick])
        for a, b in zip(turns[ours], turns[aim.yardstick], strict=True)
    ]
    # The system counts in hundredths of a second: a smoke test may cost none.
    return statistics.median(b / a for a, b in pairs) if all(a for a, _ in pairs) else None


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
