"""Which file is which source: ids made once, remembered by the file's real path."""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from connector.errors import ConnectorError
from connector.locks import try_lock
from wire import ids

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

    def source_id_for(self, path: Path) -> str:
        """The source id of the file at *path*: the one it always had, or a new one."""
        name = _real_name(path)
        with self._locked():
            settings = self._load()
            sources = settings["sources"]
            if name not in sources:
                sources[name] = ids.new_source_id()
                self._save(settings)
            return str(sources[name])

    def sources(self) -> dict[Path, str]:
        """Every remembered file with its source id."""
        return {Path(name): str(source_id) for name, source_id in self._load()["sources"].items()}

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
            return {"sources": {}}
        except OSError as error:
            raise RegistryUnusable(self._path, error.strerror or str(error)) from error
        except (ValueError, RecursionError) as error:
            raise RegistryUnusable(
                self._path, "it is no JSON; repair it or move it away"
            ) from error
        if not isinstance(settings, dict):
            raise RegistryUnusable(self._path, "it is no JSON object; repair it or move it away")
        sources = settings.setdefault("sources", {})
        if not isinstance(sources, dict) or not all(
            isinstance(value, str) and _SOURCE_ID.fullmatch(value) for value in sources.values()
        ):
            raise RegistryUnusable(self._path, "its sources are not all src_…; repair it")
        return settings

    def _save(self, settings: dict[str, Any]) -> None:
        """Replace the file as a whole, on disk before it is seen."""
        text = json.dumps(settings, indent=2) + "\n"
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


def _real_name(path: Path) -> str:
    """One name per file: links followed, case folded where the system does so."""
    return os.path.normcase(os.path.realpath(path))
