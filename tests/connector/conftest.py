"""Sheets for every test of the connector: over the emulator, without waiting for quota."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.sheet_quota import Kind, Quota
from connector.sheets import SheetSource
from tests.emulators.sheets.emulator import Emulator
from tests.emulators.sheets.store import File

OpenSheet = Callable[..., SheetSource]


class Unlimited(Quota):
    """A quota that is never used up: patience has tests of its own."""

    def take(self, kind: Kind) -> None:
        """At once."""


@pytest.fixture
def open_sheet(sheets_api: Emulator, tmp_path: Path) -> Iterator[OpenSheet]:
    """Opens a file of the emulator, or a new one with these rows; nothing sleeps."""
    opened: list[SheetSource] = []
    key = sheets_api.credentials(tmp_path)

    def open_(sheet: File | list[list[Any]], *, gid: int = 0, **more: Any) -> SheetSource:
        file = sheet if isinstance(sheet, File) else sheets_api.new("Links", sheet)
        terms: dict[str, Any] = {
            "source_id": "src_a",
            "home": tmp_path,
            "environ": {"LINKROW_SHEETS_API": sheets_api.url},
            "credentials": key,
            "sleep": lambda seconds: None,
            "quota": Unlimited(),
        }
        source = SheetSource(file.file_id, gid, **(terms | more))
        opened.append(source)
        return source

    yield open_
    for source in opened:
        source.close()
    assert not sheets_api.broken
