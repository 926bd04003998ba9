"""Our column names and a source's headings: which column is which."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.errors import ColumnMeansTwo, DuplicateColumn, MissingColumn
from wire.vocab import ROW_COLUMNS, TOOL_COLUMNS

KNOWN = (*ROW_COLUMNS, *TOOL_COLUMNS)


def same(heading: str) -> str:
    """What two headings must share to be the same: case, blanks and composition do not count."""
    return " ".join(unicodedata.normalize("NFC", heading).casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where our columns are: name → index from 0. *headings* are the source's, as written."""

    headings: tuple[str, ...]
    at: Mapping[str, int]

    @classmethod
    def find(
        cls,
        headings: Sequence[str],
        mapping: Mapping[str, str],
        *,
        required: Sequence[str] = ("tracking_url",),
    ) -> "Columns":
        """Find ours by heading; *mapping* says how a source heads them where it differs.

        Raises MissingColumn for a *required* one, DuplicateColumn where two would do and
        ColumnMeansTwo where one heading would be two of ours.
        """
        places: dict[str, list[int]] = {}
        for index, heading in enumerate(headings):
            places.setdefault(same(heading), []).append(index)
        at: dict[str, int] = {}
        meant: dict[str, str] = {}
        for column in KNOWN:
            wanted = mapping.get(column, column)
            # Also where the heading is not there yet: it would be made twice.
            if (other := meant.setdefault(same(wanted), column)) != column:
                raise ColumnMeansTwo(wanted, (other, column))
            found = places.get(same(wanted), [])
            if len(found) > 1:
                raise DuplicateColumn(column, wanted)
            if found:
                at[column] = found[0]
            elif column in required:
                raise MissingColumn(column, wanted, headings)
        return cls(headings=tuple(headings), at=at)


def count_ours(headings: Sequence[str], mapping: Mapping[str, str]) -> int:
    """How many of *headings* are ours."""
    known = {same(mapping.get(column, column)) for column in KNOWN}
    return sum(same(heading) in known for heading in headings)


def heading_of(column: str, mapping: Mapping[str, str]) -> str:
    """How a column of ours is headed where it is made anew."""
    return mapping.get(column, column)
