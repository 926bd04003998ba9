"""The command ``linkrow-relay``: read settings, call one function, turn our errors into a line."""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import click

from relay import doctor as doctor_module
from relay.clock import Clock
from relay.config import Config
from relay.errors import (
    AlreadyRunning,
    BadConfig,
    BadMasterKey,
    LedgerError,
    RedisNotFound,
    RedisNotStarted,
    RelayServiceError,
)
from relay.ledger.accounts import NewKey
from relay.provision import provision
from relay.queue.errors import QueueError
from relay.recorder import Recorder
from relay.services import check_redis, services
from relay.supervise import Supervisor


class Exit(IntEnum):
    """How ``linkrow-relay`` ends."""

    STOPPED = 0  # in order
    BAD_CONFIG = 2  # a setting, an option, the master key, or a folder that cannot be used
    ALREADY_RUNNING = 3  # another relay holds the data folder
    REDIS = 4  # there is none, it did not start, or it may lose jobs
    LEDGER = 7  # the database does not answer, or is of another version
    UNWELL = 8  # doctor found something


_data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="The relay's data folder [default: relay/ in LINKROW_HOME].",
)
_json = click.option("--json", "in_json", is_flag=True, help="Answer with one JSON object.")
_stdin = click.option(
    "--until-stdin-closes",
    is_flag=True,
    help="Stop when standard input closes: for a parent that may be killed.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("linkrow"), prog_name="linkrow-relay")
def main() -> None:
    """Run the relay: the service that takes signed jobs and hands them to agents.

    \b
    Exit codes: 0 stopped, 2 bad settings, 3 already running, 4 Redis,
    5 an extra is not installed, 6 not on this system, 7 ledger, 8 unwell
    """  # noqa: D301 - click wants the letter itself


@main.command()
@_data
@_json
def init(data: Path | None, in_json: bool) -> None:
    """Make the data folder: master key, tables, account, API key, device key."""
    with _errors_as_lines():
        config = Config.from_env(os.environ, data=data)
        made = provision(config, now=datetime.now(UTC))
    if in_json:
        click.echo(
            json.dumps(
                {
                    "data": str(made.folder),
                    "account_id": made.account_id,
                    "api_key": _key_json(made.api_key),
                    "device_key": _key_json(made.device_key),
                    "device_file": str(made.device_file),
                }
            )
        )
        return
    click.echo(f"data folder  {made.folder}")
    click.echo(f"account      {made.account_id}")
    for name, key in (("API key", made.api_key), ("device key", made.device_key)):
        if key is None:
            click.echo(f"{name:<12} is there already")
        else:
            click.echo(f"{name:<12} {key.key_id}")
            click.echo(f"{'  secret':<12} {key.secret}   shown once: keep it")
    click.echo(f"device file  {made.device_file}")


def _key_json(key: NewKey | None) -> dict[str, str | None] | None:
    if key is None:
        return None
    return {"key_id": key.key_id, "secret": key.secret, "device_id": key.device_id}


@main.command()
@_data
@click.option("--bind", metavar="HOST:PORT", help="Where to listen; port 0 is any free one.")
@click.option(
    "--while-used",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Stop once no process holds a lock on FILE any more.",
)
def up(data: Path | None, bind: str | None, while_used: Path | None) -> None:
    """Run all of it: Redis unless one is given, service, clock and recorder."""
    _log_to_stderr()
    with _errors_as_lines(), _stopping() as stop:
        config = Config.from_env(os.environ, data=data, bind=bind)
        check_redis(config)
        provision(config, now=datetime.now(UTC), with_api_key=False)
        Supervisor(config=config, environ=os.environ, stop=stop, while_used=while_used).run()


@main.command()
@_data
@click.option("--bind", metavar="HOST:PORT", help="Where to listen; port 0 is any free one.")
@click.option("--fd", type=int, help="A listening socket that was handed over.")
@_stdin
def serve(data: Path | None, bind: str | None, fd: int | None, until_stdin_closes: bool) -> None:
    """Run the HTTP service."""
    # Here and not above: every other process starts in half the time without a web framework.
    from relay.serve import serve as serve_http  # noqa: PLC0415

    _log_to_stderr()
    with _errors_as_lines():
        config = _with_redis(Config.from_env(os.environ, data=data, bind=bind))
        listener = socket.socket(fileno=fd) if fd is not None else None
        serve_http(config, listener=listener, until_stdin_closes=until_stdin_closes)


@main.command()
@_data
@_stdin
def clock(data: Path | None, until_stdin_closes: bool) -> None:
    """Take back dead leases, end what expired, fill a lost Redis again."""
    _log_to_stderr()
    with _errors_as_lines(), _stopping(until_stdin_closes=until_stdin_closes) as stop:
        config = _with_redis(Config.from_env(os.environ, data=data))
        with services(config) as parts:
            Clock(parts.broker, parts.ledger).run(stop)


@main.command()
@_data
@_stdin
def recorder(data: Path | None, until_stdin_closes: bool) -> None:
    """Write the books: drain what happened in Redis into the ledger."""
    _log_to_stderr()
    with _errors_as_lines(), _stopping(until_stdin_closes=until_stdin_closes) as stop:
        config = _with_redis(Config.from_env(os.environ, data=data))
        with services(config) as parts:
            Recorder(parts.broker, parts.ledger).run(stop)


@main.command()
@_data
@_json
def doctor(data: Path | None, in_json: bool) -> None:
    """Say what is wrong, and the cure."""
    with _errors_as_lines():
        config = Config.from_env(os.environ, data=data)
        findings = doctor_module.examine(config)
    if in_json:
        click.echo(json.dumps([finding.as_json() for finding in findings]))
    else:
        for finding in findings:
            mark = click.style("ok  ", fg="green") if finding.ok else click.style("bad ", fg="red")
            click.echo(f"{mark}{finding.what}: {finding.says}")
    if not all(finding.ok for finding in findings):
        raise SystemExit(Exit.UNWELL)


def _with_redis(config: Config) -> Config:
    """A part that runs on its own must be told its Redis, or find the one that `up` started."""
    if config.redis_url is not None:
        return config
    found = doctor_module.running_redis(config)
    if found is None:
        raise BadConfig(["LINKROW_REDIS_URL is not set, and no relay is up here; name a Redis"])
    return found


@contextmanager
def _stopping(*, until_stdin_closes: bool = False) -> Iterator[threading.Event]:
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        stop.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    if until_stdin_closes:

        def watch() -> None:
            # Not through sys.stdin: its lock would be held when the interpreter ends.
            while os.read(0, 4096):
                pass
            stop.set()

        threading.Thread(target=watch, name="parent", daemon=True).start()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _errors_as_lines() -> Iterator[None]:
    try:
        yield
    except (RelayServiceError, QueueError) as error:
        _fail(error)
    except BrokenPipeError:
        raise  # whoever read our answer has gone; click ends quietly
    except OSError as error:
        click.echo(f"linkrow-relay: {error} [system_error]", err=True)
        raise SystemExit(Exit.BAD_CONFIG) from error


def _fail(error: Exception) -> NoReturn:
    kinds: list[tuple[Any, Exit]] = [
        ((BadConfig, BadMasterKey), Exit.BAD_CONFIG),
        (AlreadyRunning, Exit.ALREADY_RUNNING),
        ((RedisNotFound, RedisNotStarted, QueueError), Exit.REDIS),
        (LedgerError, Exit.LEDGER),
    ]
    code = next((exit_code for kind, exit_code in kinds if isinstance(error, kind)), Exit.UNWELL)
    name = getattr(error, "code", "redis")
    click.echo(f"linkrow-relay: {error} [{name}]", err=True)
    raise SystemExit(code)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Alembic and SQLAlchemy speak of their own affairs.
    logging.getLogger("alembic").setLevel(logging.WARNING)


if __name__ == "__main__":
    main()
