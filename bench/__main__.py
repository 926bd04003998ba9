"""Measure: ``python -m bench [--only resolve,fresh] [--repeat 5] [--quick]``."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from bench import frame, resolve, service, sheet, tables
from bench.farm import FarmNotStarted, NoNginx

# Each with its size, and the size of a smoke test.
LINES: dict[str, tuple[Callable[[Path, int], AbstractContextManager[frame.Line]], int, int]] = {
    "resolve": (lambda folder, size: resolve.kept_alive(folder, links=size), 10_000, 200),
    "fresh": (lambda folder, size: resolve.fresh(folder, links=size), 10_000, 200),
    "late": (lambda folder, size: resolve.late(folder, links=size), 10_000, 200),
    "intake": (lambda folder, size: service.intake(folder, jobs=size), 20_000, 200),
    "leasing": (lambda folder, size: service.leasing(folder, jobs=size), 10_000, 200),
    "waking": (lambda folder, size: service.waking(folder, jobs=size), 200, 5),
    "reading": (lambda folder, size: tables.reading(folder, rows=size), 1_000_000, 1_000),
    "writing": (lambda folder, size: tables.writing(folder, rows=size), 1_000_000, 1_000),
    "sheet": (lambda folder, size: sheet.writing_back(folder, results=size), 10_000, 100),
    "whole": (lambda folder, size: tables.whole(folder, rows=size), 10_000, 50),
}


class Exit(IntEnum):
    """How a measurement ends."""

    OK = 0  # measured; whether the aims are met is for the reader
    BAD_USAGE = 2  # an option that does not exist
    MISSING = 3  # a program to measure with is not installed
    WRONG = 4  # somebody did not do the work, so nothing was measured


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--only", default=",".join(LINES), help="lines, separated by commas")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--once", default="", help="lines that take too long here to repeat")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("bench/results/latest.json"))
    options = parser.parse_args()
    names = options.only.split(",")
    once = [name for name in options.once.split(",") if name]
    if unknown := [name for name in (*names, *once) if name not in LINES]:
        parser.error(f"no line is called {', '.join(unknown)}; there are {', '.join(LINES)}")
    if options.repeat < 1:
        parser.error("--repeat must be 1 or more")
    lines = []
    load = round(os.getloadavg()[0], 1)  # before: what comes after is our own
    try:
        for name in names:
            make, usual, quick = LINES[name]
            with (
                tempfile.TemporaryDirectory(prefix="linkrow-bench-") as folder,
                make(Path(folder), quick if options.quick else usual) as line,
            ):
                found = frame.run(line, repeat=1 if name in once else options.repeat, say=_say)
                lines.append(found | {"measured_at": _now(), "load": load})
    except (NoNginx, resolve.NoCurl, FarmNotStarted) as error:
        print(f"bench: {error}", file=sys.stderr)
        return Exit.MISSING
    except frame.WrongAnswer as error:
        print(f"bench: {error}", file=sys.stderr)
        return Exit.WRONG
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    measured = {
        "machine": f"{machine}, Python {platform.python_version()}",
        "cores": os.cpu_count(),
        "is_quick": options.quick,
        "lines": lines,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    for line in lines:
        print(in_words(line))
    return Exit.OK


def in_words(line: dict[str, Any]) -> str:
    """One line of the table, for who watches."""
    said = [f"\n{line['title']}"]
    for each in line["contestants"]:
        if line["measure"] == frame.Measure.WAIT:
            figures = (
                f"{each['p50_ms']['median']:8,.1f} ms p50 {each['p95_ms']['median']:8,.1f} p95"
            )
        elif line["measure"] == frame.Measure.CALLS:
            figures = f"{each['calls']['median']:10,.0f} calls for {each['count']:,} {line['unit']}"
        else:
            figures = f"{each['per_second']['median']:10,.0f} {line['unit']}/s"
        cpu, peak = each["cpu_us_each"], each["peak_mb"]
        said.append(f"  {each['name']:28}{figures} {cpu:9,.0f} us CPU {peak:7,.0f} MB")
    for each in line["ratios"]:
        spread = f"{each['min']:.2f}..{each['max']:.2f}"
        said.append(f"  {each['median']:.2f}x {each['yardstick']} ({spread}; aim {each['aim']}x)")
    return "\n".join(said)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
