"""``linkrow source …``: which sheets and files this machine's agents serve."""

import json
import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from connector.asking import UNSAVED, Asked
from connector.command_line import age_of, columns_of, errors_as_lines
from connector.errors import NameTaken, SourceExists
from connector.home import home_of
from connector.inspecting import inspect
from connector.locks import try_lock
from connector.opening import run_lock
from connector.registered import LONGEST_AGE, Mode, RegisteredSource
from connector.registry import Registry
from connector.repairing import repair
from connector.running.summary import Exit
from connector.source_screen import Finding, as_json, show_finding, show_list, show_source
from connector.telling import tell_pause, tell_source
from wire.vocab import SourceKind


@click.group()
def source() -> None:
    """Sheets and files whose rows agents of this machine serve.

    A SOURCE is named by its id, its name, or where it is (a path, a sheet's address).
    """


def _described(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which rows are meant and how they are headed."""
    for option in reversed(
        (
            click.option(
                "--tab", metavar="TAB", default="", help="A sheet's tab: its title or gid."
            ),
            click.option(
                "--column",
                "columns",
                multiple=True,
                metavar="OURS=THEIRS",
                callback=columns_of,
                help="Which heading holds one of our columns (tracking_url=Link). May be repeated.",
            ),
            click.option(
                "--results-tab",
                is_flag=True,
                help="Write results into a tab of their own: for a tab that is sorted all day.",
            ),
            click.option(
                "--credentials",
                type=click.Path(path_type=Path),
                help="Google credentials, a service account's key; else this machine's usual ones.",
            ),
        )
    ):
        command = option(command)
    return command


def _max_age(
    context: click.Context, option: click.Parameter, given: str | None
) -> timedelta | None:
    age = age_of(context, option, given)
    if age is not None and age > LONGEST_AGE:
        raise click.BadParameter(f"{given!r}: at most {LONGEST_AGE.days}d")
    return age


_JSON = click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
_RELAY = click.option("--relay", metavar="URL", help="The relay to tell; else the usual one.")
_QUIET = click.option("--quiet", is_flag=True, help="Say nothing but errors.")


@source.command()
@click.argument("what", metavar="FILE|SHEET_URL|KEY|TITLE")
@_described
@click.option("--name", metavar="NAME", default="", help="What to call it.")
@click.option(
    "--max-age",
    metavar="AGE",
    callback=_max_age,
    help="How old an answer may be before it counts as stale (90m, 24h, 7d).",
)
@click.option(
    "--protect",
    is_flag=True,
    help="Warn whoever edits result columns that are made in a sheet.",
)
@_RELAY
@_JSON
@_QUIET
def add(
    what: str,
    tab: str,
    columns: dict[str, str],
    results_tab: bool,
    credentials: Path | None,
    name: str,
    max_age: timedelta | None,
    protect: bool,
    relay: str | None,
    in_json: bool,
    quiet: bool,
) -> None:
    """Have agents of this machine serve a sheet or a file.

    It is looked at first, and nothing is written into it.

    \b
    Exit codes:
      0  it is registered
      2  it cannot be used as it is, or is registered already
    """  # noqa: D301 - click wants the character
    with errors_as_lines(in_json=in_json):
        registry = Registry(home_of(os.environ))
        entry = _source(_asked(what, tab, columns, results_tab, credentials))
        if entry.source_id != UNSAVED:
            raise SourceExists(entry.name, entry.source_id)
        entry = replace(entry, max_age=max_age, is_protected=protect)
        if name:
            if name in (each.name for each in registry.registered()):
                raise NameTaken(name)
            entry = replace(entry, name=name)
        finding = _inspect(entry, quiet=quiet or in_json)
        entry = replace(entry, source_id=registry.source_id_of(entry.place))
        registry.add(entry)
        told = tell_source(entry, relay=relay, home=home_of(os.environ), environ=os.environ)
    if in_json:
        said = {"found": finding.to_json(), "relay": told.to_json()}
        click.echo(json.dumps({"source": as_json(entry), **said}))
    elif not quiet:
        console = Console()
        show_finding(finding, console, title=entry.name)
        console.print()
        console.print(
            f"registered as {entry.source_id}; nothing was written; {told.sentence}",
            highlight=False,
            markup=False,
        )
        _next(
            console,
            ("linkrow-agent run", "serves it; leave that running"),
            (f"linkrow refresh {shlex.quote(entry.name)}", "has its rows checked"),
        )


@source.command(name="list")
@_JSON
def list_command(in_json: bool) -> None:
    """The registered sources."""
    with errors_as_lines(in_json=in_json):
        registered = Registry(home_of(os.environ)).registered()
        in_use = {each.source_id for each in registered if _is_in_use(each)}
    if in_json:
        click.echo(json.dumps({"items": [_told(each, in_use) for each in registered]}))
    else:
        show_list(registered, in_use, Console())


@source.command()
@click.argument("named", metavar="SOURCE")
@_JSON
def show(named: str, in_json: bool) -> None:
    """Everything that is remembered of one source. Exit code 2 when there is none of that name."""
    with errors_as_lines(in_json=in_json):
        entry = Registry(home_of(os.environ)).find(named)
    is_in_use = _is_in_use(entry)
    if in_json:
        click.echo(json.dumps(_told(entry, {entry.source_id} if is_in_use else set())))
    else:
        show_source(entry, is_in_use=is_in_use, console=Console())


@source.command()
@click.argument("named", metavar="SOURCE|FILE|SHEET_URL|KEY|TITLE")
@_described
@_JSON
@_QUIET
def check(
    named: str,
    tab: str,
    columns: dict[str, str],
    results_tab: bool,
    credentials: Path | None,
    in_json: bool,
    quiet: bool,
) -> None:
    """Say what is found in a source, or in what could become one. Nothing is written.

    \b
    Exit codes:
      0  a run can begin
      2  it cannot: the sentence says what to do
    """  # noqa: D301 - click wants the character
    with errors_as_lines(in_json=in_json):
        asked = _asked(named, tab, columns, results_tab, credentials)
        entry = _source(asked)
        finding = _inspect(entry, quiet=quiet or in_json)
    is_registered = entry.source_id != UNSAVED
    if in_json:
        told = as_json(entry) if is_registered else None
        click.echo(json.dumps({"source": told, "found": finding.to_json()}))
    elif not quiet:
        console = Console()
        show_finding(finding, console, title=entry.name)
        if not is_registered:
            _next(
                console,
                (f"linkrow run {asked.spelled()}", "checks its rows now"),
                (f"linkrow source add {asked.spelled()}", "has an agent serve it"),
            )


@source.command()
@click.argument("named", metavar="SOURCE")
@_RELAY
@_JSON
@_QUIET
def pause(named: str, relay: str | None, in_json: bool, quiet: bool) -> None:
    """Take no more work for a source; what is on its way is still written.

    The relay is told where one is known; it is no failure when it cannot be.
    """
    _pause(named, is_paused=True, relay=relay, in_json=in_json, quiet=quiet)


@source.command()
@click.argument("named", metavar="SOURCE")
@_RELAY
@_JSON
@_QUIET
def resume(named: str, relay: str | None, in_json: bool, quiet: bool) -> None:
    """Take work for a paused source again."""
    _pause(named, is_paused=False, relay=relay, in_json=in_json, quiet=quiet)


@source.command()
@click.argument("named", metavar="SOURCE")
@_JSON
@_QUIET
def remove(named: str, in_json: bool, quiet: bool) -> None:
    """Serve a source no longer. Its rows stay as they are, and its id is remembered.

    Results that an agent still has for it wait in the agent's spool until it is added again.
    """
    with errors_as_lines(in_json=in_json):
        registry = Registry(home_of(os.environ))
        entry = registry.find(named)
        registry.remove(entry.source_id)
    if in_json:
        click.echo(json.dumps({"removed": as_json(entry)}))
    elif not quiet:
        click.echo(f"{entry.name} is not served any more; its rows are as they were")


@source.command()
@click.argument("named", metavar="SOURCE")
@_JSON
@_QUIET
def audit(named: str, in_json: bool, quiet: bool) -> None:
    """Find and repair what a process that died in mid-write left in a source.

    \b
    Exit codes:
      0  all is in order now
      2  the source cannot be looked at
      3  something is left to be done: the sentence says what
    """  # noqa: D301 - click wants the character
    home = home_of(os.environ)
    with errors_as_lines(in_json=in_json):
        entry = _source(Asked(what=named))
        repaired = repair(entry, home=home, environ=os.environ)
    if in_json:
        click.echo(json.dumps(repaired.to_json()))
    elif not quiet:
        for sentence in repaired.sentences:
            click.echo(f"{entry.name}: {sentence}")
    raise SystemExit(Exit.OK if repaired.is_in_order else Exit.UNFINISHED)


def _asked(
    what: str, tab: str, columns: dict[str, str], results_tab: bool, credentials: Path | None
) -> Asked:
    return Asked(
        what=what,
        tab=tab,
        columns=columns,
        mode=Mode.RESULTS_TAB if results_tab else None,
        credentials=Path(os.path.realpath(credentials)) if credentials else None,
    )


def _source(asked: Asked) -> RegisteredSource:
    entry = asked.source(Registry(home_of(os.environ)), environ=os.environ)
    if entry.kind is SourceKind.FILE and (asked.mode or asked.credentials):
        raise click.UsageError("--results-tab and --credentials are for Google Sheets")
    return entry


def _inspect(entry: RegisteredSource, *, quiet: bool) -> Finding:
    """What is found; a person at a terminal sees that something goes on: a million rows take time.

    A screen that is no terminal is left alone.
    """
    with Console(stderr=True, quiet=quiet).status("reading rows …"):
        return inspect(entry, home=home_of(os.environ), environ=os.environ, now=datetime.now(UTC))


def _pause(named: str, *, is_paused: bool, relay: str | None, in_json: bool, quiet: bool) -> None:
    home = home_of(os.environ)
    with errors_as_lines(in_json=in_json):
        registry = Registry(home)
        entry = registry.find(named)
        registry.pause(entry.source_id, is_paused=is_paused)
        told = tell_pause(entry, is_paused=is_paused, relay=relay, home=home, environ=os.environ)
    if in_json:
        entry = replace(entry, is_paused=is_paused)
        click.echo(json.dumps({"source": as_json(entry), "relay": told.to_json()}))
    elif not quiet:
        state = "paused: agents take no more work for it" if is_paused else "served again"
        click.echo(f"{entry.name} is {state}; {told.sentence}")


def _is_in_use(entry: RegisteredSource) -> bool:
    with try_lock(run_lock(home_of(os.environ), entry.source_id), shared=True) as is_free:
        return not is_free


def _told(entry: RegisteredSource, in_use: Iterable[str]) -> dict[str, Any]:
    return as_json(entry) | {"in_use": entry.source_id in in_use}


def _next(console: Console, *commands: tuple[str, str]) -> None:
    """What to do now, one command a line."""
    console.print()
    width = max(len(command) for command, _ in commands)
    for command, what in commands:
        line = f"  {command:<{width}}   {what}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
