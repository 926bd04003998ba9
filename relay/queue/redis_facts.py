"""What Redis says of itself, and whether it keeps what it is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay.queue.errors import RedisUnsafe


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """What Redis says of itself."""

    version: str
    is_durable: bool
    policy: str


def facts_of(info: Mapping[str, Any]) -> RedisFacts:
    """What Redis' ``INFO`` says."""
    return RedisFacts(
        version=str(info.get("redis_version", "0")),
        is_durable=bool(int(info.get("aof_enabled", 0))),
        policy=str(info.get("maxmemory_policy", "noeviction")),
    )


def ensure_safe(facts: RedisFacts, *, allow_unsafe: bool) -> None:
    """Raises RedisUnsafe unless it keeps what it is given, or *allow_unsafe*."""
    if tuple(int(part) for part in facts.version.split(".")[:2] if part.isdigit()) < (6, 2):
        raise RedisUnsafe(f"Redis {facts.version} is too old", "install Redis 6.2 or newer")
    if allow_unsafe:
        return
    if facts.policy != "noeviction":
        raise RedisUnsafe(
            f"Redis throws jobs away when it is full (maxmemory-policy {facts.policy})",
            "set maxmemory-policy noeviction, or LINKROW_ALLOW_UNSAFE_REDIS=1 to risk it",
        )
    if not facts.is_durable:
        raise RedisUnsafe(
            "Redis forgets acknowledged jobs when it stops (appendonly no)",
            "set appendonly yes, or LINKROW_ALLOW_UNSAFE_REDIS=1 to risk it",
        )
