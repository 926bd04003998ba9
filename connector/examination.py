"""What a source holds and what a run would make of it, counted before anything is written."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from connector.columns import KNOWN, Columns, heading_of
from connector.intake import Check, Leave, Tell, Terms, judge_row
from connector.seen import Seen
from connector.source import Row
from wire.ready_for_ads import DEFAULT_MAX_AGE
from wire.vocab import RESULT_COLUMNS, ROW_COLUMNS, Conclusion

_EXAMPLES: Final = 5
_MADE: Final = frozenset(("row_id", *RESULT_COLUMNS))
_TERMS_ID: Final = "src_examined"
_FAULT: Final = "unreadable"
_BLANK: Final = "blank"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns are there: ours → the heading it has.

    *missing* ones are made with the first result; *unused* ones may be there and are not.
    """

    found: Mapping[str, str]
    missing: tuple[str, ...]
    unused: tuple[str, ...] = ()
    others: int = 0

    @classmethod
    def of(cls, columns: Columns, mapping: Mapping[str, str]) -> "Layout":
        """As *columns* were found; *mapping* says how those are headed that will be made."""
        found = {name: columns.headings[columns.at[name]] for name in KNOWN if name in columns.at}
        absent = [name for name in ROW_COLUMNS if name not in found]
        made = tuple(heading_of(name, mapping) for name in absent if name in _MADE)
        unused = tuple(heading_of(name, mapping) for name in absent if name not in _MADE)
        filled = sum(bool(heading.strip()) for heading in columns.headings)
        return cls(found=found, missing=made, unused=unused, others=filled - len(found))


@dataclass(slots=True, kw_only=True)
class Examination:
    """*rows* of which *to_check* would become jobs; why not the others, with examples.

    *stale*: of those to be checked, how many have no answer that is young enough.
    """

    rows: int = 0
    to_check: int = 0
    stale: int = 0
    without_id: int = 0
    paused: int = 0
    duplicates: int = 0
    blank: int = 0
    bad: int = 0
    unreadable: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def not_checked(self) -> int:
        """How many rows would not be checked."""
        return self.rows - self.to_check

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "rows": self.rows,
            "to_check": self.to_check,
            "stale": self.stale,
            "without_id": self.without_id,
            "paused": self.paused,
            "duplicate_ids": self.duplicates,
            "blank_links": self.blank,
            "bad_links": self.bad,
            "unreadable": self.unreadable,
            "examples": self.examples,
        }


def examine(
    read: Callable[[], Iterable[list[Row]]],
    *,
    now: datetime,
    max_age: timedelta | None = None,
) -> Examination:
    """Judge all rows as a run would. *read* is called twice: ids that stand twice come first."""
    seen = Seen()
    for batch in read():
        for row in batch:
            if row.row_id:
                seen.add(row.row_id)
    found = Examination()
    terms = Terms(source_id=_TERMS_ID, now=now, only_stale=max_age or DEFAULT_MAX_AGE)
    counts: Counter[str] = Counter()
    for batch in read():
        for row in batch:
            found.rows += 1
            if not row.row_id and row.tracking_url and not row.fault:
                found.without_id += 1
            verdict = judge_row(row, terms, is_duplicate=seen.is_twice(row.row_id))
            match verdict:
                case Check():
                    found.to_check += 1
                    found.stale += 1
                case Leave():  # only an answer that is young enough spares it, and only if asked to
                    found.to_check += 1
                case Tell() as told:
                    kind = _kind(row, told)
                    counts[kind] += 1
                    _note(found, kind, row, told)
    found.paused = counts[Conclusion.PAUSED_BY_OPERATOR]
    found.duplicates = counts[Conclusion.DUPLICATE_ROW_ID]
    found.unreadable, found.blank = counts[_FAULT], counts[_BLANK]
    found.bad = found.not_checked - (
        found.paused + found.duplicates + found.unreadable + found.blank
    )
    return found


def _kind(row: Row, told: Tell) -> str:
    if row.fault:
        return _FAULT
    is_blank = told.conclusion is Conclusion.INVALID_URL and not row.tracking_url
    return _BLANK if is_blank else told.conclusion


def _note(found: Examination, kind: str, row: Row, told: Tell) -> None:
    kept = found.examples.setdefault(kind, [])
    if len(kept) < _EXAMPLES:
        kept.append(f"{row.where}: {told.sentence}" if row.where else told.sentence)
