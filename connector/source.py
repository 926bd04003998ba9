"""The promise every keeper of rows makes: where rows come from and where results go back to.

Identity is ``row_id`` **and** ``tracking_url``, never a position. To add a keeper, copy
``memory.py`` and add its name to ``KEEPERS`` in ``tests/connector/test_sources.py``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from wire.vocab import Writeback

Cell = str | bool
Cells = Mapping[str, Cell]
"""Our column name to its new content. A column that is not named is not touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as its owner left it; columns that are missing read as blank.

    A line without any content is no row.

    *where* is for people ("line 12"), never for finding the row again. *fault* is empty, or says
    why the row's text cannot be trusted ("not valid UTF-8"); the other fields then hold what could
    be read.
    """

    row_id: str
    tracking_url: str
    offer_name: str = ""
    expected_domain: str = ""
    source_mode: str = ""
    check_status: str = ""
    final_url: str = ""
    conclusion: str = ""
    last_checked: str = ""
    where: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What to put into the row that is *row_id* and still holds *tracking_url*.

    *checked_at* is when the result was found (UTC); a row whose ``last_checked`` is newer is left
    alone (and counts as written: a newer answer stands there).
    """

    row_id: str
    tracking_url: str
    cells: Cells = field(repr=False)
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of one change: ``written``, or exactly why not, in a sentence."""

    row_id: str
    writeback: Writeback
    detail: str = ""


class Revision(Protocol):
    """A look at all rows, then a word on each; asked afresh when the rows changed meanwhile."""

    def survey(self, row: Row) -> None:
        """See *row*; every row is seen, in order, before the first is decided."""

    def decide(self, row: Row) -> Cells | None:
        """What to put into *row*, or None to leave it; a blank ``row_id`` may be filled."""


class Source(Protocol):
    """A keeper of rows. What fails raises ConnectorError (``connector/errors.py``)."""

    @property
    def source_id(self) -> str:
        """``src_…``: what the relay calls this source."""

    @property
    def name(self) -> str:
        """What a person calls it: a file name, a sheet's title."""

    def read(self) -> Iterator[list[Row]]:
        """All rows in order, in batches of bounded size."""

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into the row it belongs to, or say why not; in the order given.

        Nothing but the named cells changes. Missing columns of ours are made. All of it happens,
        or none (an error).
        """

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row and put it down in one go. Returns how many rows changed.

        *begin* is called once more when the rows were edited in between.
        """

    def assign_ids(self) -> int:
        """Give every row with a link and no id one. Returns how many."""


class CheckedSource(Source, Protocol):
    """A keeper whose rows lie somewhere they may have gone from."""

    def check(self) -> None:
        """Return when the rows can be worked on; nothing is changed."""

    def close(self) -> None:
        """Let go of connections and of who we are; the next call begins anew."""
