"""What the API does to limits. Those who administer an account set what its calls may use."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.again import until_unmet
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.scope import Scope
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Right
from modelyard.domain.limits import MAX_PRIORITY, MONEY, Kind, Limit, OnExceeded, Subject
from modelyard.domain.prices import NANO
from modelyard.errors import FieldError, InvalidRequest, NotFound
from modelyard.store import Store, Transaction
from modelyard.store.paging import Page, PageQuery

_MOST = 2**53


@dataclass(frozen=True, slots=True)
class LimitDraft:
    """A limit as it is asked for; bounds of money in dollars."""

    name: str
    subject: Subject
    subject_id: str
    bounds: dict[Kind, int | Decimal]
    on_exceeded: OnExceeded
    priority: int

    @classmethod
    def of(cls, limit: Limit) -> "LimitDraft":
        bounds = {kind: Decimal(bound) / NANO if kind in MONEY else bound for kind, bound in limit.bounds.items()}
        return cls(limit.name, limit.subject, limit.subject_id, bounds, limit.on_exceeded, limit.priority)


class Limits:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, scope: Scope, account_id: str | None, draft: LimitDraft, attempt: Attempt) -> Limit:
        account = scope.account_to_write(account_id)
        scope.require(Right.ADMIN, account)
        now = self._clock.now()
        limit = _made(Limit(str(uuid4()), **scope.signature(account, now), **_EMPTY), draft)

        async def make(tx: Transaction) -> Limit:
            await _check_subject(tx, limit)
            await tx.limits.add(limit)
            return limit

        async def again(tx: Transaction, limit_id: str) -> Limit:
            return await tx.limits.get(limit_id, scope.readable)

        return await create_once(self._store, attempt, now, make=make, again=again)

    async def get(self, scope: Scope, limit_id: str) -> Limit:
        async with self._store.read() as tx:
            return await tx.limits.get(limit_id, scope.own_accounts)

    async def page(self, query: PageQuery) -> Page[Limit]:
        async with self._store.read() as tx:
            return await tx.limits.page(query)

    async def change(self, scope: Scope, limit_id: str, change: Callable[[LimitDraft], LimitDraft]) -> Limit:
        """What is used of it stays used."""

        async def once() -> Limit:
            async with self._store.begin() as tx:
                limit = await _to_write(tx, scope, limit_id)
                changed = _made(limit, change(LimitDraft.of(limit)))
                if changed != limit:
                    await _check_subject(tx, changed)
                    await tx.limits.replace(changed)
                return changed

        return await until_unmet(once)

    async def delete(self, scope: Scope, limit_id: str) -> None:
        async with self._store.begin() as tx:
            limit = await _to_write(tx, scope, limit_id)
            await tx.limits.delete(limit.id)


_EMPTY: dict[str, Any] = {"name": "", "subject": Subject.ACCOUNT, "subject_id": "", "bounds": {}}


def _made(limit: Limit, draft: LimitDraft) -> Limit:
    """``draft`` in the place of what ``limit`` says; raises `InvalidRequest` naming what is wrong with it."""
    errors = []
    bounds: dict[Kind, int] = {}
    for kind, bound in draft.bounds.items():
        amount = Decimal(bound) * (NANO if kind in MONEY else 1)
        if amount != amount.to_integral_value():
            errors.append(FieldError(("body", kind.value), "has more than nine places after the point"))
        elif not 0 <= amount <= _MOST:
            errors.append(FieldError(("body", kind.value), "must be 0 or more, and not absurdly large"))
        else:
            bounds[kind] = int(amount)
    if not draft.bounds:
        errors.append(FieldError(("body",), f"limits nothing; set one of {', '.join(Kind)}"))
    if not 0 <= draft.priority <= MAX_PRIORITY:
        errors.append(FieldError(("body", "priority"), f"must be between 0 and {MAX_PRIORITY}"))
    if errors:
        raise InvalidRequest(errors, code="invalid_limit")
    return replace(
        limit,
        name=draft.name,
        subject=draft.subject,
        subject_id=draft.subject_id,
        bounds=bounds,
        on_exceeded=draft.on_exceeded,
        priority=draft.priority,
    )


async def _check_subject(tx: Transaction, limit: Limit) -> None:
    if not await _is_there(tx, limit):
        msg = f"there is no {limit.subject.value} '{limit.subject_id}' whose calls the account {limit.account_id} pays"
        raise InvalidRequest.at("body", "subject_id", msg=msg, code="unknown_subject")


async def _is_there(tx: Transaction, limit: Limit) -> bool:
    try:
        match limit.subject:
            case Subject.ACCOUNT:
                return limit.subject_id == limit.account_id
            case Subject.MODEL:
                await tx.models.get(limit.subject_id, _visible(limit.account_id))
                return True
            case Subject.KEY:
                identity_id = (await tx.accounts.key(limit.subject_id)).identity_id
            case Subject.IDENTITY:
                identity_id = limit.subject_id
        identity = await tx.accounts.identity(identity_id)
    except NotFound:
        return False
    return any(each.account.id == limit.account_id for each in identity.memberships)


def _visible(account_id: str) -> tuple[str, ...]:
    return (account_id, PLATFORM_ACCOUNT_ID)


async def _to_write(tx: Transaction, scope: Scope, limit_id: str) -> Limit:
    limit = await tx.limits.get(limit_id, scope.own_accounts)
    scope.require(Right.ADMIN, limit.account_id)
    return limit
