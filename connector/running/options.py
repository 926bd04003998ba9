"""What ``linkrow run`` was asked to do."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from connector.asking import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One file or sheet, and how its rows are to be checked."""

    asked: Asked
    home: Path
    relay: str | None = None
    only_stale: timedelta | None = None
    allow_private: tuple[str, ...] = ()
    cafile: str | None = None
