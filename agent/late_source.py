"""A source that could not be opened when it was last tried, and is needed now.

Whoever asks for a refresh is to hear why, and not to wait until somebody sets it right. Perhaps
somebody has: so it is tried again at once.
"""

from collections.abc import Callable, Iterator, Sequence

from connector.errors import Interrupted
from connector.source import Change, Revision, Row, Source, Written


class LateSource:
    """Says *why* it cannot be used, until *find* finds that it can. *look_again* has it tried."""

    def __init__(
        self,
        source_id: str,
        name: str,
        *,
        find: Callable[[], Source | None],
        why: Callable[[], Exception | None],
        look_again: Callable[[], None],
    ) -> None:
        self._source_id = source_id
        self._name = name
        self._find = find
        self._why = why
        self._look_again = look_again
        self._last: Exception | None = why()

    @property
    def source_id(self) -> str:
        """What the relay calls it."""
        return self._source_id

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self._name

    def read(self) -> Iterator[list[Row]]:
        """All rows, once it is there."""
        return self._found().read()

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into its row, once it is there."""
        return self._found().write(changes)

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row, once it is there."""
        return self._found().revise(begin)

    def assign_ids(self) -> int:
        """Give ids, once it is there."""
        return self._found().assign_ids()

    def _found(self) -> Source:
        """Raises what was wrong with it when it was last tried."""
        found = self._find()
        if found is not None:
            return found
        self._last = self._why() or self._last
        self._look_again()
        if self._last is None:
            raise Interrupted  # it is no longer ours
        raise self._last
