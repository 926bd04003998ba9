"""What a relay process works with, opened from its settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis as redis_py

from relay.config import Config
from relay.ledger.ledger import Ledger
from relay.provision import open_box
from relay.queue.broker import Broker
from relay.secret_box import SecretBox


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The queue, the books, and what opens the keys' secrets."""

    broker: Broker
    ledger: Ledger
    box: SecretBox


def connect(url: str) -> "redis_py.Redis":
    """A client that waits longer than our longest long poll and mends a dropped connection once."""
    return redis_py.Redis.from_url(
        url, socket_connect_timeout=5, socket_timeout=40, health_check_interval=30
    )


def check_redis(config: Config) -> None:
    """Return when the Redis that *config* names keeps jobs; a private one always does.

    Raises RedisUnsafe with the cure, or RedisUnavailable.
    """
    if config.redis_url is None:
        return
    redis = connect(config.redis_url)
    try:
        Broker(redis, settings=config.queue).check(allow_unsafe=config.allow_unsafe_redis)
    finally:
        redis.close()


@contextmanager
def services(config: Config) -> Iterator[Services]:
    """Open them, close them. *config* must name a Redis. Raises BadMasterKey."""
    assert config.redis_url, "up starts a private Redis and names it to its children"
    redis = connect(config.redis_url)
    ledger = Ledger.open(config.database_url)
    try:
        yield Services(
            broker=Broker(redis, settings=config.queue), ledger=ledger, box=open_box(config)
        )
    finally:
        redis.close()
        ledger.close()
