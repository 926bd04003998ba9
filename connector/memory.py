"""Rows in memory: for dry runs and tests, and the smallest keeper to copy."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace

from connector.rows import Targets, text_of
from connector.source import Cells, Change, Revision, Row, Written
from wire.ids import new_row_id

_FIELDS = frozenset(field.name for field in fields(Row)) - {"where", "fault"}


class MemorySource:
    """A list of rows. What is written is also kept whole in ``cells``, by row id."""

    def __init__(self, rows: Iterable[Row], *, source_id: str = "src_memory") -> None:
        self._rows = [_stripped(row) for row in rows]
        self._source_id = source_id
        self.cells: dict[str, dict[str, str]] = {}

    @property
    def source_id(self) -> str:
        """What the relay calls this source."""
        return self._source_id

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "memory"

    def read(self) -> Iterator[list[Row]]:
        """All rows, in one batch."""
        yield [replace(row, where=f"row {number}") for number, row in enumerate(self._rows, 1)]

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into its row, or say why not."""
        targets = Targets(changes)
        for place, row in enumerate(self._rows):
            targets.see(row.row_id, row.tracking_url, row.last_checked, place=place)
        answers, at = targets.settle()
        for place, cells in at.items():
            self._put(place, cells)
        return answers

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row."""
        revision = begin()
        for row in self._rows:
            revision.survey(row)
        changed = 0
        for place, row in enumerate(self._rows):
            cells = revision.decide(row)
            if cells and self._put(place, cells):
                changed += 1
        return changed

    def assign_ids(self) -> int:
        """Give every row with a link and no id one."""
        return self.revise(IdsOnly)

    def _put(self, place: int, cells: Cells) -> bool:
        texts = {name: text_of(cell) for name, cell in cells.items()}
        before = self._rows[place]
        after = replace(before, **{name: text for name, text in texts.items() if name in _FIELDS})
        self._rows[place] = after
        kept = self.cells.setdefault(after.row_id, {})
        is_changed = after != before or any(kept.get(name) != text for name, text in texts.items())
        kept.update(texts)
        return is_changed


class IdsOnly:
    """A revision that fills blank ids and nothing else."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def survey(self, row: Row) -> None:
        """Remember the ids there are."""
        self._seen.add(row.row_id)

    def decide(self, row: Row) -> Cells | None:
        """An id for a row that has a link and none."""
        if row.row_id or not row.tracking_url or row.fault:
            return None
        while (row_id := new_row_id()) in self._seen:
            pass
        self._seen.add(row_id)
        return {"row_id": row_id}


def _stripped(row: Row) -> Row:
    return replace(row, row_id=row.row_id.strip(), tracking_url=row.tracking_url.strip())
