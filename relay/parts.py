"""What the service is made of, and how a view comes by it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import current_app

from relay.keyring import Keyring
from relay.ledger.ledger import Ledger
from relay.queue.broker import Broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the views work with, and the clock that signatures are held against."""

    broker: Broker
    ledger: Ledger
    keyring: Keyring
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    allow_unsafe_redis: bool = False
    max_waiting: int = 24


def parts() -> Parts:
    """The parts of the running app."""
    found = current_app.extensions["linkrow"]
    assert isinstance(found, Parts)
    return found
