"""The fixture `sheets_api`: a Sheets emulator in this process, on a port of its own."""

from collections.abc import Iterator

import pytest

from tests.emulators.sheets.emulator import Emulator


@pytest.fixture
def sheets_api() -> Iterator[Emulator]:
    """An empty emulator; a test in which the emulator itself broke is a failed test."""
    emulator = Emulator()
    emulator.start()
    yield emulator
    emulator.stop()
    assert emulator.broken == []
