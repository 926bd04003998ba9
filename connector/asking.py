"""From what a person names and adds to it to a source: a registered one, or as it would be."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from connector.errors import UnknownSource
from connector.locating import locate
from connector.registered import Mode, RegisteredSource, name_of
from connector.registry import Registry

UNSAVED: Final = "src_unsaved"
"""The id of a source that is not registered; it is given one when it needs one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """*what* was named, and what was said of it beyond that."""

    what: str
    tab: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    mode: Mode | None = None
    credentials: Path | None = None

    def source(self, registry: Registry, *, environ: Mapping[str, str]) -> RegisteredSource:
        """The registered source it is, with what was said now; else one with the id UNSAVED.

        A file that is there is meant before a source that happens to be called like it. Raises
        ConnectorError.
        """
        known = self._by_name(registry)
        if known is None:
            place = locate(self.what, tab=self.tab, credentials=self.credentials, environ=environ)
            at = (each for each in registry.registered() if each.place.key == place.key)
            known = next(at, None)
            if known is None:
                return RegisteredSource(
                    source_id=UNSAVED,
                    name=name_of(place),
                    place=place,
                    added_at=datetime.now(UTC),
                    columns=self.columns,
                    mode=self.mode or Mode.IN_PLACE,
                    credentials=self.credentials,
                )
        return replace(
            known,
            columns={**known.columns, **self.columns},
            mode=self.mode or known.mode,
            credentials=self.credentials or known.credentials,
        )

    def _by_name(self, registry: Registry) -> RegisteredSource | None:
        if self.tab or Path(self.what).expanduser().exists():
            return None
        try:
            return registry.find(self.what)
        except UnknownSource:
            return None

    def spelled(self) -> str:
        """As it would be typed again."""
        words = [self.what, *(["--tab", self.tab] if self.tab else ())]
        for ours, theirs in self.columns.items():
            words += ["--column", f"{ours}={theirs}"]
        words += ["--results-tab"] if self.mode is Mode.RESULTS_TAB else []
        words += ["--credentials", str(self.credentials)] if self.credentials else []
        return shlex.join(words)
