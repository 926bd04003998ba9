"""Write docs/performance.md and its picture from what a measurement found.

``python -m bench.report FOUND`` also keeps the lines of FOUND in bench/results/published.json, to
which a test holds the page; lines that FOUND did not measure stay as they are. What people know
about the figures stands in bench/where_the_time_goes.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.__main__ import LINES
from bench.frame import ROOT, Measure
from bench.picture import figure, svg

PUBLISHED = ROOT / "bench" / "results" / "published.json"
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
BY_HAND = ROOT / "bench" / "where_the_time_goes.md"
_BAR = 24
_FIGURES = {  # what is shown of a contestant, and over which heading
    Measure.RATE: {"per_second": "{unit}/s"},
    Measure.WAIT: {"p50_ms": "p50 ms", "p95_ms": "p95 ms"},
    Measure.CALLS: {"count": "{unit}", "calls": "API calls", "per_second": "{unit}/s"},
}
_OPENING = """\
# Performance

Written by `python -m bench.report` from what `make bench` found; do not edit by hand (what was
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
    parts = [_OPENING, f"Measured on {found['machine']}.\n"]
    if found["is_quick"]:
        parts.append("**Sizes of a smoke test: these figures mean nothing.**\n")
    parts.append(f"![Linkrow against each yardstick]({PICTURE.name})\n")
    parts += [_section(line, cores=found["cores"]) for line in found["lines"]]
    return "\n".join([*parts, by_hand])


def _section(line: dict[str, Any], *, cores: int) -> str:
    one = line["unit"].removesuffix("s")
    rounds = f"{line['rounds']} round{'' if line['rounds'] == 1 else 's'}"
    figures_of = _FIGURES[Measure(line["measure"])]
    heads = [head.format(unit=line["unit"]) for head in figures_of.values()]
    best = max(_speed(line, each) for each in line["contestants"])
    rows = [
        f"## {line['title']}",
        "",
        f"`make bench ONLY={line['name']}`, {rounds}, {line['measured_at']}.",
        *_warning(line, cores=cores),
        "",
        f"| who | {' | '.join(heads)} | | CPU µs a {one} | memory MB |",
        f"|---|{'--:|' * len(heads)}---|--:|--:|",
    ]
    for each in line["contestants"]:
        figures = " | ".join(_spread(each[name]) for name in figures_of)
        bar = "█" * max(1, round(_BAR * _speed(line, each) / best))
        cpu, peak = f"{each['cpu_us_each']:,.0f}", f"{each['peak_mb']:,.0f}"
        rows.append(f"| {each['name']} | {figures} | {bar} | {cpu} | {peak} |")
    ratio = "times the rows a call" if line["measure"] == Measure.CALLS else "times as fast"
    rows += ["", f"| Linkrow against | {ratio} | aim | | its CPU / ours |"]
    rows += ["|---|--:|--:|---|--:|"]
    for each in line["ratios"]:
        word = "met" if each["median"] >= each["aim"] else "**not met**"
        low, high = figure(each["min"]), figure(each["max"])
        spread = f"{figure(each['median'])} ({low}-{high})"
        cpu = "" if each["cpu"] is None else figure(each["cpu"])
        rows.append(f"| {each['yardstick']} | {spread} | {each['aim']:g} | {word} | {cpu} |")
    return "\n".join([*rows, ""])


def _warning(line: dict[str, Any], *, cores: int) -> list[str]:
    if line["load"] <= cores:
        return []
    return [
        "",
        f"**Others were at work on this machine** (load {line['load']:.0f} on {cores} cores):",
        "rates and waits are far below what it can do, and CPU is the figure to trust.",
    ]


def _speed(line: dict[str, Any], contestant: dict[str, Any]) -> float:
    match Measure(line["measure"]):
        case Measure.WAIT:
            return 1 / float(contestant["p50_ms"]["median"])
        case Measure.CALLS:
            return float(contestant["count"] / contestant["calls"]["median"])
        case Measure.RATE:
            return float(contestant["per_second"]["median"])


def _spread(values: dict[str, float] | int) -> str:
    if isinstance(values, int):
        return f"{values:,}"
    is_whole = all(float(value).is_integer() for value in values.values())
    digits = 0 if is_whole or values["median"] >= 100 else 1
    low, high = f"{values['min']:,.{digits}f}", f"{values['max']:,.{digits}f}"
    return f"{values['median']:,.{digits}f} ({low}-{high})"


def merged(published: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """*found*, and behind it what only *published* has, in the order of the table.

    Raises SystemExit when they are of two machines: one page cannot be.
    """
    lines = {line["name"]: line for line in (*published["lines"], *found["lines"])}
    facts = ("machine", "cores", "is_quick")
    kept = set(lines) - {line["name"] for line in found["lines"]}
    if kept and any(published[fact] != found[fact] for fact in facts):
        raise SystemExit(f"measured elsewhere or otherwise: {', '.join(sorted(kept))}; measure all")
    return found | {"lines": [lines[name] for name in LINES if name in lines]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument(
        "found", type=Path, nargs="?", default=PUBLISHED, help="what python -m bench --out wrote"
    )
    options = parser.parse_args()
    found = merged(
        json.loads(PUBLISHED.read_text("utf-8")), json.loads(options.found.read_text("utf-8"))
    )
    PUBLISHED.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(found, BY_HAND.read_text("utf-8")), "utf-8")
    PICTURE.write_text(svg(found), "utf-8")


if __name__ == "__main__":
    main()
