"""The Lua scripts in one Redis, and the one place where Redis' exceptions become ours."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any, Final

import redis as redis_py

from relay.queue.errors import RedisUnavailable

_NAMES: Final = (
    "admit", "cancel", "cancel_refresh", "cancel_rows", "forget", "lease", "nonce", "reads",
    "refresh", "release", "renew", "report", "restore", "restore_refresh", "seen", "source",
    "sweep", "writebacks",
)  # fmt: skip

_LIBRARY: Final = ("library.lua", "strangers.lua", "refreshing.lua")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Redis' exceptions stop here. A full Redis has done nothing of what was asked."""
    try:
        yield
    except redis_py.exceptions.RedisError as error:
        raise RedisUnavailable(f"{type(error).__name__}: {str(error)[:200]}") from error


class Scripts:
    """The queue's transitions, each of them one script that runs whole or not at all."""

    def __init__(self, redis: "redis_py.Redis") -> None:
        self._scripts = {name: redis.register_script(_text(name)) for name in _NAMES}

    def run(self, name: str, arguments: Sequence[Any]) -> Any:
        """What the script *name* answers. Raises RedisUnavailable."""
        with redis_errors():
            return self._scripts[name](args=list(arguments))


@cache
def _text(name: str) -> str:
    folder = resources.files("relay.queue") / "lua"
    library = "\n".join((folder / name).read_text("utf-8") for name in _LIBRARY)
    act = (folder / f"{name}.lua").read_text("utf-8")
    return f"{library}\nlocal function act()\n{act}\nend\nreturn conduct(act)\n"
