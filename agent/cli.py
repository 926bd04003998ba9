"""The command ``linkrow-agent``: parse, build settings, call one function, errors into a line."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent import credentials as device_key
from agent import doctor as doctor_module
from agent.agent import Agent
from agent.duty import Duty
from agent.errors import AgentError, BadSetting, SpoolBusy, SpoolError
from agent.events import Events
from agent.resolver import Resolved, Resolver, resolve
from agent.roster import RegistryRoster
from agent.settings import Settings
from agent.spool import Spool
from agent.writeback import Pace
from connector.errors import ConnectorError
from connector.patience import Patience
from connector.registered import RegisteredSource, name_of
from connector.registry import Registry
from connector.relay_client import RelayClient
from connector.relay_errors import RelayError
from connector.rewriting import seconds_to_write
from wire.errors import Malformed
from wire.expected_domain import parse as parse_expectation
from wire.models import Outcome

_IN_FLIGHT = 256
_DRAIN_SECONDS = 20.0
_ROSTER_POLL_SECONDS = 5  # a source that was just added is announced with the next lease call
_CALL = Patience(attempts=2, seconds=5.0)


class Exit(IntEnum):
    """How ``linkrow-agent`` ends."""

    OK = 0  # stopped in good order, or the question was answered
    BAD_SETTING = 2  # an option, the key or the file cannot be used
    UNFINISHED = 3  # results are left in the spool, or the doctor found a problem
    REFUSED = 4  # the relay refused, or what answers is none
    BUSY = 5  # another agent already works here
    SPOOL = 6  # the spool is damaged, or its disk is full


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("linkrow"), prog_name="linkrow-agent")
def main() -> None:
    """Work for a relay from this machine: follow links, write answers into rows.

    Without a relay:  linkrow-agent resolve https://example.com/
    """


def _working(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that works for a relay."""
    for option in reversed(
        (
            click.option(
                "--relay",
                metavar="URL",
                help="The relay; else LINKROW_RELAY_URL, else the one of this data folder.",
            ),
            click.option(
                "--home",
                type=click.Path(path_type=Path),
                help="This user's data folder; else LINKROW_HOME, else the usual one.",
            ),
            click.option(
                "--file",
                type=click.Path(path_type=Path),
                help="Serve this CSV and nothing else; without it, what is registered here.",
            ),
            click.option(
                "--sheet", metavar="URL", help="Serve this tab of a Google Sheet and nothing else."
            ),
            click.option("--name", default="", help="What people call the sheet."),
            click.option(
                "--source-id", metavar="ID", help="What the relay calls it; else remembered."
            ),
            click.option(
                "--results-tab", is_flag=True, help="Write results into a tab of their own."
            ),
            click.option(
                "--credentials",
                type=click.Path(path_type=Path),
                help="Google credentials for SHEET; else this machine's usual ones.",
            ),
            click.option(
                "--protect", is_flag=True, help="Warn whoever edits result columns made in SHEET."
            ),
            click.option(
                "--column",
                "columns",
                multiple=True,
                metavar="OURS=THEIRS",
                help="Which heading holds one of our columns. May be repeated.",
            ),
            *_WALKING,
            click.option(
                "--events", is_flag=True, help="Say what happens as JSON lines on standard output."
            ),
            click.option(
                "--until-stdin-closes",
                is_flag=True,
                help="Stop when standard input ends: when whoever started us is gone.",
            ),
            click.option("--quiet", is_flag=True, help="Say nothing but errors."),
        )
    ):
        command = option(command)
    return command


_WALKING = (
    click.option(
        "--allow-private",
        multiple=True,
        metavar="CIDR",
        help="Private network that links may lead to, as in 10.0.0.0/8. May be repeated.",
    ),
    click.option(
        "--cafile", type=click.Path(path_type=Path), help="CA certificates to trust (PEM)."
    ),
)


@main.command()
@_working
def run(**options: Any) -> None:
    """Work until stopped: Ctrl-C and SIGTERM finish what is in hand.

    \b
    Exit codes:
      0  stopped, nothing left behind
      2  an option, the key or the file cannot be used
      3  stopped, some results wait in the spool for the next start
      4  the relay refused, or what answers is none
      5  another agent already works here
      6  the spool is damaged, or its disk is full
    """  # noqa: D301 - click wants the letter itself
    _work(options, until_empty=False)


@main.command()
@_working
def once(**options: Any) -> None:
    """Work until nothing is left, then end. Exit codes as of run."""
    _work(options, until_empty=True)


@main.command(name="resolve")
@click.argument("url")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--expected-domain", default="", metavar="DOMAINS", help="Where the link should land."
)
@_WALKING[0]
@_WALKING[1]
def resolve_command(
    url: str,
    in_json: bool,
    expected_domain: str,
    allow_private: tuple[str, ...],
    cafile: Path | None,
) -> None:
    """Walk one link and show every hop; no relay needed.

    Exit code 0 when there is an answer, also "it does not land"; 2 for bad usage.
    """
    with _errors_as_lines():
        settings = Settings.from_options(os.environ, allow_private=allow_private, cafile=cafile)
        try:
            parse_expectation(expected_domain)
        except Malformed as error:
            raise BadSetting((f"--expected-domain {expected_domain}: {error.why}",)) from error
        resolved = resolve(
            url,
            expected_domain=expected_domain,
            allow=settings.allow,
            cafile=str(settings.cafile) if settings.cafile else None,
        )
    if in_json:
        click.echo(json.dumps(_as_json(url, resolved)))
    else:
        _show(url, resolved.outcome, Console())


@main.command()
@click.option("--relay", metavar="URL", help="The relay to look at.")
@click.option("--home", type=click.Path(path_type=Path), help="The data folder to look at.")
@click.option("--json", "in_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor(relay: str | None, home: Path | None, in_json: bool) -> None:
    """What is wrong here, and the cure. Exit code 0 when nothing is, else 3."""
    with _errors_as_lines():
        settings = Settings.from_options(os.environ, relay=relay, home=home)
    findings = doctor_module.examine(settings, environ=os.environ)
    is_well = all(finding.is_well for finding in findings)
    if in_json:
        listed = [
            {"what": each.what, "ok": each.is_well, "detail": each.detail} for each in findings
        ]
        click.echo(json.dumps({"ok": is_well, "findings": listed}))
    else:
        for each in findings:
            click.echo(f"{'ok     ' if each.is_well else 'PROBLEM'}  {each.what}: {each.detail}")
    raise SystemExit(Exit.OK if is_well else Exit.UNFINISHED)


def _work(options: dict[str, Any], *, until_empty: bool) -> None:
    """Put an agent together and let it work."""
    events, quiet = options.pop("events"), options.pop("quiet")
    watches_stdin = options.pop("until_stdin_closes")
    logging.basicConfig(
        level=logging.ERROR if quiet else logging.INFO,
        format="linkrow-agent: %(message)s",
        stream=sys.stderr,
    )
    with _stopping(watches_stdin=watches_stdin) as stop, _errors_as_lines(), ExitStack() as stack:
        settings = Settings.from_options(os.environ, **options)
        found = device_key.find(os.environ, settings.home, relay=settings.relay)
        relay = RelayClient(settings.relay, found, patience=_CALL)
        stack.callback(relay.close)
        entry = _entry(settings)
        name = entry.source_id if entry else f"device-{found.key_id}"
        spool = stack.enter_context(Spool(settings.spool_path(name)))
        agent = Agent(
            _duty(settings, entry),
            relay=relay,
            spool=spool,
            walker=lambda: Resolver(
                allow=settings.allow,
                cafile=str(settings.cafile) if settings.cafile else None,
                max_in_flight=_IN_FLIGHT,
            ),
            stop=stop,
            events=Events(sys.stdout if events else None),
        )
        left = agent.run(until_empty=until_empty)
    raise SystemExit(Exit.UNFINISHED if left else Exit.OK)


def _entry(settings: Settings) -> RegisteredSource | None:
    """The one source that was named, as if it were registered; None serves what is."""
    if settings.place is None:
        return None
    place = settings.place
    return RegisteredSource(
        source_id=settings.source_id or Registry(settings.home).source_id_of(place),
        name=settings.name or name_of(place),
        place=place,
        added_at=datetime.now(UTC),
        columns=settings.columns,
        mode=settings.mode,
        credentials=settings.credentials,
        is_protected=settings.protect,
    )


def _duty(settings: Settings, entry: RegisteredSource | None) -> Duty:
    roster = RegistryRoster(settings.home, environ=os.environ, file_pace=Pace())
    if entry is None:
        return Duty(
            roster=roster,
            refreshes=True,
            poll_seconds=_ROSTER_POLL_SECONDS,
            in_flight=_IN_FLIGHT,
            drain_seconds=_DRAIN_SECONDS,
        )
    return Duty(
        sources={entry.source_id: roster.open(entry)},
        sourceless=False,
        pace=roster.pace(entry),
        in_flight=_IN_FLIGHT,
        drain_seconds=_DRAIN_SECONDS + seconds_to_write(entry.place),
    )


@contextmanager
def _stopping(*, watches_stdin: bool) -> Iterator[threading.Event]:
    """An event set by Ctrl-C, SIGTERM or the end of standard input; a second Ctrl-C ends now."""
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            os._exit(128 + number)
        stop.set()

    def watch() -> None:
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            pass
        stop.set()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), on_signal)
    if watches_stdin:
        threading.Thread(target=watch, name="stdin", daemon=True).start()
    yield stop


@contextmanager
def _errors_as_lines() -> Iterator[None]:
    try:
        yield
    except SpoolBusy as error:
        _fail(Exit.BUSY, error.code, error)
    except SpoolError as error:
        _fail(Exit.SPOOL, error.code, error)
    except AgentError as error:
        _fail(Exit.BAD_SETTING, error.code, error)
    except ConnectorError as error:
        _fail(Exit.BAD_SETTING, error.code, error)
    except RelayError as error:
        _fail(Exit.REFUSED, error.code, error)


def _fail(exit_code: Exit, code: str, error: Exception) -> NoReturn:
    click.echo(f"linkrow-agent: {error} [{code}]", err=True)
    raise SystemExit(exit_code)


def _as_json(url: str, resolved: Resolved) -> dict[str, Any]:
    found: dict[str, Any] = resolved.outcome.model_dump(mode="json")
    return {"url": url, "ms": resolved.ms} | found


def _show(url: str, outcome: Outcome, console: Console) -> None:
    table = Table(title=None, show_edge=False)
    for heading in ("", "status", "by", "ms", "address", "url"):
        table.add_column(heading, overflow="fold")
    for number, hop in enumerate(outcome.hops, 1):
        status = "" if hop.status is None else str(hop.status)
        cells = (str(number), status, hop.kind, str(hop.ms), hop.ip or "", hop.url)
        # What a stranger's server says is never markup.
        table.add_row(*(_plain(cell) for cell in cells))
    if outcome.hops:
        console.print(table)
    console.print(f"{outcome.conclusion}", style="bold", markup=False, highlight=False)
    if outcome.final_url:
        console.print(outcome.final_url, markup=False, highlight=False, soft_wrap=True)
    if outcome.error:
        console.print(outcome.error.detail, markup=False, highlight=False)


def _plain(text: str) -> Text:
    return Text("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


if __name__ == "__main__":
    main()
