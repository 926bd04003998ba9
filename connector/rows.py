"""What every keeper of rows decides alike: which row a change belongs to, and what it then says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.source import Cell, Cells, Change, Written
from wire import times
from wire.errors import Malformed
from wire.vocab import Writeback


@dataclass(slots=True)
class Candidate:
    """The rows that bear the id of a change: how many, and the first of them."""

    count: int = 0
    tracking_url: str = ""
    last_checked: str = ""
    place: int = -1


@dataclass(slots=True)
class Targets:
    """Looks for the rows of *changes* while all rows pass by."""

    changes: Sequence[Change]
    found: dict[str, Candidate] = field(init=False)

    def __post_init__(self) -> None:
        # A blank id names no row, however many rows have one.
        self.found = {change.row_id: Candidate() for change in self.changes if change.row_id}

    def see(self, row_id: str, tracking_url: str, last_checked: str, *, place: int) -> None:
        """A row passes by; *place* says where it is in this very reading."""
        candidate = self.found.get(row_id)
        if candidate is None:
            return
        candidate.count += 1
        if candidate.count == 1:
            candidate.tracking_url = tracking_url
            candidate.last_checked = last_checked
            candidate.place = place

    def settle(self) -> tuple[list[Written], dict[int, Cells]]:
        """What becomes of each change, in order, and which cells go where.

        Several changes of one row are put into it one after the other.
        """
        answers: list[Written] = []
        at: dict[int, Cells] = {}
        for change in self.changes:
            candidate = self.found.get(change.row_id, Candidate())
            answer, is_written = _judge(change, candidate)
            answers.append(answer)
            if is_written:
                before = at.get(candidate.place)
                at[candidate.place] = {**before, **change.cells} if before else change.cells
                candidate.last_checked = text_of(
                    change.cells.get("last_checked", candidate.last_checked)
                )
        return answers, at


def _judge(change: Change, candidate: Candidate) -> tuple[Written, bool]:
    row_id = change.row_id
    if candidate.count == 0:
        return _not(row_id, Writeback.MISSING, "no row has this id any more"), False
    if candidate.count > 1:
        detail = f"{candidate.count} rows share this id; give each its own"
        return _not(row_id, Writeback.DUPLICATE, detail), False
    if candidate.tracking_url != change.tracking_url:
        return _not(row_id, Writeback.CONFLICT, "the row holds another link now"), False
    if is_newer(candidate.last_checked, change.checked_at):
        return Written(
            row_id=row_id, writeback=Writeback.WRITTEN, detail="a newer answer stands there"
        ), False
    return Written(row_id=row_id, writeback=Writeback.WRITTEN), True


def _not(row_id: str, writeback: Writeback, detail: str) -> Written:
    return Written(row_id=row_id, writeback=writeback, detail=detail)


def is_newer(last_checked: str, checked_at: datetime | None) -> bool:
    """Whether the row was checked after *checked_at*; cells know whole seconds only."""
    if checked_at is None or not last_checked:
        return False
    try:
        return times.from_text(last_checked) > checked_at.replace(microsecond=0)
    except Malformed:
        return False


def text_of(cell: Cell) -> str:
    """A cell as text: booleans are TRUE and FALSE, as spreadsheets write them."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    return str(cell)
