"""Where this user's data lies."""

from collections.abc import Mapping
from pathlib import Path

import platformdirs


def home_of(environ: Mapping[str, str]) -> Path:
    """``LINKROW_HOME``, else what is usual on this system."""
    named = environ.get("LINKROW_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_data_dir("linkrow"))
