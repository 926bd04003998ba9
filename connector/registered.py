"""What this machine remembers of one source: where it is, and how it is to be worked on. Pure."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from wire import ids, times
from wire.errors import Malformed
from wire.vocab import ROW_COLUMNS, TOOL_COLUMNS, SourceKind

_SOURCE_ID: Final = re.compile(ids.SOURCE_ID, re.ASCII)
_COLUMNS: Final = frozenset((*ROW_COLUMNS, *TOOL_COLUMNS))
LONGEST_AGE: Final = timedelta(days=365)
"""How old an answer may be at most; the relay takes no longer age."""

Word = TypeVar("Word", bound=StrEnum)


class Mode(StrEnum):
    """Where the results of a sheet go."""

    IN_PLACE = "in-place"
    RESULTS_TAB = "results-tab"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """A file on this machine, by its real path."""

    path: Path

    @classmethod
    def of(cls, path: Path) -> Self:
        """One name per file: links followed, case folded where the system does so."""
        return cls(path=Path(os.path.normcase(os.path.realpath(path))))

    @property
    def kind(self) -> SourceKind:
        """What it is a place of."""
        return SourceKind.FILE

    @property
    def key(self) -> str:
        """What no other place has."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetPlace:
    """One tab of a spreadsheet. *title* and *tab* are what people called them when it was added."""

    spreadsheet: str
    gid: int
    title: str = ""
    tab: str = ""

    @property
    def kind(self) -> SourceKind:
        """What it is a place of."""
        return SourceKind.SHEET

    @property
    def key(self) -> str:
        """What no other place has; titles may change."""
        return f"sheet:{self.spreadsheet}#{self.gid}"

    def __str__(self) -> str:
        return f"https://docs.google.com/spreadsheets/d/{self.spreadsheet}/edit#gid={self.gid}"


Place = FilePlace | SheetPlace


def name_of(place: Place) -> str:
    """What people call it, unless they say otherwise."""
    if isinstance(place, FilePlace):
        return place.path.name
    return f"{place.title} / {place.tab}" if place.title else place.spreadsheet


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSource:
    """A source that agents of this machine serve unless it *is_paused*.

    *columns*: how it heads our columns where its headings differ. *credentials*: the file to sign
    in to Google with; None is the usual one of this machine. *max_age*: how old an answer may be
    before it counts as stale; None is what is usual. *is_protected*: result columns of a sheet that
    are made get a warning for whoever edits them.
    """

    source_id: str
    name: str
    place: Place
    added_at: datetime
    columns: Mapping[str, str] = field(default_factory=dict)
    mode: Mode = Mode.IN_PLACE
    credentials: Path | None = None
    max_age: timedelta | None = None
    is_protected: bool = False
    is_paused: bool = False

    @property
    def kind(self) -> SourceKind:
        """A sheet or a file."""
        return self.place.kind

    def is_same_work(self, other: Self) -> bool:
        """Whether *other* is served in the same way: a new name or a pause reopens nothing."""
        return self._work == other._work

    @property
    def _work(self) -> tuple[object, ...]:
        place = self.place.key
        how = self.mode, self.credentials, self.max_age, self.is_protected
        return place, dict(self.columns), how

    def to_json(self) -> dict[str, Any]:
        """As it stands in settings.json; what is usual is left out."""
        told: dict[str, Any] = {"kind": str(self.kind), "name": self.name}
        match self.place:
            case FilePlace(path=path):
                told |= {"path": str(path)}
            case SheetPlace() as sheet:
                told |= {"spreadsheet": sheet.spreadsheet, "gid": sheet.gid}
                told |= {"title": sheet.title, "tab": sheet.tab, "mode": str(self.mode)}
        if self.columns:
            told["columns"] = dict(self.columns)
        if self.credentials is not None:
            told["credentials"] = str(self.credentials)
        if self.max_age is not None:
            told["max_age_seconds"] = int(self.max_age.total_seconds())
        if self.is_protected:
            told["protected"] = True
        return told | {"paused": self.is_paused, "added_at": times.to_text(self.added_at)}

    @classmethod
    def from_json(cls, source_id: str, told: object) -> Self:
        """Read one entry. Raises Malformed for what is none."""
        if not _SOURCE_ID.fullmatch(source_id):
            raise Malformed(source_id, "expected src_ and letters or digits")
        entry = _Entry(source_id, told)
        kind = entry.one_of(SourceKind, "kind")
        place: Place
        if kind is SourceKind.FILE:
            place = FilePlace(path=Path(entry.text("path")))
        else:
            place = SheetPlace(
                spreadsheet=entry.text("spreadsheet"),
                gid=entry.number("gid", most=2**31 - 1),
                title=entry.text("title", usual=""),
                tab=entry.text("tab", usual=""),
            )
        age = entry.number("max_age_seconds", most=int(LONGEST_AGE.total_seconds()), usual=-1)
        credentials = entry.text("credentials", usual="")
        return cls(
            source_id=source_id,
            name=entry.text("name"),
            place=place,
            added_at=entry.time("added_at"),
            columns=entry.columns(),
            mode=entry.one_of(Mode, "mode", usual=Mode.IN_PLACE),
            credentials=Path(credentials) if credentials else None,
            max_age=None if age < 0 else timedelta(seconds=age),
            is_protected=entry.flag("protected"),
            is_paused=entry.flag("paused"),
        )


class _Entry:
    """One JSON object, asked for values of certain kinds."""

    def __init__(self, source_id: str, told: object) -> None:
        if not isinstance(told, dict):
            raise Malformed(source_id, "expected a JSON object")
        self._source_id = source_id
        self._told: dict[str, Any] = told

    def text(self, name: str, *, usual: str | None = None) -> str:
        value = self._told.get(name, usual)
        if not isinstance(value, str) or (usual is None and not value):
            raise self._wrong(name, "text")
        return value

    def number(self, name: str, *, most: int, usual: int | None = None) -> int:
        value = self._told.get(name, usual)
        if type(value) is not int or not (value == usual or 0 <= value <= most):
            raise self._wrong(name, f"a number from 0 to {most}")
        return value

    def flag(self, name: str) -> bool:
        value = self._told.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def time(self, name: str) -> datetime:
        try:
            return times.from_text(self.text(name))
        except Malformed as error:
            raise self._wrong(name, error.why) from error

    def one_of(self, words: type[Word], name: str, *, usual: Word | None = None) -> Word:
        try:
            return words(str(self._told.get(name, usual)))
        except ValueError:
            raise self._wrong(name, f"one of {', '.join(words)}") from None

    def columns(self) -> dict[str, str]:
        value = self._told.get("columns", {})
        if not isinstance(value, dict) or not all(
            ours in _COLUMNS and isinstance(theirs, str) for ours, theirs in value.items()
        ):
            raise self._wrong("columns", "our columns and their headings")
        return dict(value)

    def _wrong(self, name: str, wanted: str) -> Malformed:
        return Malformed(f"{self._source_id}.{name}", f"expected {wanted}")
