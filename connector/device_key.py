"""Read a device key from the environment or from a private file; never pass over a broken one."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connector.errors import CredentialsUnusable
from wire.signing import Credentials

FILE_NAME: Final = "device.json"


def from_environ(environ: Mapping[str, str]) -> Credentials | None:
    """``LINKROW_DEVICE_KEY`` and ``LINKROW_DEVICE_SECRET``, or None when neither is set."""
    key, secret = environ.get("LINKROW_DEVICE_KEY"), environ.get("LINKROW_DEVICE_SECRET")
    if key and secret:
        return Credentials(key_id=key, secret=secret)
    if key or secret:
        missing = "LINKROW_DEVICE_SECRET" if key else "LINKROW_DEVICE_KEY"
        raise CredentialsUnusable("the environment", f"{missing} is not set")
    return None


def from_file(path: Path) -> Credentials | None:
    """The key in a file that only its owner may read, or None when there is no such file."""
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & (
                stat.S_IRWXG | stat.S_IRWXO
            ):
                raise CredentialsUnusable(str(path), f"others may read it; chmod 600 {path}")
            return parsed(file.read(64 * 1024), where=str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialsUnusable(str(path), error.strerror or str(error)) from error


def parsed(content: bytes, *, where: str) -> Credentials:
    """The key that *content* holds. Raises CredentialsUnusable, without quoting it."""
    try:
        saved = json.loads(content)
        key, secret = saved["key_id"], saved["secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        # Not "from error": the cause may quote the content.
        raise CredentialsUnusable(where, "expected JSON with key_id and secret") from None
    if not (isinstance(key, str) and isinstance(secret, str) and key and secret):
        raise CredentialsUnusable(where, "key_id and secret must be text")
    return Credentials(key_id=key, secret=secret)
