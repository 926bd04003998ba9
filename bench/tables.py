"""Lines on files: a CSV read, results put into it, and the whole job of checking one."""

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.farm import Farm
from bench.frame import Aim, Contestant, Line, WrongAnswer

HOPS = 3
HEADINGS = ("row_id", "offer_name", "tracking_url", "expected_domain", "remark")


@contextmanager
def reading(folder: Path, *, rows: int) -> Iterator[Line]:
    """All rows, one after the other."""
    yield _csv(folder, rows, "read", title=f"A CSV of {rows:,} rows read")


@contextmanager
def writing(folder: Path, *, rows: int) -> Iterator[Line]:
    """A result for every row: every other byte of the file stays as it was, in our case."""
    yield _csv(folder, rows, "write", title=f"Results put into a CSV of {rows:,} rows")


@contextmanager
def whole(folder: Path, *, rows: int) -> Iterator[Line]:
    """A CSV in, the same CSV with its results out. Raises NoNginx."""
    with Farm(hops=HOPS) as farm:
        table = folder / "links.csv"
        write_table(table, rows, farm.link)
        few = max(1, rows // 10)
        small = folder / "few.csv"
        write_table(small, few, farm.link)
        copy = folder / "copy.csv"
        yield Line(
            name="whole",
            title=f"A CSV of {rows:,} links x {HOPS} redirects checked, from start to end",
            unit="rows",
            contestants=(
                _python("linkrow run", "job_linkrow", table, copy, rows, farm.landing),
                _python(
                    "pandas + requests, 64 threads", "job_pandas", small, copy, few, farm.landing
                ),
            ),
            aims=(Aim(yardstick="pandas + requests, 64 threads", ratio=5.0),),
        )


def write_table(path: Path, rows: int, link: Callable[[int], str]) -> None:
    """So many rows as people keep them: words, links, a remark with a comma here and there."""
    with path.open("w", encoding="utf-8", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(HEADINGS)
        for n in range(rows):
            remark = f"Größe {n % 40}, blue" if n % 10 == 0 else ""
            writer.writerow([f"r_{n:07d}", f"offer {n % 977}", link(n), "127.0.0.1", remark])


def check(said: str, *, path: Path | None, rows: int, final: Callable[[int], str]) -> None:
    """Every row was seen; and in the file at *path* each still is itself and has its result."""
    if said and said.strip() != str(rows):
        raise WrongAnswer(f"{said.strip()} of {rows} rows")
    if path is None:
        return
    seen = 0
    with path.open(encoding="utf-8", newline="") as lines:
        for n, row in enumerate(csv.DictReader(lines)):
            if (row["row_id"], row["final_url"]) != (f"r_{n:07d}", final(n)):
                raise WrongAnswer(f"row {n} holds {row['row_id']!r} and {row['final_url']!r}")
            seen += 1
    if seen != rows:
        raise WrongAnswer(f"{seen} of {rows} rows are in {path.name}")


def _csv(folder: Path, rows: int, way: str, *, title: str) -> Line:
    table, copy = folder / "links.csv", folder / "copy.csv"
    write_table(table, rows, lambda n: f"https://trk.example/click?campaign=spring&offer={n}")
    contestants = (("Linkrow's CSV", "linkrow"), ("csv module", "stdlib"), ("pandas", "pandas"))
    return Line(
        name="reading" if way == "read" else "writing",
        title=title,
        unit="rows",
        contestants=[
            Contestant(
                name=name,
                command=[*_module(f"csv_{script}"), str(table), str(copy), way],
                count=rows,
                check=partial(
                    check,
                    path=copy if way == "write" else None,
                    rows=rows,
                    final=lambda n: f"https://www.shop.example/r_{n:07d}",
                ),
            )
            for name, script in contestants
        ],
        # "At most 1.5 times its time", said as a speed.
        aims=(Aim(yardstick="csv module", ratio=round(1 / 1.5, 2)),),
    )


def _python(
    name: str, script: str, table: Path, copy: Path, rows: int, final: Callable[[int], str]
) -> Contestant:
    return Contestant(
        name=name,
        command=[*_module(script), str(table), str(copy)],
        count=rows,
        check=partial(check, path=copy, rows=rows, final=final),
    )


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"bench.clients.{name}"]
