"""Where the device key comes from: the environment, the system's key store, or a private file."""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import keyring
import keyring.errors

from agent.errors import NoCredentials
from connector import device_key
from connector.device_key import FILE_NAME
from connector.errors import CredentialsUnusable
from wire.signing import Credentials

SERVICE: Final = "linkrow"

_KEY_ID = re.compile(r"lrk_[A-Za-z0-9]{8,64}", re.ASCII)


class KeyStore(Protocol):
    """What of ``keyring`` is used."""

    def get_password(self, service_name: str, username: str) -> str | None:
        """The secret kept under these names, or None."""

    def set_password(self, service_name: str, username: str, password: str) -> None:
        """Keep a secret."""


def find(
    environ: Mapping[str, str], home: Path, *, relay: str, store: KeyStore = keyring
) -> Credentials:
    """The device key for *relay*. Raises NoCredentials or CredentialsUnusable.

    Half a key in the environment, or a file that others may read, is an error and not passed over:
    whoever put it there believes that it is used.
    """
    found = (
        device_key.from_environ(environ)
        or _from_store(relay, store)
        or device_key.from_file(home / "agent" / FILE_NAME)
        or device_key.from_file(home / "relay" / FILE_NAME)
        or _none(home)
    )
    # It names a file of ours and stands in headers: nothing but what the relay gives out.
    if not _KEY_ID.fullmatch(found.key_id):
        raise CredentialsUnusable(
            "the environment, the key store or the file", "expected lrk_ and letters or digits"
        )
    return found


def save_to_store(credentials: Credentials, *, relay: str, store: KeyStore = keyring) -> None:
    """Keep the key in the system's key store. Raises CredentialsUnusable where there is none."""
    kept = json.dumps({"key_id": credentials.key_id, "secret": credentials.secret})
    try:
        store.set_password(SERVICE, relay, kept)
    except keyring.errors.KeyringError as error:
        raise CredentialsUnusable("the key store", str(error)) from error


def save_to_file(credentials: Credentials, path: Path) -> None:
    """Keep the key in a private file: only where somebody asked for that."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = json.dumps({"key_id": credentials.key_id, "secret": credentials.secret}) + "\n"
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(kept, "utf-8")
    fresh.replace(path)


def _from_store(relay: str, store: KeyStore) -> Credentials | None:
    try:
        kept = store.get_password(SERVICE, relay)
    except keyring.errors.KeyringError:
        return None  # no key store on this machine, or it is locked: then it holds nothing for us
    return device_key.parsed(kept.encode(), where="the key store") if kept else None


def _none(home: Path) -> Credentials:
    raise NoCredentials(
        ("the system's key store", str(home / "agent" / FILE_NAME), str(home / "relay" / FILE_NAME))
    )
