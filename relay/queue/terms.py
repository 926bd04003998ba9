"""What the queue is told with a request, and what it says of it."""

from dataclasses import dataclass

from wire.models import SubmittedJob
from wire.vocab import Disposition


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How patient the queue is. Everything but *retry_delays* and limits is in seconds."""

    lease_seconds: int = 60
    renew_seconds: int = 20
    max_lease_seconds: int = 900
    max_deliveries: int = 10
    obligation_seconds: int = 120
    unserved_seconds: int = 7 * 86400
    idempotency_seconds: int = 86400
    forget_seconds: int = 60
    backlog_limit: int = 200_000
    retry_delays: tuple[float, ...] = (2.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A request whose signature held. *body_sha256* is lower-case hex, *timestamp* unix seconds."""

    account_id: str
    key_id: str
    timestamp: int
    nonce: str
    body_sha256: str = ""
    device_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan allows an account; None is no limit."""

    max_depth: int | None = None
    rows_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What became of each job of a request, in its order. *replayed*: it is the first answer."""

    jobs: tuple[SubmittedJob, ...]
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which refresh does what was asked, and how it came to that."""

    refresh_id: str
    disposition: Disposition


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCounts:
    """What one sweep found."""

    leases: int = 0
    expired: int = 0
    unserved: int = 0
