"""What ``linkrow run`` was asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from connector.registered import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One file or sheet (*what*), and how its rows are to be checked.

    What is not said is as it was registered, if *what* is: its columns, where results go, which
    credentials.
    """

    what: str
    home: Path
    relay: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    tab: str = ""
    mode: Mode | None = None
    credentials: Path | None = None
    only_stale: timedelta | None = None
    allow_private: tuple[str, ...] = ()
    cafile: str | None = None
