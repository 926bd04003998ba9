"""Secrets at rest: AES-256-GCM under a master key, bound to the key they belong to."""

import base64
import binascii
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.errors import BadMasterKey

VERSION: Final = 1
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class SecretBox:
    """Seals and opens secrets. *version* says which master key it holds."""

    key: bytes = field(repr=False)
    version: int = VERSION

    def seal(self, secret: str, *, key_id: str) -> bytes:
        """*secret*, encrypted so that it opens only for *key_id*."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, secret.encode(), key_id.encode())

    def open(self, sealed: bytes, *, key_id: str) -> str:
        """The secret again. Raises BadMasterKey for another master key, key id or altered bytes."""
        try:
            plain = AESGCM(self.key).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key_id.encode()
            )
        except (InvalidTag, ValueError) as error:
            raise BadMasterKey(
                f"the secret of {key_id} does not open; was the master key exchanged?"
            ) from error
        return plain.decode()


def parse_master_key(text: str) -> bytes:
    """32 bytes as standard base64. Raises BadMasterKey."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMasterKey("the master key must be base64 of 32 bytes") from error
    if len(key) != _KEY_BYTES:
        raise BadMasterKey("the master key must be base64 of 32 bytes")
    return key


def load_master_key(given: str | None, path: Path) -> bytes:
    """The key that was *given*, else the one in *path*. Raises BadMasterKey."""
    if given:
        return parse_master_key(given)
    try:
        return parse_master_key(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadMasterKey(
            f"{path} cannot be read; run linkrow-relay init, or set LINKROW_MASTER_KEY"
        ) from error


def make_master_key(path: Path) -> bool:
    """Put a new key into *path* (0600) unless there is one. Whether a new one was made.

    Two that do it at once agree: the first to link its file into place wins.
    """
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        return True
    finally:
        with suppress(OSError):
            temporary.unlink()
