"""This machine's sources: ids made once and remembered by place, and which of them are served."""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from connector.errors import (
    AmbiguousSource,
    ConnectorError,
    SourceExists,
    UnknownSource,
)
from connector.locks import try_lock
from connector.registered import FilePlace, Place, RegisteredSource, SheetPlace
from connector.sheet_address import SheetAddress, parse_address
from connector.sheet_errors import BadSheetAddress
from wire import ids
from wire.errors import Malformed

VERSION: Final = 2
"""Of settings.json. 1 knew ids by path and nothing else, and named no version."""

_LOCK_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_SOURCE_ID = re.compile(ids.SOURCE_ID, re.ASCII)


class RegistryUnusable(ConnectorError):
    """The file of remembered sources cannot be read or written. *path* is that file."""

    code = "settings_unusable"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be used: {why}")
        self.path = path
        self.why = why


class Registry:
    """``settings.json`` in this user's data folder; safe between processes.

    ``sources`` holds the id of every place that was ever worked on; ``registered`` what agents are
    to serve, by id. So a source that is removed and added again is the same to the relay.

    Every method raises RegistryUnusable. A file with text that is no JSON is never overwritten: it
    may hold the only copy of ids that the relay's books know.
    """

    def __init__(
        self,
        home: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = home / "settings.json"
        self._clock = clock
        self._sleep = sleep

    def source_id_of(self, place: Place) -> str:
        """The source id of what lies at *place*: the one it always had, or a new one."""
        with self._locked():
            settings = self._load()
            known = settings["sources"].get(place.key)
            if known is not None:
                return str(known)
            made = ids.new_source_id()
            settings["sources"][place.key] = made
            self._save(settings)
            return made

    def stamp(self) -> object:
        """Something that differs once the file was changed; cheap enough to ask every second."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryUnusable(self._path, error.strerror or str(error)) from error
        return found.st_mtime_ns, found.st_size, found.st_ino

    def registered(self) -> tuple[RegisteredSource, ...]:
        """Every registered source, in the order they were added."""
        return self._registered(self._load())

    def find(self, named: str) -> RegisteredSource:
        """The registered source of that id, name or place. Raises UnknownSource, AmbiguousSource.

        A spreadsheet's id or address names its tab when only one tab of it is registered.
        """
        return _find(self.registered(), named)

    def add(self, source: RegisteredSource) -> None:
        """Register *source*. Raises SourceExists when its place is registered already."""
        with self._locked():
            settings = self._load()
            for other in self._registered(settings):
                if other.place.key == source.place.key:
                    raise SourceExists(other.name, other.source_id)
            settings["sources"][source.place.key] = source.source_id
            settings["registered"][source.source_id] = source.to_json()
            self._save(settings)

    def pause(self, source_id: str, *, is_paused: bool) -> None:
        """Pause a source, or resume it. Raises UnknownSource."""
        with self._locked():
            settings = self._load()
            known = {each.source_id: each for each in self._registered(settings)}
            if source_id not in known:
                raise UnknownSource(source_id, [])
            changed = replace(known[source_id], is_paused=is_paused)
            settings["registered"][source_id] = changed.to_json()
            self._save(settings)

    def remove(self, source_id: str) -> None:
        """Forget that a source is served; its id stays remembered. Raises UnknownSource."""
        with self._locked():
            settings = self._load()
            if settings["registered"].pop(source_id, None) is None:
                raise UnknownSource(source_id, [])
            self._save(settings)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name("settings.lock")
        until = self._clock() + _LOCK_SECONDS
        while True:
            try:
                with try_lock(lock) as is_ours:
                    if is_ours:
                        yield
                        return
            except OSError as error:
                raise RegistryUnusable(self._path, error.strerror or str(error)) from error
            if self._clock() > until:
                raise RegistryUnusable(self._path, f"{lock} is held by another process")
            self._sleep(_POLL_SECONDS)

    def _load(self) -> dict[str, Any]:
        try:
            settings = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {"sources": {}, "registered": {}}
        except OSError as error:
            raise RegistryUnusable(self._path, error.strerror or str(error)) from error
        except (ValueError, RecursionError) as error:
            raise RegistryUnusable(
                self._path, "it is no JSON; repair it or move it away"
            ) from error
        if not isinstance(settings, dict):
            raise RegistryUnusable(self._path, "it is no JSON object; repair it or move it away")
        version = settings.get("version", 1)
        if type(version) is not int or version > VERSION:
            raise RegistryUnusable(
                self._path,
                f"it is of version {version!r}, this Linkrow knows {VERSION}; upgrade Linkrow",
            )
        sources = settings.setdefault("sources", {})
        if not isinstance(sources, dict) or not all(
            isinstance(value, str) and _SOURCE_ID.fullmatch(value) for value in sources.values()
        ):
            raise RegistryUnusable(self._path, "its sources are not all src_…; repair it")
        if not isinstance(settings.setdefault("registered", {}), dict):
            raise RegistryUnusable(self._path, "registered is no JSON object; repair it")
        return settings

    def _registered(self, settings: dict[str, Any]) -> tuple[RegisteredSource, ...]:
        try:
            found = [
                RegisteredSource.from_json(source_id, told)
                for source_id, told in settings["registered"].items()
            ]
        except Malformed as error:
            raise RegistryUnusable(self._path, f"{error}; repair it") from error
        return tuple(sorted(found, key=lambda each: each.added_at))

    def _save(self, settings: dict[str, Any]) -> None:
        """Replace the file as a whole, on disk before it is seen."""
        text = json.dumps(settings | {"version": VERSION}, indent=2) + "\n"
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".settings-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as output:
                output.write(text)
                output.flush()
                os.fsync(output.fileno())
            Path(name).replace(self._path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _find(sources: tuple[RegisteredSource, ...], named: str) -> RegisteredSource:
    """The exact id first, then a name, then a place."""
    wanted = named.strip()
    as_file = FilePlace.of(Path(wanted)).key if wanted else ""
    sheet = _sheet_in(wanted)
    ways: tuple[Callable[[RegisteredSource], bool], ...] = (
        lambda each: each.source_id == wanted,
        lambda each: each.name == wanted,
        lambda each: each.name.casefold() == wanted.casefold(),
        lambda each: each.place.key == as_file,
        lambda each: _is_tab_of(each.place, sheet),
    )
    for is_meant in ways:
        found = [each for each in sources if is_meant(each)]
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousSource(named, [(each.source_id, str(each.place)) for each in found])
    raise UnknownSource(named, [each.name for each in sources])


def _sheet_in(text: str) -> SheetAddress | None:
    try:
        found = parse_address(text)
    except BadSheetAddress:
        return None
    return found if found.key else None


def _is_tab_of(place: Place, sheet: SheetAddress | None) -> bool:
    if sheet is None or not isinstance(place, SheetPlace):
        return False
    return place.spreadsheet == sheet.key and sheet.gid in (None, place.gid)
