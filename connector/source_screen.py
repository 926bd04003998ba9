"""Sources and what was found in them, as tables for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.command_line import age_text
from connector.examination import Examination, Layout
from connector.registered import Mode, RegisteredSource, SheetPlace
from connector.running.screen import counted
from wire import times

_SHOWN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What one run costs of Google's quota, when nobody interferes."""

    reads: int
    writes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found in a source. *calls* is None for files, which have no quota.

    *obstacles*: what stands in the way of writing, each a sentence for people.
    """

    layout: Layout
    rows: Examination
    calls: Calls | None = None
    obstacles: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "columns": dict(self.layout.found),
            "columns_to_be_made": list(self.layout.missing),
            "optional_columns_not_there": list(self.layout.unused),
            "other_columns": self.layout.others,
            **self.rows.to_json(),
            "api_calls": self.calls and {"reads": self.calls.reads, "writes": self.calls.writes},
            "obstacles": list(self.obstacles),
        }


def as_json(source: RegisteredSource) -> dict[str, object]:
    """One source for machines: as it is remembered, with its id and where it is."""
    return {"source_id": source.source_id, **source.to_json(), "location": str(source.place)}


def state_of(source: RegisteredSource, *, is_in_use: bool) -> str:
    """In one word: paused, in use, or idle."""
    if source.is_paused:
        return "paused"
    return "in use" if is_in_use else "idle"


def show_list(sources: Sequence[RegisteredSource], in_use: set[str], console: Console) -> None:
    """All sources; *in_use* are those that an agent or a run works on now."""
    if not sources:
        console.print("no source is registered; linkrow source add FILE|SHEET_URL")
        return
    table = Table(show_edge=False)
    for heading in ("name", "kind", "state", "stale after", "id"):
        table.add_column(heading, overflow="fold")
    for each in sources:
        state = state_of(each, is_in_use=each.source_id in in_use)
        table.add_row(
            Text(each.name, style="bold"),
            each.kind,
            Text(state, style={"paused": "yellow", "in use": "green"}.get(state, "")),
            age_text(each.max_age),
            each.source_id,
        )
    console.print(table)


def show_source(source: RegisteredSource, *, is_in_use: bool, console: Console) -> None:
    """Everything that is remembered of one source."""
    table = Table(show_header=False, show_edge=False, box=None)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, said in _facts(source, is_in_use=is_in_use):
        table.add_row(label, Text(said))
    console.print(Text(source.name, style="bold"))
    console.print(table)


def _facts(source: RegisteredSource, *, is_in_use: bool) -> list[tuple[str, str]]:
    facts = [("id", source.source_id), ("kind", str(source.kind)), ("where", str(source.place))]
    if isinstance(source.place, SheetPlace):
        in_place = "into columns of the tab itself"
        beside = "into a tab of their own"
        facts += [
            ("sheet", source.place.title),
            ("tab", source.place.tab),
            ("results go", in_place if source.mode is Mode.IN_PLACE else beside),
            ("credentials", str(source.credentials or "the usual ones of this machine")),
        ]
    facts += [(f"column {ours}", theirs) for ours, theirs in source.columns.items()]
    if source.max_age:
        facts.append(("stale after", age_text(source.max_age)))
    state = state_of(source, is_in_use=is_in_use)
    words = {"in use": "in use: an agent serves it, or a run works on it"}
    facts += [("state", words.get(state, state)), ("added", times.to_text(source.added_at))]
    return facts


def show_finding(finding: Finding, console: Console, *, title: str) -> None:
    """What was found, before anything is written."""
    console.print(Text(title, style="bold"))
    console.print(_rows(finding.rows, finding.calls))
    console.print()
    console.print(_columns(finding.layout))
    for sentence in finding.obstacles:
        console.print(Text.assemble(("in the way: ", "yellow"), sentence))


def _rows(rows: Examination, calls: Calls | None) -> Table:
    table = Table(show_edge=False)
    table.add_column("rows")
    table.add_column("", justify="right")
    table.add_column("", style="dim", overflow="fold")
    table.add_row("in all", f"{rows.rows:,}", "")
    stale = "" if rows.stale == rows.to_check else f"{rows.stale:,} without a fresh answer"
    table.add_row(Text("to be checked", style="green"), f"{rows.to_check:,}", stale)
    if rows.without_id:
        table.add_row("without a row_id", f"{rows.without_id:,}", "get one with the first run")
    for label, kind, count in (
        ("paused", "paused_by_operator", rows.paused),
        ("share their row_id", "duplicate_row_id", rows.duplicates),
        ("blank link", "blank", rows.blank),
        ("bad link", None, rows.bad),
        ("unreadable", "unreadable", rows.unreadable),
    ):
        if count:
            examples = _examples(rows.examples, kind)
            table.add_row(Text(label, style="yellow"), f"{count:,}", Text(examples))
    if calls is not None:
        both = f"{calls.reads:,} reads and {calls.writes:,} writes; 60 of each a minute are allowed"
        table.add_row("calls of a run", f"{calls.reads + calls.writes:,}", both)
    return table


def _examples(examples: Mapping[str, Sequence[str]], kind: str | None) -> str:
    """Up to three; with *kind* None those of bad links, whatever makes them bad."""
    others = {"paused_by_operator", "duplicate_row_id", "blank", "unreadable"}
    if kind is not None:
        found = list(examples.get(kind, ()))
    else:
        found = [each for name, some in examples.items() if name not in others for each in some]
    return "\n".join(found[:_SHOWN])


def _columns(layout: Layout) -> Table:
    table = Table(show_edge=False)
    table.add_column("column")
    table.add_column("headed", overflow="fold")
    for ours, heading in layout.found.items():
        table.add_row(ours, Text(heading))
    if layout.missing:
        made = ", ".join(layout.missing)
        table.add_row(Text("to be made", style="cyan"), Text(made))
    if layout.unused:
        table.add_row(
            Text("not there", style="dim"), Text(", ".join(layout.unused) + " (optional)")
        )
    if layout.others:
        table.add_row(Text("left alone", style="dim"), counted(layout.others, "other column"))
    return table
