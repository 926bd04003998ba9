"""Google Sheets: the only file that knows gspread and google-auth."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from connector.source import Change, Revision, Row, Written


class SheetMode(StrEnum):
    """Where results go: into columns of the tab itself, or into a tab of our own beside it."""

    IN_PLACE = "in_place"
    RESULTS_TAB = "results_tab"


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetPlace:
    """Which tab of which spreadsheet; *source_id* is what the tab remembers of itself, or blank."""

    spreadsheet_id: str
    gid: int
    title: str
    tab: str
    source_id: str = ""


def find_sheet(
    address: str,
    *,
    tab: str = "",
    credentials: Path | None = None,
    environ: Mapping[str, str],
) -> SheetPlace:
    """The tab that *address* (URL, key or title) and *tab* (gid or title) name.

    Raises ConnectorError (`connector/sheet_errors.py`).
    """
    raise NotImplementedError


class SheetSource:
    """One tab as a keeper of rows. *columns*: how it heads our columns, where that differs.

    Thread-safe: a writer and a reader may use it at once. *home* is where the lock between
    processes lies. No call is made before the first method. Every method raises ConnectorError.
    """

    def __init__(
        self,
        spreadsheet_id: str,
        gid: int,
        *,
        source_id: str,
        home: Path,
        environ: Mapping[str, str],
        name: str = "",
        columns: Mapping[str, str] | None = None,
        mode: SheetMode = SheetMode.IN_PLACE,
        credentials: Path | None = None,
        protect: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        raise NotImplementedError

    @property
    def source_id(self) -> str:
        """What the relay calls this source."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The sheet's title and the tab's."""
        raise NotImplementedError

    def check(self) -> None:
        """Return when the tab can be worked on; nothing is changed."""

    def read(self) -> Iterator[list[Row]]:
        """All rows in order, a thousand at a time."""
        raise NotImplementedError

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into the row it belongs to, or say why not."""
        raise NotImplementedError

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row, and put it all down in one go."""
        raise NotImplementedError

    def assign_ids(self) -> int:
        """Give every row with a link and no id one."""
        raise NotImplementedError

    def remember(self) -> None:
        """Let the tab remember its source id, so that another machine learns it."""

    def close(self) -> None:
        """Let go of connections."""
