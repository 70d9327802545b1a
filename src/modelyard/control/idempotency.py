"""A create that a client repeats, because it saw no answer in time, makes nothing twice.

What a call made is remembered in the transaction that makes it, under a fingerprint of the call. A client
that repeats says so: by the same ``Idempotency-Key``, or (the official client, which sends no such key) by
``x-stainless-retry-count`` above zero with an equal body.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from modelyard.errors import Conflict, NotFound
from modelyard.store import Replay, Store, Transaction

REMEMBERED = timedelta(hours=24)
_SWEEP_ONE_IN = 64

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at making something."""

    key_id: str
    """The API key that tries: nobody gets what another's call made."""
    fingerprint: str
    body_digest: str
    named: bool
    """Whether the client named its call by an Idempotency-Key."""
    repeated: bool
    """Whether the client says that it tried before."""

    @classmethod
    def of(
        cls, key_id: str, *, method: str, path: str, account: str, body: bytes, name: str | None, retries: int
    ) -> "Attempt":
        """``name`` is the Idempotency-Key, ``retries`` the client's count of earlier tries."""
        digest = hashlib.sha256(body).hexdigest()
        what = f"key {name}" if name else f"body {digest}"
        text = "\n".join((method, path, account, what))
        fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return cls(key_id, fingerprint, digest, named=bool(name), repeated=retries > 0)


async def create_once(
    store: Store,
    attempt: Attempt,
    now: datetime,
    *,
    make: Callable[[Transaction], Awaitable[E]],
    again: Callable[[Transaction, str], Awaitable[E]],
    id_of: Callable[[E], str] = lambda entity: str(entity.id),  # type: ignore[attr-defined]
) -> E:
    """``make`` an entity, or give what an earlier try made of it (``again``, by its id)."""
    try:
        async with store.begin() as tx:
            found = await _earlier(tx, attempt, now, again)
            if found is not None:
                return found
            entity = await make(tx)
            await tx.idempotency.remember(
                Replay(attempt.key_id, attempt.fingerprint, attempt.body_digest, id_of(entity), now)
            )
            if int(attempt.fingerprint[:4], 16) % _SWEEP_ONE_IN == 0:
                await tx.idempotency.forget_before(now - REMEMBERED)
            return entity
    except Conflict:
        # The earlier try may have been still under way, and done by now.
        async with store.begin() as tx:
            found = await _earlier(tx, attempt, now, again)
        if found is None:
            raise
        return found


async def _earlier(
    tx: Transaction, attempt: Attempt, now: datetime, again: Callable[[Transaction, str], Awaitable[E]]
) -> E | None:
    if not (attempt.named or attempt.repeated):
        return None
    replay = await tx.idempotency.find(attempt.key_id, attempt.fingerprint, now - REMEMBERED)
    if replay is None:
        return None
    if replay.body_digest != attempt.body_digest:
        raise Conflict(
            "This Idempotency-Key came with another body before.",
            code="idempotency_key_reused",
            hint="Use a new key for each thing to make.",
        )
    try:
        return await again(tx, replay.entity_id)
    except NotFound as error:
        if attempt.named:
            raise Conflict(
                "What this Idempotency-Key made has been deleted since.",
                code="idempotency_key_reused",
                hint="Use a new key to make another.",
            ) from error
        return None
