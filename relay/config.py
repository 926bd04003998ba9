"""The relay's settings: read once, checked whole. A Config that exists is a Config that works."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
from redis.connection import parse_url

from relay.errors import BadConfig
from relay.queue.terms import QueueSettings

DEFAULT_BIND = "127.0.0.1:8790"
_BIND = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+):(\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a relay process is told. *redis_url* None: a private Redis in the data folder."""

    data: Path
    host: str
    port: int
    database_url: str = field(repr=False)
    redis_url: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)
    master_key_file: Path
    workers: int = 1
    threads: int = 32
    allow_unsafe_redis: bool = False
    queue: QueueSettings = field(default_factory=QueueSettings)

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str], *, data: Path | None = None, bind: str | None = None
    ) -> "Config":
        """Read *environ*; *data* and *bind* (a command's options) win. Raises BadConfig."""
        problems: list[str] = []
        folder = data or home_of(environ) / "relay"
        host, port = _bind(bind or environ.get("LINKROW_BIND") or DEFAULT_BIND, problems)

        def number(name: str, default: int, low: int, high: int) -> int:
            return _number(environ, name, default, low, high, problems)

        redis_url = environ.get("LINKROW_REDIS_URL") or None
        if redis_url and not redis_url.startswith(("redis://", "rediss://", "unix://")):
            problems.append("LINKROW_REDIS_URL must begin with redis://, rediss:// or unix://")
        elif redis_url and not _is_readable(redis_url):
            problems.append("LINKROW_REDIS_URL cannot be read; write redis://HOST:PORT/NUMBER")
        database_url = environ.get("LINKROW_DATABASE_URL") or f"sqlite:///{folder}/ledger.sqlite3"
        if not database_url.startswith(("sqlite:///", "postgresql")):
            problems.append(
                "LINKROW_DATABASE_URL must begin with sqlite:/// or postgresql+psycopg://"
            )
        elif database_url.startswith("postgresql://"):
            database_url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
        lease_seconds = number("LINKROW_LEASE_SECONDS", 60, 3, 900)
        usual = QueueSettings()
        queue = QueueSettings(
            lease_seconds=lease_seconds,
            renew_seconds=max(1, lease_seconds // 3),
            backlog_limit=number("LINKROW_BACKLOG_LIMIT", usual.backlog_limit, 100, 10**8),
            obligation_seconds=number(
                "LINKROW_OBLIGATION_SECONDS", usual.obligation_seconds, 3, 86400
            ),
            retry_delays=_delays(environ.get("LINKROW_RETRY_DELAYS"), usual.retry_delays, problems),
        )
        config = cls(
            data=folder,
            host=host,
            port=port,
            database_url=database_url,
            redis_url=redis_url,
            master_key=environ.get("LINKROW_MASTER_KEY") or None,
            master_key_file=Path(environ.get("LINKROW_MASTER_KEY_FILE") or folder / "master.key"),
            workers=number("LINKROW_WORKERS", 1, 1, 64),
            threads=number("LINKROW_THREADS", 32, 4, 512),
            allow_unsafe_redis=_flag(environ, "LINKROW_ALLOW_UNSAFE_REDIS", problems),
            queue=queue,
        )
        if problems:
            raise BadConfig(problems)
        return config


def home_of(environ: Mapping[str, str]) -> Path:
    """Where this user's data lies: ``LINKROW_HOME``, else what is usual on this system."""
    named = environ.get("LINKROW_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_data_dir("linkrow"))


def _is_readable(redis_url: str) -> bool:
    try:
        parse_url(redis_url)  # type: ignore[no-untyped-call]
    except ValueError:  # its words may quote the password
        return False
    return True


def _bind(text: str, problems: list[str]) -> tuple[str, int]:
    found = _BIND.fullmatch(text)
    if not found or int(found[2]) > 65535:
        problems.append(f"{text!r} is no address to listen on; write HOST:PORT")
        return "127.0.0.1", 0
    return found[1].strip("[]"), int(found[2])


def _number(
    environ: Mapping[str, str], name: str, default: int, low: int, high: int, problems: list[str]
) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        problems.append(f"{name} must be a whole number from {low} to {high}")
        return default
    return int(text)


def _delays(text: str | None, default: tuple[float, ...], problems: list[str]) -> tuple[float, ...]:
    if not text:
        return default
    try:
        delays = tuple(float(part) for part in text.split(","))
    except ValueError:
        delays = (-1.0,)
    if len(delays) > 5 or not all(0 <= delay <= 3600 for delay in delays):
        problems.append("LINKROW_RETRY_DELAYS must be up to five numbers of seconds, as in 2,10")
        return default
    return delays


def _flag(environ: Mapping[str, str], name: str, problems: list[str]) -> bool:
    text = environ.get(name, "")
    if text not in ("", "0", "1"):
        problems.append(f"{name} must be 1 or 0")
    return text == "1"
