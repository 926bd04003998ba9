"""A source that tells somebody when it fails, to whomever it was lent."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from connector.errors import ConnectorError
from connector.source import Change, Revision, Row, Source, Written


class Watched:
    """*source*, with *on_trouble* called for each error before it is raised on."""

    def __init__(self, source: Source, on_trouble: Callable[[Exception], None]) -> None:
        self._source = source
        self._on_trouble = on_trouble

    @property
    def source_id(self) -> str:
        """What the relay calls it."""
        return self._source.source_id

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self._source.name

    def read(self) -> Iterator[list[Row]]:
        """All rows in order."""
        with self._told():
            yield from self._source.read()

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into its row."""
        with self._told():
            return self._source.write(changes)

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row."""
        with self._told():
            return self._source.revise(begin)

    def assign_ids(self) -> int:
        """Give every row with a link and no id one."""
        with self._told():
            return self._source.assign_ids()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ConnectorError as error:
            self._on_trouble(error)
            raise
