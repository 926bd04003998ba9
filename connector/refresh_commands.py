"""The command ``linkrow refresh``: have a source's rows checked by the agent that serves it."""

import json
import os
import re
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console

from connector import calling, refreshes
from connector.command_line import age_of, errors_as_lines, stopping
from connector.errors import ConnectorError
from connector.home import home_of
from connector.refresh_screen import Watching, phase_of, summary
from connector.refreshes import Exit
from connector.registry import Registry
from connector.relay_client import RelayClient
from wire import ids
from wire.models import RefreshProgress
from wire.source_models import (
    MAX_REFRESH_EXPIRES_IN,
    MAX_REFRESH_ROWS,
    RefreshRequest,
    SourceRequest,
)
from wire.vocab import REFRESH_IS_OVER, RefreshScope

_SEEN_WAIT = 1  # seconds between two looks of somebody who watches
_UNSEEN_WAIT = 5  # and where nobody does; also how late Ctrl-C may be heard
_SOURCE_ID = re.compile(ids.SOURCE_ID, re.ASCII)
_REFRESH_ID = re.compile(ids.REFRESH_ID, re.ASCII)


def _refresh_id(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given is not None and not _REFRESH_ID.fullmatch(given):
        raise click.BadParameter(f"{given!r} is no refresh; expected rf_…")
    return given


def _key(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given is not None and not calling.is_idempotency_key(given):
        raise click.BadParameter(f"{given!r}: {calling.WRONG_KEY}")
    return given


def _rows(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """The ids as given; ``-`` stands for those on standard input, one a line."""
    rows: list[str] = []
    for each in given:
        if each == "-":
            rows += [line.strip() for line in sys.stdin if line.strip()]
        else:
            rows.append(each.strip())
    if given and not rows:
        raise click.BadParameter("no row id was given")
    if len(rows) > MAX_REFRESH_ROWS:
        raise click.BadParameter(f"{len(rows)} rows; at most {MAX_REFRESH_ROWS} at once")
    return tuple(dict.fromkeys(rows))


def _expires(
    context: click.Context, option: click.Parameter, given: str | None
) -> timedelta | None:
    age = age_of(context, option, given)
    if age is not None and not 1 <= age.total_seconds() <= MAX_REFRESH_EXPIRES_IN:
        raise click.BadParameter("between 1s and 7d")
    return age


@click.command()
@click.argument("source")
@click.option("--all", "all_rows", is_flag=True, help="Check every row (this is usual).")
@click.option(
    "--stale",
    metavar="AGE",
    callback=age_of,
    help="Check rows whose last check is older than AGE (90m, 24h, 7d).",
)
@click.option("--failed", is_flag=True, help="Check rows whose check_status is failed.")
@click.option(
    "--rows",
    "rows",
    multiple=True,
    metavar="ID",
    callback=_rows,
    help="Check this row. May be repeated; - reads ids from standard input, one a line.",
)
@click.option("--watch", is_flag=True, help="Show how far it is, until it is over.")
@click.option("--wait", is_flag=True, help="Wait until it is over, without a word.")
@click.option(
    "--timeout",
    metavar="AGE",
    callback=age_of,
    help="Wait so long at most; the refresh goes on (exit code 6).",
)
@click.option(
    "--key",
    callback=_key,
    metavar="KEY",
    help="The same KEY is the same refresh, however often it is asked for: for schedulers.",
)
@click.option(
    "--expires-in",
    metavar="AGE",
    callback=_expires,
    help="Give up when no agent took it within AGE (24h is usual).",
)
@click.option(
    "--id", "followed", metavar="RID", callback=_refresh_id, help="Follow RID, ask for none."
)
@click.option("--cancel", metavar="RID", callback=_refresh_id, help="End RID and its jobs.")
@click.option(
    "--relay", metavar="URL", help="The relay; else LINKROW_RELAY_URL, else the one here."
)
@click.option("--json", "in_json", is_flag=True, help="Print how it stands as one JSON object.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def refresh(source: str, **given: Any) -> None:
    """Have the rows of SOURCE checked by the agent that serves it.

    SOURCE is a registered source (its id, name or place), or the id of one that is registered
    elsewhere (src_…). The key to sign with is LINKROW_API_KEY and LINKROW_API_SECRET, or the file
    that LINKROW_API_KEY_FILE names, else this machine's device key.

    \b
    Exit codes:
      0  asked for; with --watch or --wait: every row has its ending, in its row
      2  an option, the key or the name of the source cannot be used
      3  canceled, or a row could not be written, expired or is not there
      4  the relay is not there, or refused
      5  the source could not be read, or no agent took it in time
      6  it goes on, but was waited for no longer (Ctrl-C, --timeout)
    """  # noqa: D301 - click wants the letter itself
    request = _request(given)
    in_json, quiet = given["in_json"], given["quiet"]
    with errors_as_lines(in_json=in_json), _client(given["relay"]) as client:
        known = _source(source)
        assert known.source_id
        source_id = known.source_id
        if given["cancel"]:
            ended = client.cancel_refresh(source_id, given["cancel"])
            _tell(ended, Exit.OK, in_json=in_json, quiet=quiet)
            raise SystemExit(Exit.OK)
        refresh_id, asked = given["followed"], None
        if refresh_id is None:
            key = given["key"] or secrets.token_urlsafe(16)
            # Nothing is known of a bare id but that: then it is the relay that has to know it.
            known_as = known if known.kind else None
            asked = refreshes.ask(client, source_id, request, key=key, known_as=known_as).refresh
            refresh_id = asked.refresh_id
            if not (given["watch"] or given["wait"]):
                is_over = asked.state in REFRESH_IS_OVER
                code = refreshes.exit_of(asked) if is_over else Exit.OK
                _tell(asked, code, in_json=in_json, quiet=quiet)
                if not is_over and not quiet:
                    _say_how_to_go_on(source, refresh_id)
                raise SystemExit(code)
        is_watched = given["watch"] or not given["wait"]
        followed = _Followed(client, source_id, refresh_id, asked)
        is_over = followed.until_over(
            timeout=given["timeout"], is_quiet=quiet or in_json or not is_watched
        )
        code = Exit.STILL_RUNNING
        if followed.last is not None:
            code = refreshes.exit_of(followed.last)
            _tell(followed.last, code, in_json=in_json, quiet=quiet)
        if not is_over:
            click.echo(f"linkrow: {refresh_id} goes on, without being waited for", err=True)
            _say_how_to_go_on(source, refresh_id)
    raise SystemExit(code)


def _tell(progress: RefreshProgress, code: Exit, *, in_json: bool, quiet: bool) -> None:
    """How it stands: an object for machines; for people a sentence, or a table at its end."""
    if in_json:
        found = progress.model_dump(mode="json") | {"exit": code.name.lower()}
        click.echo(json.dumps(found))
    elif progress.state in REFRESH_IS_OVER:
        if not quiet:
            summary(progress, Console())
        elif progress.error is not None:
            error = progress.error
            click.echo(f"linkrow: {error.detail} [{error.code}]", err=True)
    elif not quiet:
        click.echo(f"refresh {progress.refresh_id}: {phase_of(progress)}")


def _say_how_to_go_on(source: str, refresh_id: str) -> None:
    named = shlex.quote(source)
    click.echo(f"watch it:   linkrow refresh {named} --id {refresh_id}", err=True)
    click.echo(f"cancel it:  linkrow refresh {named} --cancel {refresh_id}", err=True)


def _request(given: dict[str, Any]) -> RefreshRequest:
    scopes = [
        name
        for name, is_on in (
            ("--all", given["all_rows"]),
            ("--stale", given["stale"] is not None),
            ("--failed", given["failed"]),
            ("--rows", bool(given["rows"])),
        )
        if is_on
    ]
    if len(scopes) > 1:
        raise click.UsageError(f"{' and '.join(scopes)} exclude each other")
    if given["cancel"] or given["followed"]:
        if scopes or given["key"] or given["expires_in"]:
            raise click.UsageError("--id and --cancel are about a refresh that was asked for")
        if given["cancel"] and given["followed"]:
            raise click.UsageError("--id and --cancel exclude each other")
    if given["timeout"] is not None and not (given["watch"] or given["wait"] or given["followed"]):
        raise click.UsageError("--timeout needs --watch or --wait")
    terms: dict[str, Any] = {}
    if given["stale"] is not None:
        seconds = int(given["stale"].total_seconds())
        terms = {"scope": RefreshScope.STALE, "max_age_seconds": seconds}
    elif given["failed"]:
        terms = {"scope": RefreshScope.FAILED}
    elif given["rows"]:
        terms = {"scope": RefreshScope.ROWS, "row_ids": list(given["rows"])}
    if given["expires_in"] is not None:
        terms["expires_in"] = int(given["expires_in"].total_seconds())
    try:
        return RefreshRequest.model_validate(terms)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        raise click.UsageError(f"{where}: {first['msg']}") from error


@contextmanager
def _client(relay: str | None) -> Iterator[RelayClient]:
    home = home_of(os.environ)
    url = calling.relay_url(relay, environ=os.environ, home=home)
    key = calling.signing_key(environ=os.environ, home=home)
    client = RelayClient(url, key)
    try:
        yield client
    finally:
        client.close()


def _source(named: str) -> SourceRequest:
    """The registered source that is called so, or the bare id of one that is registered elsewhere.

    *kind* and *name* are known of one that is registered here.
    """
    try:
        entry = Registry(home_of(os.environ)).find(named)
    except ConnectorError:
        if _SOURCE_ID.fullmatch(named):
            return SourceRequest(source_id=named)
        raise
    age = None if entry.max_age is None else int(entry.max_age.total_seconds())
    name = "".join(letter if letter.isprintable() else " " for letter in entry.name)
    return SourceRequest(
        source_id=entry.source_id, kind=entry.kind, name=name[:200], max_age_seconds=age
    )


class _Followed:
    """A refresh that is being waited for, and how it stood when it was *last* heard of."""

    def __init__(
        self,
        client: RelayClient,
        source_id: str,
        refresh_id: str,
        last: RefreshProgress | None,
    ) -> None:
        self._client = client
        self._source_id = source_id
        self._refresh_id = refresh_id
        self.last = last

    def until_over(self, *, timeout: timedelta | None, is_quiet: bool) -> bool:
        """Whether it is over; else it is waited for no longer."""
        watching = Watching(Console(stderr=True), quiet=is_quiet)

        def show(progress: RefreshProgress) -> None:
            self.last = progress
            watching.show(progress)

        try:
            if self.last is not None:
                watching.show(self.last)
            with stopping() as stop:
                ended = refreshes.follow(
                    self._client,
                    self._source_id,
                    self._refresh_id,
                    on_progress=show,
                    on_away=watching.away,
                    stop=stop,
                    timeout=timeout,
                    wait=_UNSEEN_WAIT if is_quiet else _SEEN_WAIT,
                )
        finally:
            watching.end()
        return ended is not None
