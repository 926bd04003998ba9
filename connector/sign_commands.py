"""The command ``linkrow sign``: sign one request, so that another program can send it."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click

from connector import calling
from connector.command_line import errors_as_lines
from connector.home import home_of
from wire.signing import sign_request

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _target(url: str) -> str:
    """What stands in the request line when *url* is asked for; nothing of it is changed."""
    if not url.isascii() or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise click.BadParameter("percent-encode spaces and letters beyond ASCII", param_hint="URL")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(
            "the whole address is needed, as in https://relay.example.com/v1/jobs",
            param_hint="URL",
        )
    if "/./" in f"{parts.path}/" or "/../" in f"{parts.path}/":
        raise click.BadParameter(
            "no . or .. in the path: many clients take them out", param_hint="URL"
        )
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _body(given: str) -> bytes:
    """The text itself, or ``@FILE``'s bytes, ``@-`` those of standard input."""
    if given == "@-":
        return sys.stdin.buffer.read()
    if given.startswith("@"):
        try:
            return Path(given[1:]).read_bytes()
        except OSError as error:
            raise click.BadParameter(
                f"{given[1:]}: {error.strerror or error}", param_hint="BODY"
            ) from error
    return given.encode()


@click.command()
@click.argument("method", type=click.Choice(METHODS, case_sensitive=False))
@click.argument("url")
@click.argument("body", default="")
@click.option("--key", metavar="KEY", default="", help="The Idempotency-Key; signed with the rest.")
@click.option("--json", "in_json", is_flag=True, help="Print the headers as one JSON object.")
def sign(method: str, url: str, body: str, *, key: str, in_json: bool) -> None:
    """Print the headers that sign METHOD URL BODY, for curl -H @- and the like.

    BODY is the text itself, @FILE or @- (standard input); it must be sent byte for byte. The
    signature holds for five minutes, and for one sending. The key to sign with is found as by
    linkrow refresh.
    """
    if key and not calling.is_idempotency_key(key):
        raise click.BadParameter(calling.WRONG_KEY, param_hint="--key")
    content = _body(body)
    with errors_as_lines(in_json=in_json):
        headers = sign_request(
            calling.signing_key(environ=os.environ, home=home_of(os.environ)),
            method=method.upper(),
            target=_target(url),
            body=content,
            now=datetime.now(UTC),
            idempotency_key=key,
        )
    if content:
        headers["Content-Type"] = "application/json"
    if in_json:
        click.echo(json.dumps(headers))
        return
    for name, value in headers.items():
        click.echo(f"{name}: {value}")
