"""Secrets at rest: sealed with Fernet (AES-128-CBC and HMAC-SHA256, https://github.com/fyrd/fernet-spec).

The key is the setting ``security.secret_key``, or else ``<data_dir>/secret.key`` (mode 0600, made at first use).
Several keys rotate: the first one seals, all of them open; `Vault.renewed` seals anew what an earlier one sealed. Who
has the database alone can read no secret, and who loses the key can read none either.
"""

import base64
import binascii
import contextlib
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelyard.errors import ConfigurationError, ModelyardError
from modelyard.settings import Settings

KEY_FILE = "secret.key"
_KEY_BYTES = 32
_SETTING = "MODELYARD_SECURITY__SECRET_KEY"


class Sealed(ModelyardError):
    """A secret that none of the keys opens."""

    code = "secret_not_readable"


class Vault:
    """Text to sealed text and back. Sealing the same twice gives different texts."""

    def __init__(self, keys: list[bytes]) -> None:
        """``keys``: 32 bytes each, the newest first."""
        self._first = keys[0]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])

    @classmethod
    def open(cls, settings: Settings) -> "Vault":
        """With the keys of this installation; the file is made where there is neither setting nor file. Raises
        `ConfigurationError` for what is no key."""
        given = settings.security.secret_key
        if given is not None:
            return cls(_keys(given.get_secret_value(), _SETTING))
        path = settings.data_dir / KEY_FILE
        return cls(_keys(_kept(path), str(path)))

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """Raises `Sealed` where no key fits."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise Sealed(
                "A stored secret cannot be read with the key in use.",
                hint=f"Put the key it was sealed with after the new one in {_SETTING}, or store the secret again.",
            ) from error

    def derived(self, purpose: str) -> str:
        """A key of its own for another purpose, in hex: what it signs can never be taken for what is sealed here."""
        derivation = HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=purpose.encode())
        return derivation.derive(self._first).hex()

    def is_renewed(self, sealed: str) -> bool:
        """Whether the first key opens it."""
        try:
            Fernet(base64.urlsafe_b64encode(self._first)).decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def renewed(self, sealed: str) -> str:
        """The same secret, sealed with the first key."""
        try:
            return self._fernet.rotate(sealed.encode()).decode("ascii")
        except InvalidToken as error:
            raise Sealed("A stored secret cannot be read with the key in use.") from error


def _keys(text: str, where: str) -> list[bytes]:
    """Keys in base64 (either alphabet), separated by commas or white space."""
    keys = [_key(word, where) for word in text.replace(",", " ").split()]
    if not keys:
        raise ConfigurationError(f"{where} holds no key.", hint=_REMEDY)
    return keys


_REMEDY = "A key is 32 random bytes in base64, as `openssl rand -base64 32` makes them."


def _key(word: str, where: str) -> bytes:
    try:
        key = base64.b64decode(word.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(f"{where} holds something that is no key.", hint=_REMEDY)
    return key


def _kept(path: Path) -> str:
    """What the file says; a new key in it where there is none. Of several servers that start at once, one makes it."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text("ascii", "replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode("ascii") + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)  # unlike a rename, a link never takes the place of what is there
    draft.unlink()
    return path.read_text("ascii", "replace")
