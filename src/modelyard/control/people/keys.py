"""Checking API keys, on every call's path: almost always from memory."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from modelyard.clock import Clock
from modelyard.domain.accounts import ApiKey, Caller, Identity, Role
from modelyard.domain.secrets import is_mistyped
from modelyard.errors import Unauthenticated, Unavailable
from modelyard.store import Store

log = structlog.get_logger(__name__)

MAX_KEY_LENGTH = 512
MAX_KNOWN = 50_000
"""Verified keys remembered at most; the longest unused go first."""
MAX_UNKNOWN = 4_096
"""Refused keys remembered at most, apart from the others: guessing must not push good keys out."""
STALE_SECONDS = 900
"""How long a verified key is still believed while the database is away."""
LOOKUP_SECONDS = 1.0
"""A database that takes longer counts as away for a key that was verified before."""


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    expires_at: datetime | None
    fresh_until: float
    verified_at: float


def digest_of(key: str) -> str:
    """What is kept of a key: its SHA-256 in hex. Keys are random and long, so this needs no salt or stretching.

    Looking it up needs no comparison in constant time either: how long an index takes may tell how much of a digest
    agrees, but whoever sends keys cannot choose their digests, and a digest's beginning helps nobody to find a key.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Keys:
    """Verifies keys (`modelyard.gateway.ports.KeyVerifier`).

    A verified key is believed for ``ttl`` seconds, then looked up again: so long does a revocation take
    at most. Many calls with one key make one lookup. While the database is away, what was verified within
    `STALE_SECONDS` goes on. Unknown, malformed, expired and revoked keys get the same answer.
    """

    def __init__(
        self, store: Store, clock: Clock, ttl: float, note: Callable[[str, datetime], None] | None = None
    ) -> None:
        """``note``: told which key was looked up when, about once in ``ttl`` for a key in use; it returns at once."""
        self._note = note
        self._store = store
        self._clock = clock
        self._ttl = ttl
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[Caller]] = {}

    async def verify(self, key: str) -> Caller:
        """The caller behind ``key``; raises `Unauthenticated`, or `Unavailable` where nobody can tell."""
        if not key or len(key) > MAX_KEY_LENGTH:
            raise _refused()
        digest = digest_of(key)
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and now < known.fresh_until:
            return self._believed(known)
        # Its checksum tells a slip of the pen from a key that nobody has; that is no secret.
        if is_mistyped(key) or now < self._unknown.get(digest, now):
            raise _refused()
        lookup = self._lookups.get(digest)
        if lookup is None:
            lookup = asyncio.create_task(self._look_up(digest))
            self._lookups[digest] = lookup
            lookup.add_done_callback(lambda task: self._done(digest, task))
        return await self._result(digest, lookup, known)

    def forget_identity(self, identity_id: str | None) -> None:
        """Look up this identity's keys again at their next use: what it may do has changed. None: everybody's."""
        if identity_id is None:
            self._known.clear()
        for digest in [d for d, known in self._known.items() if known.caller.identity_id == identity_id]:
            del self._known[digest]

    def forget_key(self, key_id: str) -> None:
        """As `forget_identity`, for one key."""
        for digest in [d for d, known in self._known.items() if known.caller.key_id == key_id]:
            del self._known[digest]

    async def _result(self, digest: str, lookup: "asyncio.Task[Caller]", known: _Known | None) -> Caller:
        # Shielded: a caller that goes away must not take the lookup from the others that wait for it.
        if known is None:
            return await asyncio.shield(lookup)
        try:
            return await asyncio.wait_for(asyncio.shield(lookup), LOOKUP_SECONDS)
        except (Unavailable, TimeoutError) as error:
            now = self._clock.monotonic()
            if now - known.verified_at > STALE_SECONDS:
                if isinstance(error, Unavailable):
                    raise
                raise Unavailable("The database does not answer.", code="database_unavailable") from error
            log.warning("keys are believed unverified: the database is away", key_id=known.caller.key_id)
            stale = _Known(known.caller, known.expires_at, now + self._ttl, known.verified_at)
            self._known[digest] = stale
            return self._believed(stale)

    def _done(self, digest: str, task: "asyncio.Task[Caller]") -> None:
        self._lookups.pop(digest, None)
        if not task.cancelled():
            # Read, so that a failure nobody waits for any more is no complaint of the event loop.
            task.exception()

    async def _look_up(self, digest: str) -> Caller:
        async with self._store.read() as tx:
            found = await tx.accounts.key_by_digest(digest)
        now = self._clock.monotonic()
        if found is None or not self._is_valid(found[0]):
            self._known.pop(digest, None)
            self._unknown[digest] = now + self._ttl
            while len(self._unknown) > MAX_UNKNOWN:
                self._unknown.popitem(last=False)
            raise _refused()
        key, identity = found
        if self._note is not None:
            self._note(key.id, self._clock.now())
        caller = caller_of(key, identity)
        self._known[digest] = _Known(caller, key.expires_at, now + self._ttl, now)
        self._known.move_to_end(digest)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return caller

    def _is_valid(self, key: ApiKey) -> bool:
        return key.revoked_at is None and not self._is_past(key.expires_at)

    def _believed(self, known: _Known) -> Caller:
        if self._is_past(known.expires_at):
            raise _refused()
        return known.caller

    def _is_past(self, moment: datetime | None) -> bool:
        return moment is not None and moment <= self._clock.now()


def caller_of(key: ApiKey, identity: Identity) -> Caller:
    """What decisions need to know of whoever holds ``key``. Disabled and invited members are in no account."""
    roles = {each.account.id: each.effective for each in identity.memberships}
    return Caller(
        key_id=key.id,
        identity_id=identity.id,
        identity_type=identity.type,
        is_administrator=identity.is_administrator,
        roles={account: role for account, role in roles.items() if role not in (Role.DISABLED, Role.INVITED)},
        scopes=key.scopes,
        models=None if key.models is None else frozenset(key.models),
    )


def _refused() -> Unauthenticated:
    return Unauthenticated("This API key is not valid.", hint="Check it, or ask an administrator for another.")
