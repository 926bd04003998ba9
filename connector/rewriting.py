"""How long the last rewrite of a source may take before somebody stops waiting for it."""

from pathlib import Path
from typing import Final

from connector.registered import FilePlace, Place

_BYTES_A_SECOND: Final = 2_000_000  # a slow machine under load; a quiet one does twenty times that
_SHEET_SECONDS: Final = 90.0  # a minute for its quota to come back, and the calls


def rewrite_seconds(file: Path) -> float:
    """Seconds to allow for two rewrites of *file* (one under way, one more); 0 if it is gone."""
    try:
        size = file.stat().st_size
    except OSError:
        return 0.0
    return size / _BYTES_A_SECOND


def seconds_to_write(place: Place) -> float:
    """Seconds to allow for what is still to be written at the end."""
    return rewrite_seconds(place.path) if isinstance(place, FilePlace) else _SHEET_SECONDS
