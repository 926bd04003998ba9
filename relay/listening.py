"""The socket that the service listens on, and how long a silent caller may hold it."""

import socket
import struct
from typing import Final

from relay.config import Config
from relay.errors import BadConfig

STALL_SECONDS: Final = 30
"""A caller that sends nothing, or takes nothing, for so long in mid-request is gone."""


def listen(config: Config, *, stall_seconds: int = STALL_SECONDS) -> socket.socket:
    """A socket that listens where *config* says; port 0 is any free one. Raises BadConfig.

    Accepted connections inherit the time limits from it: a laptop that falls asleep while it sends
    must not hold a thread for ever.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = struct.pack("ll", stall_seconds, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        listener.bind((config.host, config.port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise BadConfig(
            [f"cannot listen on {config.host}:{config.port} ({error.strerror}); try --bind"]
        ) from error
    return listener


def url_of(listener: socket.socket, config: Config) -> str:
    """Where callers on this machine find *listener*."""
    host, port = config.host, listener.getsockname()[1]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - asked for by the operator
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
