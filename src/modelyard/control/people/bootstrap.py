"""The first start: an account, an administrator, and the key that opens everything."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

import structlog

from modelyard.clock import Clock
from modelyard.control.people.api_keys import new_key
from modelyard.control.people.keys import MAX_KEY_LENGTH, digest_of
from modelyard.domain.accounts import Account, ApiKey, Identity, IdentityType, Membership, Role
from modelyard.domain.audit import SYSTEM
from modelyard.domain.secrets import is_mistyped
from modelyard.errors import ConfigurationError, Conflict
from modelyard.settings import Settings
from modelyard.store import Store, acting

log = structlog.get_logger(__name__)

KEY_FILE = "admin.key"

# Everybody who starts first makes the same rows, so that the database lets only one of them succeed.
_NAMESPACE = UUID("6f1b3a52-6a5b-4b8e-9d0e-3f2f0d7c8a11")
ACCOUNT_ID = str(uuid5(_NAMESPACE, "default account"))
ADMINISTRATOR_ID = str(uuid5(_NAMESPACE, "administrator"))
_MEMBERSHIP_ID = str(uuid5(_NAMESPACE, "membership"))


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What only the first start knows."""

    key: str
    path: Path
    """Where the key is kept."""
    given: bool
    """Whether the key came from the settings; then there is no need to print it."""


async def ensure_administrator(store: Store, clock: Clock, settings: Settings) -> FirstStart | None:
    """Make the default account, its administrator and the key, unless there is an administrator; None then.

    The key is in ``<data_dir>/admin.key`` (mode 0600) before anything is committed, and out of there
    again where another server was faster.
    """
    given = _given_key(settings)
    async with store.read() as tx:
        if await tx.accounts.any_administrator() is not None:
            if given is not None and await tx.accounts.key_by_digest(digest_of(given)) is None:
                log.warning("MODELYARD_BOOTSTRAP_API_KEY is not used: this installation has an administrator already")
            return None
    key, secret = new_key(ADMINISTRATOR_ID, "administrator", clock.now(), secret=given)
    path = settings.data_dir / KEY_FILE
    draft = _write_private(path.with_name(f"{KEY_FILE}.{key.id}"), secret)
    account = Account(ACCOUNT_ID, "default", clock.now())
    membership = Membership(_MEMBERSHIP_ID, account, ADMINISTRATOR_ID, IdentityType.USER, Role.ADMIN)
    administrator = Identity(
        ADMINISTRATOR_ID,
        IdentityType.USER,
        "admin@modelyard.invalid",
        clock.now(),
        first_name="Administrator",
        is_administrator=True,
    )
    try:
        with acting(SYSTEM, clock.now):
            await _write(store, _First(account, administrator, membership, key))
    except Conflict:
        draft.unlink(missing_ok=True)
        log.info("another server made the administrator first")
        return None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)
    return FirstStart(secret, path, given=given is not None)


@dataclass(frozen=True, slots=True)
class _First:
    """Everything that the first administrator needs."""

    account: Account
    administrator: Identity
    membership: Membership
    key: ApiKey


async def _write(store: Store, first: _First) -> None:
    async with store.begin() as tx:
        await tx.accounts.add_account(first.account)
        await tx.accounts.add_identity(first.administrator)
        await tx.accounts.add_membership(first.membership)
        await tx.accounts.add_key(first.key)


def _given_key(settings: Settings) -> str | None:
    if settings.bootstrap_api_key is None:
        return None
    key = settings.bootstrap_api_key.get_secret_value().strip()
    if not key or len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"MODELYARD_BOOTSTRAP_API_KEY must be 1 to {MAX_KEY_LENGTH} printable ASCII characters without spaces."
        )
    if is_mistyped(key):
        raise ConfigurationError("MODELYARD_BOOTSTRAP_API_KEY looks like a key of modelyard's own, but mistyped.")
    return key


def _write_private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    return path
