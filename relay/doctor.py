"""What is wrong with this relay, and the cure, before anybody has to ask."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import redis as redis_py
from rq import Queue, Worker

from relay.config import Config
from relay.errors import RelayServiceError
from relay.folder import read_json
from relay.ledger.ledger import Ledger
from relay.provision import open_box
from relay.queue import names
from relay.queue.broker import Broker
from relay.queue.errors import QueueError
from relay.services import connect

_LAG: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    says: str

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)


def running_redis(config: Config) -> Config | None:
    """*config* with the private Redis that ``up`` has started on this folder, if it has."""
    note = read_json(config.data / "redis.json")
    if note is None or not note.get("socket"):
        return None
    return replace(config, redis_url=f"unix://{note['socket']}")


def examine(config: Config) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    found = [
        _look("master key", lambda: _master_key(config)),
        _look("ledger", lambda: _ledger(config)),
    ]
    with_redis = config if config.redis_url else running_redis(config)
    if with_redis is None:
        found.append(
            Finding(
                what="redis", ok=True, says="none is running; linkrow-relay up starts a private one"
            )
        )
        return found
    broker = Broker(connect(str(with_redis.redis_url)), settings=config.queue)
    try:
        found += [
            _look("redis", lambda: _redis(broker, config)),
            _look("recorder", lambda: _recorder(broker)),
            _look("stray workers", lambda: _stray_workers(broker)),
        ]
    finally:
        broker.redis.close()
    return found


def _look(what: str, at: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, ok=True, says=at())
    except (RelayServiceError, QueueError) as error:
        return Finding(what=what, ok=False, says=str(error))


class _Bad(RelayServiceError):
    """Something that a look found to be wrong."""


def _master_key(config: Config) -> str:
    open_box(config)
    return "it is there"


def _ledger(config: Config) -> str:
    ledger = Ledger.open(config.database_url)
    try:
        ledger.check_version()
    finally:
        ledger.close()
    return "it answers, and its tables are of this version"


def _redis(broker: Broker, config: Config) -> str:
    facts = broker.check(allow_unsafe=config.allow_unsafe_redis)
    state = "open" if broker.is_ready() else "waiting for the clock to open it"
    return f"{facts.version}, appendonly {'yes' if facts.is_durable else 'no'}, {state}"


def _recorder(broker: Broker) -> str:
    backlog = broker.backlog()
    if backlog > _LAG:
        raise _Bad(f"{backlog:,} events wait; is linkrow-relay recorder running?")
    return f"{backlog:,} events wait"


def _stray_workers(broker: Broker) -> str:
    try:
        for queue in Queue.all(connection=broker.redis, serializer="json"):
            if queue.name.startswith(names.PREFIX) and Worker.all(queue=queue):
                raise _Bad(f"an rq worker listens on {queue.name}, which is for agents; stop it")
    except redis_py.exceptions.RedisError as error:
        raise _Bad(f"Redis does not answer: {type(error).__name__}") from error
    return "none"
