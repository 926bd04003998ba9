"""A CSV file as a keeper of rows: our cells change, every other byte stays.

Reading and writing share one tokenizer, so a record that is not changed is written as it was read.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from connector.columns import Columns
from connector.csv_cells import Maker
from connector.csv_reader import CsvReader, Format
from connector.csv_rewrite import Plan, Rewriter
from connector.csv_rows import Rows
from connector.memory import IdsOnly
from connector.rows import Targets
from connector.source import Change, Revision, Row, Written

_BATCH: Final = 1000


class CsvFile:
    """One CSV file. *columns*: how it heads our columns, where its headings differ.

    Every method raises ConnectorError; what fails leaves the file as it was.
    """

    def __init__(
        self,
        path: Path,
        *,
        source_id: str,
        columns: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self._source_id = source_id
        self._mapping = dict(columns or {})
        self._reader = CsvReader(self.path, self._mapping)
        self._rewriter = Rewriter(self._reader, clock=clock, sleep=sleep)

    @property
    def source_id(self) -> str:
        """What the relay calls this source."""
        return self._source_id

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def check(self) -> None:
        """Return when the file can be worked on; nothing is changed."""
        with self._reader.opened() as file:
            self._reader.look(file)

    def close(self) -> None:
        """Nothing is held between two calls."""

    def columns(self) -> Columns:
        """Which of its columns are ours."""
        with self._reader.opened() as file:
            return self._reader.look(file).columns

    def audit(self) -> int:
        """Remove what a killed process left beside the file. Returns how many pieces."""
        return self._rewriter.sweep()

    def read(self) -> Iterator[list[Row]]:
        """All rows in order, a thousand at a time.

        They are of one version of the file, also when a writer puts a new one in its place.
        """
        with self._reader.opened() as file:
            found = self._reader.look(file)
            rows = Rows(found)
            batch: list[Row] = []
            for start, raws in self._reader.raws(file, found):
                for number, raw in enumerate(raws, start):
                    if number > found.header_at and (row := rows.row(number, raw)) is not None:
                        batch.append(row)
                        if len(batch) >= _BATCH:
                            yield batch
                            batch = []
            if batch:
                yield batch

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put each change into the row it belongs to, or say why not; all in one go."""
        if not changes:
            return []
        answers: list[Written] = []

        def plan(found: Format, numbered: Iterable[tuple[int, list[str]]]) -> Plan:
            targets, rows, maker = Targets(changes), Rows(found), Maker(found, self._mapping)
            for start, raws in numbered:
                maker.see(raws)
                rows.show(start, raws, targets)
            answers[:], at = targets.settle()
            return Plan(maker=maker, edit=maker.edit_at(at) if at else None)

        self._rewriter.rewrite(plan)
        return answers

    def revise(self, begin: Callable[[], Revision]) -> int:
        """Survey, then decide every row, and put it all down in one go."""

        def plan(found: Format, numbered: Iterable[tuple[int, list[str]]]) -> Plan:
            revision, rows, maker = begin(), Rows(found), Maker(found, self._mapping)
            for start, raws in numbered:
                maker.see(raws)
                for number, raw in enumerate(raws, start):
                    if number > found.header_at and (row := rows.row(number, raw)) is not None:
                        revision.survey(row)
            return Plan(maker=maker, edit=maker.edit_by(revision, rows))

        return self._rewriter.rewrite(plan)

    def assign_ids(self) -> int:
        """Give every row with a link and no id one."""
        return self.revise(IdsOnly)
