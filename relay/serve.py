"""Serve the app over HTTP with gunicorn: threads, keep-alive, and an end when our parent ends."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication

from relay.app import create_app
from relay.config import Config
from relay.errors import LedgerUnavailable
from relay.keyring import Keyring
from relay.ledger.ledger import Ledger
from relay.listening import listen, url_of
from relay.parts import Parts
from relay.provision import open_box
from relay.services import services

logger = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS: Final = 75
_GRACE_SECONDS: Final = 4
_MAX_REQUEST_LINE: Final = 8190  # gunicorn's own limit


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn, configured here instead of by a file or the environment."""

    def __init__(self, load: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._load = load
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)
        if "control_socket_disable" in self.cfg.settings:
            # Newer versions open a socket in the home folder for a tool of theirs.
            self.cfg.set("control_socket_disable", True)

    def load(self) -> Flask:
        return self._load()


def serve(
    config: Config, *, listener: socket.socket | None = None, until_stdin_closes: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT. *listener* is a socket that listens already.

    *config* must name a Redis. Never returns: gunicorn ends the process. Raises BadConfig,
    BadMasterKey or LedgerNotMigrated; a ledger that does not answer is waited for, request by
    request.
    """
    _check(config)
    if listener is None:
        listener = listen(config)
        logger.info("serving at %s", url_of(listener, config))
    options = {
        "bind": [f"fd://{listener.detach()}"],
        "workers": config.workers,
        "worker_class": "gthread",
        "threads": config.threads,
        "keepalive": _KEEP_ALIVE_SECONDS,
        "graceful_timeout": _GRACE_SECONDS,
        "timeout": 60,
        "worker_connections": 1000,
        "limit_request_line": _MAX_REQUEST_LINE,
        "limit_request_fields": 60,
        "forwarder_headers": "",  # no header of a caller's is anything but a header
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "warning",
        "proc_name": "linkrow-relay",
    }
    options["post_fork"] = _end_with_master()
    logging.getLogger("gunicorn.error").addFilter(_is_our_affair)
    if until_stdin_closes:
        threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
    _Server(lambda: _load(config), options).run()


def _load(config: Config) -> Flask:
    """The app of one worker, with connections of its own."""
    stack = ExitStack()  # ends with the process
    parts = stack.enter_context(services(config))
    return create_app(
        Parts(
            broker=parts.broker,
            ledger=parts.ledger,
            keyring=Keyring(parts.ledger, parts.box),
            allow_unsafe_redis=config.allow_unsafe_redis,
            max_waiting=max(1, config.threads * 3 // 4),
        )
    )


def _end_with_master() -> Callable[[object, object], None]:
    """A worker outlives a master that was killed by as much as the master would have let it.

    Else a long poll would hold it, and with it every caller whose connection nobody reads any more.
    """
    reading, writing = os.pipe()  # only the master keeps the writing end

    def watch() -> None:
        os.read(reading, 1)
        time.sleep(_GRACE_SECONDS)
        os._exit(1)

    def after_fork(server: object, worker: object) -> None:
        os.close(writing)
        threading.Thread(target=watch, name="master", daemon=True).start()

    return after_fork


def _is_our_affair(record: logging.LogRecord) -> bool:
    """A caller who fell asleep in mid-request (relay/listening.py) is nothing to report."""
    return not (record.exc_info and isinstance(record.exc_info[1], BlockingIOError))


def _watch_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _check(config: Config) -> None:
    """What would make every request fail is said before the first one."""
    open_box(config)
    ledger = Ledger.open(config.database_url)
    try:
        ledger.check_version()
    except LedgerUnavailable as error:
        logger.warning("%s", error)
    finally:
        ledger.close()  # a worker must not inherit a connection
