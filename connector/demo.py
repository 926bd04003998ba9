"""The demo: the main job on a website of our own, from the CSV template to the filled rows."""

import csv
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.asking import Asked
from connector.demo_site import LINKS, DemoLink, DemoSite
from connector.errors import AlreadyRunning
from connector.locks import try_lock
from connector.running.course import Screen
from connector.running.options import Options
from connector.running.run import run
from connector.running.screen import styled
from connector.running.summary import Summary
from wire.vocab import Conclusion

_WIDE = 100  # columns of a terminal that holds the offer's name too

_ENVIRON = {
    # A dead port is tried three times; in the demo not for twelve seconds.
    "LINKROW_RETRY_DELAYS": "0.3,0.6",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRow:
    """One row as it stands in the file at the end."""

    link: DemoLink
    hops: int | None
    final_url: str
    conclusion: str

    @property
    def is_as_expected(self) -> bool:
        """Whether the row holds what the demo expects."""
        return self.conclusion == self.link.expects


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How the demo went."""

    file: Path
    rows: tuple[DemoRow, ...]
    summary: Summary

    @property
    def is_as_expected(self) -> bool:
        """Whether every row holds what the demo expects."""
        return len(self.rows) == len(LINKS) and all(row.is_as_expected for row in self.rows)


def template() -> bytes:
    """The CSV a new sheet starts from: our columns and nothing else."""
    packaged = resources.files("connector") / "sheet_templates" / "links.csv"
    if packaged.is_file():
        return packaged.read_bytes()
    # In a checkout the templates lie beside the packages.
    return (Path(__file__).parents[1] / "sheet_templates" / "links.csv").read_bytes()


def demo(home: Path, *, environ: Mapping[str, str], screen: Screen, stop: threading.Event) -> Shown:
    """Run the whole of Linkrow once in the folder *home*, which is emptied first.

    Raises what ``run`` raises, and AlreadyRunning when a demo is going on.
    """
    with try_lock(home.parent / "demo.lock") as is_free:
        if not is_free:
            raise AlreadyRunning(home)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True, mode=0o700)
        file = home / "links.csv"
        without_keys = {
            name: value
            for name, value in environ.items()
            if name not in {"LINKROW_DEVICE_KEY", "LINKROW_DEVICE_SECRET"}
        }
        with DemoSite() as site:
            _fill(file, site)
            options = Options(
                asked=Asked(what=str(file)), home=home, allow_private=("127.0.0.0/8",)
            )
            summary = run(options, environ=without_keys | _ENVIRON, screen=screen, stop=stop)
        return Shown(file=file, rows=_rows(file), summary=summary)


def _fill(file: Path, site: DemoSite) -> None:
    """The template, with the demo's links in it. The hop count is shown, so its column is added."""
    headings = next(csv.reader([template().decode("utf-8-sig")]))
    with file.open("w", encoding="utf-8", newline="") as output:
        writer = csv.DictWriter(output, [*headings, "hop_count"], restval="")
        writer.writeheader()
        for link in LINKS:
            writer.writerow(
                {
                    "row_id": link.row_id,
                    "offer_name": link.offer_name,
                    "tracking_url": site.url(link.path),
                    "expected_domain": link.expected_domain,
                    "check_status": link.check_status,
                }
            )


def _rows(file: Path) -> tuple[DemoRow, ...]:
    """What the file says now, read as a person's spreadsheet would read it."""
    by_id = {link.row_id: link for link in LINKS}
    with file.open(encoding="utf-8", newline="") as lines:
        return tuple(
            DemoRow(
                link=by_id[cells["row_id"]],
                hops=int(cells["hop_count"]) if cells["hop_count"] else None,
                final_url=cells["final_url"],
                conclusion=cells["conclusion"],
            )
            for cells in csv.DictReader(lines)
            if cells["row_id"] in by_id
        )


def show(shown: Shown, console: Console) -> None:
    """Every row with its hops, where it lands and what that means; then what to try next."""
    table = Table(title="linkrow demo", title_justify="left", show_edge=False, pad_edge=False)
    is_wide = console.width >= _WIDE
    table.add_column("row", no_wrap=True)
    if is_wide:
        table.add_column("offer", no_wrap=True)
    table.add_column("hops", justify="right")
    table.add_column("final URL", overflow="fold")
    table.add_column("conclusion", no_wrap=True)
    for row in shown.rows:
        conclusion = _styled(row)
        cells = [row.link.row_id, *([row.link.offer_name] if is_wide else [])]
        hops = "" if row.hops is None else str(row.hops)
        table.add_row(*cells, hops, row.final_url, conclusion)
    console.print(table)
    console.print()
    right = sum(row.is_as_expected for row in shown.rows)
    if shown.is_as_expected:
        console.print(f"[green]{right} of {len(LINKS)} rows hold what the demo expects[/]")
    else:
        console.print(f"[red]{right} of {len(LINKS)} rows hold what the demo expects[/]")
        if shown.summary.trouble:
            console.print(f"[red]{shown.summary.trouble}[/]")
    console.print(Text.assemble("the file: ", (str(shown.file), "bold")), soft_wrap=True)
    # Not the demo's file: its links lead to a site that was there for the demo only.
    console.print("try next, on a CSV of your own: [bold]make run FILE=path/to/your.csv[/]")
    console.print("or, where Linkrow is installed: [bold]linkrow run path/to/your.csv[/]")


def _styled(row: DemoRow) -> Text:
    try:
        text = styled(Conclusion(row.conclusion))
    except ValueError:
        text = Text(row.conclusion or "-")
    if not row.is_as_expected:
        text.append(f" (expected {row.link.expects})", style="red")
    return text


def as_json(shown: Shown) -> dict[str, object]:
    """The demo's rows for machines."""
    return {
        "file": str(shown.file),
        "is_as_expected": shown.is_as_expected,
        "rows": [
            {
                "row_id": row.link.row_id,
                "hops": row.hops,
                "final_url": row.final_url,
                "conclusion": row.conclusion,
                "expected": row.link.expects,
            }
            for row in shown.rows
        ],
    }
