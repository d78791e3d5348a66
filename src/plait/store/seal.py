"""Seals what must not be read in a shared store: AES-256-GCM under a key that only the control processes have.

The name under which something is kept is sealed with it, so that one secret cannot be put in another's place.
"""

import base64
import binascii
import os
import secrets
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from plait.errors import RefusedError

_KEY: Final = 32
_NONCE: Final = 12


class Seal:
    """A key that closes and opens."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a file, made at first use; RefusedError if the file holds none."""
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(secrets.token_bytes(_KEY)) + b"\n")
        try:
            key = base64.b64decode(path.read_bytes().strip(), validate=True)
        except OSError as error:
            raise RefusedError(f"the seal key {path} cannot be read: {error.strerror}", "check its owner") from error
        except binascii.Error:
            key = b""
        if len(key) != _KEY:
            raise RefusedError(
                f"{path} holds no seal key", "copy the one of the first control, or make one: openssl rand -base64 32"
            )
        return cls(key)

    def close(self, content: bytes, name: bytes) -> bytes:
        """The content, sealed under a name."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, content, name)

    def open(self, sealed: bytes, name: bytes) -> bytes:
        """What was sealed under that name; RefusedError if another key did it, or if it was changed since."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name)
        except InvalidTag:
            raise RefusedError(
                "what the store holds is sealed with another key than this control has",
                "copy the seal key of the other control here (STATE/control/seal.key), or name it with --seal-key",
            ) from None
