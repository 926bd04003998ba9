"""Where a caller's relay is, and which key its requests are signed with.

Secrets come from the environment or from private files, never from a command line.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connector import device_key
from connector.errors import CredentialsUnusable, NoCredentials
from wire.signing import Credentials

DEFAULT_RELAY: Final = "http://127.0.0.1:8790"
WRONG_KEY: Final = "up to 240 printable ASCII characters, no space and no comma"

_KEY: Final = "LINKROW_API_KEY"
_SECRET: Final = "LINKROW_API_SECRET"  # noqa: S105 - the name of it
_FILE: Final = "LINKROW_API_KEY_FILE"


_KEY_ID = re.compile(r"lrk_[A-Za-z0-9]{8,64}", re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[!-+\--~]{1,240}", re.ASCII)


def is_idempotency_key(text: str) -> bool:
    """Whether the relay takes it, with room for a number behind it."""
    return _IDEMPOTENCY_KEY.fullmatch(text) is not None


def relay_url(given: str | None, *, environ: Mapping[str, str], home: Path) -> str:
    """What was *given*, else ``LINKROW_RELAY_URL``, else the relay that is up in *home*."""
    return given or environ.get("LINKROW_RELAY_URL") or _own_relay(home) or DEFAULT_RELAY


def signing_key(*, environ: Mapping[str, str], home: Path) -> Credentials:
    """The API key of the environment, else of the file it names, else this machine's device key.

    Raises NoCredentials, or CredentialsUnusable: half a key, or a file that others may read, is an
    error and not passed over, as whoever put it there believes that it is used.
    """
    found = (
        _of_environ(environ)
        or _of_named_file(environ)
        or device_key.from_environ(environ)
        or device_key.from_file(home / "agent" / device_key.FILE_NAME)
        or device_key.from_file(home / "relay" / device_key.FILE_NAME)
    )
    if found is None:
        raise NoCredentials(home / "relay" / device_key.FILE_NAME)
    if not _KEY_ID.fullmatch(found.key_id):
        raise CredentialsUnusable(
            "the environment or the file", "the key is not lrk_ and letters or digits"
        )
    return found


def _of_environ(environ: Mapping[str, str]) -> Credentials | None:
    key, secret = environ.get(_KEY), environ.get(_SECRET)
    if key and secret:
        return Credentials(key_id=key, secret=secret)
    if key or secret:
        raise CredentialsUnusable("the environment", f"{_SECRET if key else _KEY} is not set")
    return None


def _of_named_file(environ: Mapping[str, str]) -> Credentials | None:
    named = environ.get(_FILE)
    if not named:
        return None
    found = device_key.from_file(Path(named))
    if found is None:
        raise CredentialsUnusable(named, f"there is no such file; {_FILE} names it")
    return found


def _own_relay(home: Path) -> str:
    """The relay that is up in this data folder, or blank."""
    try:
        noted = json.loads((home / "relay" / "relay.json").read_text("utf-8"))
        return str(noted["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
