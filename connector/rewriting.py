"""How long the last rewrite of a file may take before somebody stops waiting for it."""

from pathlib import Path
from typing import Final

_BYTES_A_SECOND: Final = 2_000_000  # a slow machine under load; a quiet one does twenty times that


def rewrite_seconds(file: Path) -> float:
    """Seconds to allow for two rewrites of *file* (one under way, one more); 0 if it is gone."""
    try:
        size = file.stat().st_size
    except OSError:
        return 0.0
    return size / _BYTES_A_SECOND
