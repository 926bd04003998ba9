"""A million rows through ``linkrow run``, broken off once: ``python -m bench.million [--rows N]``.

A CSV of links to a redirect farm on this machine goes through a relay of its own whose account may
have only so many jobs waiting. In the middle comes Ctrl-C, then the run is started again. All the
while the memory of every process and of Redis is sampled. At the end the file is read row by row
and the books are asked which rows were done more than once.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import redis as redis_py

from bench.farm import Farm, NoNginx
from bench.frame import ROOT
from connector.running.footprint import kind_of

OK, FAILED, NO_NGINX = 0, 1, 3
SAY_SECONDS = 30.0
RESULTS = ROOT / "bench" / "results" / "million.json"
_MB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at everything, so many seconds after the start. Bytes of memory and of disk."""

    at: float
    finished: int
    resident: Mapping[str, int]
    redis_used: int
    ledger: int
    log: int
    spool: int


@dataclass(slots=True, kw_only=True)
class Watched:
    """What was seen of a run and of the one after it."""

    looks: list[Look] = field(default_factory=list)
    cpu: dict[tuple[str, int], float] = field(default_factory=dict)
    redis_peak: int = 0

    def peaks(self) -> dict[str, int]:
        """The most resident memory of each kind of process, all of that kind at once together."""
        kinds = {kind for look in self.looks for kind in look.resident}
        return {
            kind: max(look.resident.get(kind, 0) for look in self.looks) for kind in sorted(kinds)
        }

    def cpu_seconds(self) -> dict[str, float]:
        """What each kind of process spent."""
        total: dict[str, float] = {}
        for (kind, _), seconds in self.cpu.items():
            total[kind] = total.get(kind, 0.0) + seconds
        return total


class Bench:
    """One folder with a file, a relay's data and the processes that work on them."""

    def __init__(
        self, folder: Path, *, rows: int, depth: int, farm: Farm, every: float = 2.0
    ) -> None:
        self.rows = rows
        self.every = every
        self.depth = depth
        self.farm = farm
        self.file = folder / "links.csv"
        self.home = folder / "home"
        self.environ = {
            **{name: value for name, value in os.environ.items() if "LINKROW_" not in name},
            "LINKROW_HOME": str(self.home),
            "TMPDIR": str(folder),
        }
        self.watched = Watched()
        self.began = time.monotonic()
        self.on_say: Callable[[], None] = lambda: None
        self._said = 0.0
        self._refreshes: set[tuple[str, str]] = set()

    def prepare(self) -> None:
        """The file, and a relay whose account may have *depth* jobs waiting."""
        self.home.mkdir()
        with self.file.open("w", encoding="utf-8", newline="") as output:
            writer = csv.writer(output)
            writer.writerow(["row_id", "offer_name", "tracking_url", "expected_domain"])
            for number in range(self.rows):
                link = self.farm.link(number) + "&utm_source=sheet&utm_campaign=autumn"
                writer.writerow([f"r_{number:07d}", f"offer {number % 977}", link, "127.0.0.1"])
        subprocess.run(
            [sys.executable, "-m", "relay.entry", "init", "--data", self.home / "relay"],
            env=self.environ, cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with self._books() as books:
            books.execute("UPDATE plans SET max_depth = ?", [self.depth])
            books.commit()

    def run(self, *, until: int | None) -> dict[str, Any]:
        """One ``linkrow run``; Ctrl-C once *until* rows are finished. Its summary."""
        command = [sys.executable, "-m", "connector.cli", "run", str(self.file), "--json"]
        command += ["--only-stale", "24h", "--allow-private", "127.0.0.0/8"]
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                command, env=self.environ, cwd=ROOT, stdout=output, start_new_session=True
            )
            try:
                broken_at = None
                while process.poll() is None:
                    look = self.look(process.pid)
                    if until is not None and broken_at is None and look.finished >= until:
                        process.send_signal(signal.SIGINT)
                        broken_at = time.monotonic()
                        self.say(f"Ctrl-C after {look.finished:,} rows")
                    time.sleep(self.every)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait(60)
            output.seek(0)
            summary: dict[str, Any] = json.loads(output.read() or "{}")
        summary["exit_code"] = process.returncode
        summary["wall_seconds"] = round(time.monotonic() - began, 1)
        if broken_at is not None:
            summary["seconds_to_stop"] = round(time.monotonic() - broken_at, 1)
        self._wait_for_the_relay()
        return summary

    def look(self, run: int) -> Look:
        """See every process and every store once."""
        resident: dict[str, int] = {}
        for pid, kind, process in self._processes(run):
            try:
                with process.oneshot():
                    resident[kind] = resident.get(kind, 0) + process.memory_info().rss
                    times = process.cpu_times()
                    self.watched.cpu[kind, pid] = times.user + times.system
            except psutil.Error:
                continue
        used, finished = self._redis()
        look = Look(
            at=round(time.monotonic() - self.began, 1),
            finished=finished,
            resident=resident,
            redis_used=used,
            ledger=_size(self.home / "relay" / "ledger.sqlite3"),
            log=sum(_size(path) for path in (self.home / "relay" / "redis").rglob("*")),
            spool=sum(_size(path) for path in (self.home / "agent").rglob("*.sqlite3*")),
        )
        self.watched.looks.append(look)
        if look.at - self._said >= SAY_SECONDS:
            self._said = look.at
            memory = ", ".join(f"{kind} {size // _MB}" for kind, size in sorted(resident.items()))
            self.say(
                f"{finished:,} rows; Redis {used // _MB} MB used; resident MB: {memory}; "
                f"books {look.ledger // _MB} MB"
            )
            self.on_say()
        return look

    def say(self, text: str) -> None:
        """For whoever watches."""
        print(f"{time.monotonic() - self.began:7.0f} s  {text}", file=sys.stderr, flush=True)

    def _processes(self, run: int) -> Iterator[tuple[int, str, psutil.Process]]:
        try:
            top = psutil.Process(run)
            family = [top, *top.children(recursive=True)]
        except psutil.Error:
            return
        for process in family:
            try:
                kind = "run" if process.pid == run else kind_of(" ".join(process.cmdline()))
            except psutil.Error:
                continue
            yield process.pid, kind or "other", process

    def _redis(self) -> tuple[int, int]:
        """Bytes used, and rows finished over all runs; as before while Redis is not there."""
        try:
            noted = json.loads((self.home / "relay" / "redis.json").read_text("utf-8"))
            with self._books() as books:
                self._refreshes.update(
                    books.execute(
                        "SELECT account_id, refresh_id FROM jobs ORDER BY rowid DESC LIMIT 1"
                    )
                )
            with redis_py.Redis(unix_socket_path=noted["socket"], socket_timeout=5) as client:
                info: Any = client.info("memory")
                counts: list[Any] = [
                    client.hget(f"linkrow:refresh:{account}:{refresh}", "finished")
                    for account, refresh in self._refreshes
                ]
        except (OSError, ValueError, sqlite3.Error, redis_py.exceptions.RedisError):
            last = self.watched.looks[-1] if self.watched.looks else None
            return (last.redis_used, last.finished) if last else (0, 0)
        self.watched.redis_peak = max(self.watched.redis_peak, int(info["used_memory_peak"]))
        return int(info["used_memory"]), sum(int(count or 0) for count in counts)

    def _books(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.home / "relay" / "ledger.sqlite3", timeout=30))

    def _wait_for_the_relay(self) -> None:
        """Until it has written its books and is gone."""
        until = time.monotonic() + 300
        while (self.home / "relay" / "relay.json").exists():
            if time.monotonic() > until:
                raise TimeoutError("the relay does not stop")
            time.sleep(0.2)

    def file_as_found(self) -> dict[str, int]:
        """How many rows hold what they should, and how many do not."""
        right = wrong = 0
        with self.file.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines)):
                is_right = (
                    row["row_id"] == f"r_{number:07d}"
                    and row["offer_name"] == f"offer {number % 977}"
                    and row["conclusion"] == "valid"
                    and row["final_url"].startswith(self.farm.landing(number))
                )
                right, wrong = right + is_right, wrong + (not is_right)
        return {"right": right, "wrong": wrong + max(0, self.rows - right - wrong)}

    def books_as_found(self) -> dict[str, int]:
        """How many jobs the books have, how many rows were done twice, how many links walked."""
        with self._books() as books:
            jobs, rows, done, attempts = books.execute(
                "SELECT count(*), count(DISTINCT row_id), sum(status = 'done'), sum(attempts)"
                " FROM jobs"
            ).fetchone()
            (twice,) = books.execute(
                "SELECT count(*) FROM (SELECT row_id FROM jobs WHERE status = 'done'"
                " GROUP BY row_id HAVING count(*) > 1)"
            ).fetchone()
        return {"jobs": jobs, "rows": rows, "done": done, "walked": attempts, "done_twice": twice}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def measure(
    bench: Bench, *, break_at: float, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run, break off, run again, and look at what became of every row.

    What is known so far is *kept* all the while: a machine may be switched off before the end.
    """
    bench.say(f"writing {bench.rows:,} rows")
    bench.prepare()
    before = bench.file.stat().st_size
    runs: list[dict[str, Any]] = []
    bench.on_say = lambda: keep(figures(bench, runs, before=before))
    bench.say("first run")
    runs.append(bench.run(until=int(bench.rows * break_at)))
    bench.say(f"second run, after {runs[0].get('finished', 0):,} rows of the first")
    runs.append(bench.run(until=None))
    bench.say("reading file and books")
    found = figures(bench, runs, before=before)
    found |= {"file": bench.file_as_found(), "books": bench.books_as_found(), "is_complete": True}
    keep(found)
    return found


def figures(bench: Bench, runs: Sequence[dict[str, Any]], *, before: int) -> dict[str, Any]:
    """What is known after these *runs*, or in the middle of one."""
    watched = bench.watched
    last, cpu = watched.looks[-1], watched.cpu_seconds()
    return {
        "is_complete": False,
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "rows": bench.rows,
        "finished": last.finished,
        "depth_limit": bench.depth,
        "runs": list(runs),
        "wall_seconds": round(time.monotonic() - bench.began, 1),
        "cpu_seconds": {kind: round(seconds, 1) for kind, seconds in sorted(cpu.items())},
        "cpu_us_a_row": round(1e6 * sum(cpu.values()) / max(1, last.finished)),
        "peak_resident_mb": {kind: round(size / _MB, 1) for kind, size in watched.peaks().items()},
        "redis_used_peak_mb": round(watched.redis_peak / _MB, 1),
        "redis_used_at_end_mb": round(last.redis_used / _MB, 1),
        "disk_mb": {
            "file before": round(before / _MB, 1),
            "file after": round(_size(bench.file) / _MB, 1),
            "books": round(last.ledger / _MB, 1),
            "redis log at most": round(max(look.log for look in watched.looks) / _MB, 1),
            "spool at most": round(max(look.spool for look in watched.looks) / _MB, 1),
        },
        "looks": [asdict(look) for look in _thinned(watched.looks)],
    }


def _thinned(looks: list[Look], *, at_most: int = 300) -> list[Look]:
    step = max(1, len(looks) // at_most)
    return looks[::step]


def faults(found: Mapping[str, Any]) -> list[str]:
    """What is not as promised; nothing is, one hopes."""
    said = []
    if found["file"] != {"right": found["rows"], "wrong": 0}:
        said.append(f"{found['file']['wrong']} rows do not hold what they should")
    if [run["exit_code"] for run in found["runs"]] != [3, 0]:
        said.append(f"exit codes {[run['exit_code'] for run in found['runs']]}, not [3, 0]")
    if found["books"]["rows"] != found["rows"]:
        said.append(f"the books know {found['books']['rows']} rows")
    return said


def table(found: Mapping[str, Any]) -> str:
    """The figures, for the documentation."""
    rate = found["rows"] / found["wall_seconds"]  # the writing of the file included
    lines = [
        "| | |",
        "|---|--:|",
        f"| rows | {found['rows']:,} |",
        f"| rows a second, over all | {rate:,.0f} |",
        f"| CPU a row, all processes | {found['cpu_us_a_row'] / 1000:.2f} ms |",
        f"| rows done twice because of Ctrl-C | {found['books']['done_twice']} |",
        f"| Ctrl-C to its end | {found['runs'][0].get('seconds_to_stop', 0):,.0f} s |",
    ]
    for kind, size in found["peak_resident_mb"].items():
        lines.append(f"| memory: {kind} | {size:,.0f} MB |")
    lines += [
        f"| memory: Redis' data, at most | {found['redis_used_peak_mb']:,.0f} MB |",
        f"| memory: Redis' data, at the end | {found['redis_used_at_end_mb']:,.0f} MB |",
        *(f"| disk: {kind} | {size:,.0f} MB |" for kind, size in found["disk_mb"].items()),
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, write what was found down, and say what is not as promised."""
    parser = argparse.ArgumentParser(prog="bench.million", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--depth", type=int, default=10_000, help="jobs the account may have")
    parser.add_argument("--break-at", type=float, default=0.4, help="Ctrl-C after this share")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--folder", type=Path, help="where to work; kept (default: temporary)")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="linkrow-million-"))
    folder.mkdir(parents=True, exist_ok=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)

    def keep(found: dict[str, Any]) -> None:
        given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")

    try:
        with Farm(hops=3) as farm:
            bench = Bench(folder, rows=given.rows, depth=given.depth, farm=farm, every=given.every)
            found = measure(bench, break_at=given.break_at, keep=keep)
    except NoNginx as error:
        print(error, file=sys.stderr)
        return NO_NGINX
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(found))
    said = faults(found)
    for each in said:
        print(f"NOT AS PROMISED: {each}", file=sys.stderr)
    return FAILED if said else OK


if __name__ == "__main__":
    raise SystemExit(main())
