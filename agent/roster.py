"""Who says which sources are to be served, and how each is opened: this machine's registry."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from agent.writeback import Pace
from connector.locks import try_lock
from connector.opening import open_source, run_lock
from connector.registered import RegisteredSource
from connector.registry import Registry
from connector.source import CheckedSource
from wire.vocab import SourceKind

SHEET_PACE = Pace(
    many=2_000,
    shortest=15.0,
    quiet_shortest=5.0,
    first_pause=1.0,
    longest_pause=60.0,
    hopeless_seconds=60.0,
)
"""A sheet's rows cost two calls a time, of sixty a minute that all sheets of a user share."""


class Roster(Protocol):
    """The sources to be served, as they are at the moment. What fails raises ConnectorError."""

    def stamp(self) -> object:
        """Something that differs once the list was changed; asked every second."""

    def registered(self) -> Sequence[RegisteredSource]:
        """Every source, also those that are paused."""

    def open(self, entry: RegisteredSource) -> CheckedSource:
        """The keeper of its rows; nothing need have been read yet."""

    def claim(self, source_id: str) -> AbstractContextManager[bool]:
        """Whether its rows are ours alone to work on, until the block ends."""

    def pace(self, entry: RegisteredSource) -> Pace:
        """How often its rows may be written."""


class RegistryRoster:
    """The sources that ``linkrow source add`` registered on this machine."""

    def __init__(
        self,
        home: Path,
        *,
        environ: Mapping[str, str],
        file_pace: Pace,
        opening: Callable[..., CheckedSource] = open_source,
    ) -> None:
        self._home = home
        self._registry = Registry(home)
        self._environ = environ
        self._file_pace = file_pace
        self._opening = opening

    def stamp(self) -> object:
        """When the registry was written last."""
        return self._registry.stamp()

    def registered(self) -> Sequence[RegisteredSource]:
        """As the registry has them."""
        return self._registry.registered()

    def open(self, entry: RegisteredSource) -> CheckedSource:
        """A file or a sheet."""
        return self._opening(entry, home=self._home, environ=self._environ)

    def claim(self, source_id: str) -> AbstractContextManager[bool]:
        """The lock that ``linkrow run`` holds too while it works on a source."""
        return try_lock(run_lock(self._home, source_id))

    def pace(self, entry: RegisteredSource) -> Pace:
        """A sheet has a quota; a file only takes its time."""
        return SHEET_PACE if entry.kind is SourceKind.SHEET else self._file_pace
