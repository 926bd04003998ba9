"""The calls to Google that a keeper of rows makes, without a word on how they travel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]


class Calls(Protocol):
    """One spreadsheet's API. Every method raises SheetError.

    A read is tried again here. A write is sent once: whoever sent it has to look first where the
    rows are by then, and whether it was carried out although no answer came.
    """

    spreadsheet_id: str
    address: str
    """The account that calls: with whom the sheet has to be shared."""

    def about(self, fields: str, ranges: list[str] | None = None) -> Json:
        """The spreadsheet without its values, or the cells of *ranges* with all they are."""

    def read_tabs(self, gids: Sequence[int]) -> list[Json]:
        """All values of tabs as people see them, of one moment: ``range`` and ``values`` each."""

    def read_ranges(self, ranges: list[str], *, render: str = "FORMATTED_VALUE") -> list[Json]:
        """The values of several ranges in one call."""

    def write_values(self, body: Json) -> Json:
        """values:batchUpdate."""

    def append_values(self, range_: str, values: list[list[str]]) -> Json:
        """values:append, as text."""

    def change(self, requests: list[Json]) -> Json:
        """spreadsheets:batchUpdate; all of it or nothing."""

    def patiently(self, step: Callable[[], Any]) -> Any:
        """*step*, and again after a pause while it raises SheetBusy and patience lasts."""

    def counted(self) -> Mapping[str, int]:
        """How many calls were made so far, by kind."""

    def close(self) -> None:
        """Let go of connections."""
