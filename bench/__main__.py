"""Measure: ``python -m bench [--only resolve,fresh] [--repeat 5] [--quick]``."""

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path

from bench import frame, resolve
from bench.farm import FarmNotStarted, NoNginx

LINES = {"resolve": resolve.kept_alive, "fresh": resolve.fresh}


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
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("bench/results/latest.json"))
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in LINES]:
        parser.error(f"no line is called {', '.join(unknown)}; there are {', '.join(LINES)}")
    if options.repeat < 1:
        parser.error("--repeat must be 1 or more")
    lines = []
    try:
        for name in names:
            with (
                tempfile.TemporaryDirectory(prefix="linkrow-bench-") as folder,
                LINES[name](Path(folder), links=200 if options.quick else 10_000) as line,
            ):
                lines.append(frame.run(line, repeat=options.repeat, say=_say))
    except (NoNginx, resolve.NoCurl, FarmNotStarted) as error:
        print(f"bench: {error}", file=sys.stderr)
        return Exit.MISSING
    except frame.WrongAnswer as error:
        print(f"bench: {error}", file=sys.stderr)
        return Exit.WRONG
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    found = {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": f"{machine}, Python {platform.python_version()}",
        "is_quick": options.quick,
        "repeat": options.repeat,
        "lines": lines,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for line in lines:
        print(f"\n{line['title']}")
        for each in line["contestants"]:
            rate, cpu = each["per_second"]["median"], each["cpu_us_each"]
            peak = each["peak_mb"]
            print(f"  {each['name']:24}{rate:10,.0f}/s {cpu:9,.0f} us CPU {peak:7,.0f} MB")
        for each in line["ratios"]:
            spread = f"{each['min']:.2f}..{each['max']:.2f}"
            print(f"  {each['median']:.2f}x {each['yardstick']} ({spread}; aim {each['aim']}x)")
    return Exit.OK


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
