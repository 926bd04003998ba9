"""What ``linkrow run`` was asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One file, and how its rows are to be checked."""

    file: Path
    home: Path
    relay: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    only_stale: timedelta | None = None
    allow_private: tuple[str, ...] = ()
    cafile: str | None = None
