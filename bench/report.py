"""Write docs/performance.md and its picture from what a measurement found.

``python -m bench.report FOUND`` also keeps FOUND as bench/results/published.json, to which a test
holds the page. What people know about the figures stands in bench/where_the_time_goes.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.frame import ROOT
from bench.picture import figure, svg

PUBLISHED = ROOT / "bench" / "results" / "published.json"
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
BY_HAND = ROOT / "bench" / "where_the_time_goes.md"
_BAR = 24
_OPENING = """\
# Performance

Written by `python -m bench.report` from one run of `make bench`; do not edit by hand (what was
written by hand is in `bench/where_the_time_goes.md` and is put at the end).

Trust the ratios, not the absolutes. Everybody does the same work, in turn, each round begun by
another one; a ratio is taken round by round. Each figure is a median, with the lowest and the
highest behind it. Every turn's work is checked outside the time: each link landed on its page over
each hop, each job is in the queue, each row holds its result. `CPU` is of all processes that took
part but the website; `memory` is the highest peak of one process. `its CPU / ours` is how many
times our CPU the other needs for the same: it hardly depends on what else the machine does.
"""


def page(found: dict[str, Any], by_hand: str) -> str:
    """The whole document."""
    parts = [_OPENING, f"Measured {found['measured_at']} on {found['machine']}.\n"]
    cores, load = found["cores"], found["load"][0]  # before: the load after it is our own
    if load > cores:
        parts.append(
            f"**Others were at work on this machine** (load {load:.0f} on {cores} cores): rates "
            "and waits are far below what it can do, and CPU is the figure to trust.\n"
        )
    if found["is_quick"]:
        parts.append("**Sizes of a smoke test: these figures mean nothing.**\n")
    parts.append(f"![Linkrow against each yardstick]({PICTURE.name})\n")
    parts += [_section(line) for line in found["lines"]]
    return "\n".join([*parts, by_hand])


def _section(line: dict[str, Any]) -> str:
    one = line["unit"].removesuffix("s")
    rounds = f"{line['rounds']} round{'' if line['rounds'] == 1 else 's'}"
    heads = ["p50 ms", "p95 ms"] if line["of_waits"] else [f"{line['unit']}/s"]
    best = max(_speed(each) for each in line["contestants"])
    rows = [
        f"## {line['title']}",
        "",
        f"`make bench ONLY={line['name']}`, {rounds}.",
        "",
        f"| who | {' | '.join(heads)} | | CPU µs a {one} | memory MB |",
        f"|---|{'--:|' * len(heads)}---|--:|--:|",
    ]
    for each in line["contestants"]:
        names = ("p50_ms", "p95_ms") if line["of_waits"] else ("per_second",)
        figures = " | ".join(_spread(each[name]) for name in names)
        bar = "█" * max(1, round(_BAR * _speed(each) / best))
        cpu, peak = f"{each['cpu_us_each']:,.0f}", f"{each['peak_mb']:,.0f}"
        rows.append(f"| {each['name']} | {figures} | {bar} | {cpu} | {peak} |")
    rows += ["", "| Linkrow against | times as fast | aim | | its CPU / ours |"]
    rows += ["|---|--:|--:|---|--:|"]
    for each in line["ratios"]:
        word = "met" if each["median"] >= each["aim"] else "**not met**"
        low, high = figure(each["min"]), figure(each["max"])
        spread = f"{figure(each['median'])} ({low}-{high})"
        cpu = "" if each["cpu"] is None else figure(each["cpu"])
        rows.append(f"| {each['yardstick']} | {spread} | {each['aim']:g} | {word} | {cpu} |")
    return "\n".join([*rows, ""])


def _speed(contestant: dict[str, Any]) -> float:
    if "per_second" in contestant:
        return float(contestant["per_second"]["median"])
    return 1 / float(contestant["p50_ms"]["median"])


def _spread(values: dict[str, float]) -> str:
    digits = 0 if values["median"] >= 100 else 1
    low, high = f"{values['min']:,.{digits}f}", f"{values['max']:,.{digits}f}"
    return f"{values['median']:,.{digits}f} ({low}-{high})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument(
        "found", type=Path, nargs="?", default=PUBLISHED, help="what python -m bench --out wrote"
    )
    options = parser.parse_args()
    text = options.found.read_text("utf-8")
    found = json.loads(text)
    PUBLISHED.parent.mkdir(exist_ok=True)
    PUBLISHED.write_text(text, "utf-8")
    PAGE.write_text(page(found, BY_HAND.read_text("utf-8")), "utf-8")
    PICTURE.write_text(svg(found), "utf-8")


if __name__ == "__main__":
    main()
