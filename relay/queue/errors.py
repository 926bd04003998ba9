"""Why the queue did not do what it was asked.

QueueError
    NonceReplayed
    SignedBeforeEpoch
    IdempotencyKeyReused
    QueueFull
    QuotaExceeded
    UnknownSource
    AlreadyFinal
    SourcePaused
    RefreshRunning
    RefreshIsOver
    RecorderBehind
    Rebuilding
    RedisUnsafe
    RedisUnavailable
"""

from wire.vocab import RefreshState


class QueueError(Exception):
    """Base of all. *retry_after*: seconds after which it may go better, or None."""

    retry_after: int | None = None


class NonceReplayed(QueueError):
    """This very request was seen before."""

    def __init__(self) -> None:
        super().__init__("this nonce was used before; sign the request again, it is safe to repeat")


class SignedBeforeEpoch(QueueError):
    """Signed before this Redis began to remember nonces, so it may be a replay."""

    def __init__(self) -> None:
        super().__init__("signed before the relay's memory of nonces begins; sign it again")


class IdempotencyKeyReused(QueueError):
    """The Idempotency-Key belongs to another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request; make a new one")


class QueueFull(QueueError):
    """Too many jobs wait already."""

    retry_after = 2

    def __init__(self) -> None:
        super().__init__("too many jobs wait already; nothing was taken, try again soon")


class QuotaExceeded(QueueError):
    """The day's rows are used up. *retry_after* is the time to midnight UTC."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the daily quota is used up; it begins anew at midnight UTC")
        self.retry_after = retry_after


class UnknownSource(QueueError):
    """There is no such source, as far as this account may know."""

    def __init__(self, source_id: str) -> None:
        super().__init__(f"there is no source {source_id}")
        self.source_id = source_id


class AlreadyFinal(QueueError):
    """The job, or the refresh, has ended; nothing can be canceled."""

    def __init__(self, name: str, kind: str = "job") -> None:
        super().__init__(f"{kind} {name} has ended already")
        self.name = name


class SourcePaused(QueueError):
    """Somebody paused the source; nothing of it is refreshed."""

    def __init__(self, source_id: str) -> None:
        super().__init__(f"source {source_id} is paused; resume it first")
        self.source_id = source_id


class RefreshRunning(QueueError):
    """One refresh of a source at a time, and the one that runs does not do what was asked."""

    def __init__(self, source_id: str, refresh_id: str) -> None:
        super().__init__(
            f"refresh {refresh_id} with other terms runs over {source_id}; "
            "wait until it is over, or cancel it"
        )
        self.refresh_id = refresh_id


class RefreshIsOver(QueueError):
    """Jobs were submitted for a refresh that is over."""

    def __init__(self, refresh_id: str, state: RefreshState) -> None:
        super().__init__(f"refresh {refresh_id} is over ({state}); nothing more is taken for it")
        self.refresh_id = refresh_id
        self.state = state


class RecorderBehind(QueueError):
    """The books lag behind too far."""

    retry_after = 5

    def __init__(self) -> None:
        super().__init__("the recorder has fallen behind; nothing was taken, try again soon")


class Rebuilding(QueueError):
    """Redis was lost and is being filled again."""

    retry_after = 2

    def __init__(self) -> None:
        super().__init__("counters are being rebuilt; nothing was taken, try again soon")


class RedisUnsafe(QueueError):
    """This Redis may lose what it is given. *cure* says what to change."""

    retry_after = 30

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"{reason}; {cure}")
        self.reason = reason
        self.cure = cure


class RedisUnavailable(QueueError):
    """Redis does not answer, or is full."""

    retry_after = 2

    def __init__(self, why: str) -> None:
        super().__init__(f"Redis cannot be used: {why}")
