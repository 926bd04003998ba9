"""Write docs/performance.md from what a measurement found."""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.frame import ROOT

_BAR = 30
_OPENING = """\
# Performance

Written by `python -m bench.report` from one run of `make bench`; do not edit by hand.

Trust the ratios, not the absolutes. Everybody does the same work on the same farm (an nginx with
one worker on loopback), in turn, each round begun by another one; a ratio is taken round by round.
Each figure is a median, with the lowest and the highest behind it. Every turn's answers are checked
(each link landed on its page, over each hop) outside the time. `CPU` is the whole process, its
start included, for one link; `memory` is the highest peak of its process.
"""
_CLOSING = """\
## How to read this

* Linkrow judges every hop's URL and address, keeps the evidence of every hop and draws a
  conclusion; the others only follow.
* Linkrow's resolver is given 200 links in flight and as many for the one host here, like the
  others. The agent's own settings are 256 and 64 a host.
* requests walks a tenth of the links; its rate is per link. Its threads share one interpreter.
* Client and farm share this machine's cores: what a client spends slows the farm as well.

The farm was not the limit when this was written: its worker spent 20 µs on a link (26 µs beside
Linkrow), so one core of it serves 50,000 links a second; with a fresh connection per hop 46 to 51.

## Where the time goes

Profiled by hand when this text was written, before any tuning: a link of three redirects took
Linkrow 310 µs of CPU, its start left out. By cProfile's shares, which favour C code:

* a quarter parses URLs: each hop's nearly three times (joining the target, following it, judging
  it), and ada_url crosses from Python into C for each part that is read;
* an eighth keeps headers, 31 callbacks a link, most of which nobody reads.

In a trial that is not in the product, remembering the last parses saved 60 µs, keeping only the
headers that are read 10, and remembering the verdict on a numeric address 9. Together that is a
quarter less; the aims need more.

Not measured here yet: 50 ms a response, intake, lease and report, CSV, the whole of `linkrow run`.
"""


def page(found: dict[str, Any]) -> str:
    """The whole document."""
    repeat = found["repeat"]
    rounds = f"{repeat} round{'' if repeat == 1 else 's'}"
    parts = [_OPENING, f"Measured {found['measured_at']} on {found['machine']}, {rounds}.\n"]
    if found["is_quick"]:
        parts.append("**Sizes of a smoke test: these figures mean nothing.**\n")
    parts += [_section(line) for line in found["lines"]]
    return "\n".join([*parts, _CLOSING])


def _section(line: dict[str, Any]) -> str:
    fastest = max(each["per_second"]["median"] for each in line["contestants"])
    rows = [
        f"## {line['title']}",
        "",
        "| who | links/s | | CPU µs a link | memory MB |",
        "|---|--:|---|--:|--:|",
    ]
    for each in line["contestants"]:
        rate = each["per_second"]
        bar = "█" * max(1, round(_BAR * rate["median"] / fastest))
        spread = f"{rate['median']:,.0f} ({rate['min']:,.0f}-{rate['max']:,.0f})"
        cpu, peak = f"{each['cpu_us_each']:,.0f}", f"{each['peak_mb']:,.0f}"
        rows.append(f"| {each['name']} | {spread} | {bar} | {cpu} | {peak} |")
    rows += ["", "| Linkrow against | ratio | aim | |", "|---|--:|--:|---|"]
    for each in line["ratios"]:
        word = "met" if each["median"] >= each["aim"] else "**not met**"
        spread = f"{each['median']:.2f} ({each['min']:.2f}-{each['max']:.2f})"
        rows.append(f"| {each['yardstick']} | {spread} | {each['aim']:g} | {word} |")
    return "\n".join([*rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("found", type=Path, help="what python -m bench --out wrote")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args()
    options.to.write_text(page(json.loads(options.found.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
