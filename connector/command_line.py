"""What the commands of ``linkrow`` share: how options are read, how errors become one line."""

import ipaddress
import json
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn

import click

from connector.errors import ConnectorError, RelayNotStarted
from connector.relay_errors import RelayError
from connector.running.summary import Exit
from wire.vocab import ROW_COLUMNS, TOOL_COLUMNS

_AGE = re.compile(r"(\d{1,6})\s*([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def columns_of(
    context: click.Context, option: click.Parameter, given: Sequence[str]
) -> dict[str, str]:
    """``--column OURS=THEIRS``, given any number of times."""
    columns: dict[str, str] = {}
    for pair in given:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs.strip():
            raise click.BadParameter(f"{pair!r}: write it as tracking_url=Link")
        if ours.strip() not in (*ROW_COLUMNS, *TOOL_COLUMNS):
            known = ", ".join((*ROW_COLUMNS, *TOOL_COLUMNS))
            raise click.BadParameter(f"{ours!r} is none of our columns; they are {known}")
        columns[ours.strip()] = theirs.strip()
    return columns


def age_of(context: click.Context, option: click.Parameter, given: str | None) -> timedelta | None:
    """An age as people write it: 90m, 24h, 7d."""
    if given is None:
        return None
    found = _AGE.fullmatch(given.strip())
    if not found:
        raise click.BadParameter(f"{given!r}: write an age as 90m, 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def networks_of(
    context: click.Context, option: click.Parameter, given: Sequence[str]
) -> tuple[str, ...]:
    """Networks as 10.0.0.0/8."""
    for network in given:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise click.BadParameter(f"{error}; write a network as 10.0.0.0/8") from error
    return tuple(given)


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def errors_as_lines(*, in_json: bool) -> Iterator[None]:
    """What goes wrong becomes one line on standard error, and an exit code."""
    try:
        yield
    except RelayNotStarted as error:
        fail(Exit.REFUSED, code=error.code, sentence=str(error), in_json=in_json)
    except ConnectorError as error:
        fail(Exit.BAD_INPUT, code=error.code, sentence=str(error), in_json=in_json)
    except RelayError as error:
        fail(Exit.REFUSED, code=error.code, sentence=str(error), in_json=in_json)


def fail(exit_code: Exit, *, code: str, sentence: str, in_json: bool) -> NoReturn:
    """End with one line; with *in_json* also as one object on standard output."""
    if in_json:
        failure = {"exit": exit_code.name.lower(), "error": {"code": code, "detail": sentence}}
        click.echo(json.dumps(failure))
    click.echo(f"linkrow: {sentence} [{code}]", err=True)
    raise SystemExit(exit_code)


def age_text(age: timedelta | None) -> str:
    """An age as ``age_of`` reads it; blank for none."""
    if age is None:
        return ""
    seconds = int(age.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
