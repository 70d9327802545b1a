"""Limits, and how much of each is used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, case, delete, func, select, update

from modelyard.domain.accounts import IdentityType
from modelyard.domain.limits import MONEY, Ask, Kind, Limit, OnExceeded, Settlement, Subject, Verdict, decide
from modelyard.store.entities import Entities, Shape
from modelyard.store.paging import SortKeys
from modelyard.store.session import Session
from modelyard.store.tables import gateways, limit_use
from modelyard.store.tables import limits as table
from modelyard.store.tables_of_usage import usage_hours

SORT_FIELDS: SortKeys = {
    name: table.c[name]
    for name in ("id", "name", "created_at", "account_id", "subject", "subject_id", "on_exceeded", "priority")
}
_SPENT = ""
"""In the place of a gateway's id."""

_HOURS_BY = {
    Subject.KEY: usage_hours.c.key_id,
    Subject.IDENTITY: usage_hours.c.identity_id,
    Subject.ACCOUNT: usage_hours.c.account_id,
    Subject.MODEL: usage_hours.c.model_id,
}

_NAMES = ("limit_id", "kind", "window", "gateway_id")

_Key = tuple[str, str, datetime]
"""(limit id, kind, window)"""


def _values(limit: Limit) -> dict[str, Any]:
    return {
        "id": limit.id,
        "account_id": limit.account_id,
        "created_at": limit.created_at,
        "created_by_user_id": limit.created_by_user_id,
        "created_by_identity_type": limit.created_by_identity_type.value,
        "name": limit.name,
        "subject": limit.subject.value,
        "subject_id": limit.subject_id,
        "bounds": {kind.value: bound for kind, bound in limit.bounds.items()},
        "on_exceeded": limit.on_exceeded.value,
        "priority": limit.priority,
    }


def _limit(row: Row[Any]) -> Limit:
    return Limit(
        id=row.id,
        account_id=row.account_id,
        created_at=row.created_at,
        created_by_user_id=row.created_by_user_id,
        created_by_identity_type=IdentityType(row.created_by_identity_type),
        name=row.name,
        subject=Subject(row.subject),
        subject_id=row.subject_id,
        bounds={Kind(kind): bound for kind, bound in row.bounds.items()},
        on_exceeded=OnExceeded(row.on_exceeded),
        priority=row.priority,
    )


_SHAPE = Shape("limit", table, SORT_FIELDS, _values, _limit)


class Limits(Entities[Limit]):
    def __init__(self, session: Session) -> None:
        super().__init__(session, _SHAPE)

    async def add(self, entity: Limit) -> None:
        await super().add(entity)
        self._session.routes_changed()

    async def delete(self, entity_id: str) -> bool:
        # The limit first, as whoever decides about it does: so neither waits for the other in a circle.
        there = await super().delete(entity_id)
        await self._session.execute(delete(limit_use).where(limit_use.c.limit_id == entity_id))
        self._session.routes_changed()
        return there

    async def all(self) -> list[Limit]:
        return [_limit(row) for row in await self._session.execute(select(table))]

    async def reserve(self, calls: Sequence[Sequence[Ask]], gateway_id: str) -> list[Verdict]:
        """Decide about calls, one after the other, each seeing what those before it have got. By the limits as they
        are now: whoever asks may not have heard yet that one was changed, or is gone."""
        held = await self._hold({ask.limit.id for call in calls for ask in call})
        calls = [_now(call, held) for call in calls]
        used = await self._used([ask for call in calls for ask in call])
        more: dict[_Key, int] = {}
        verdicts = []
        for call in calls:
            mine = {(ask.limit.id, ask.kind): used[_key(ask)] for ask in call}
            verdict = decide(call, mine)
            verdicts.append(verdict)
            if verdict.exceeded is None:
                for ask in call:
                    used[_key(ask)] += ask.amount
                    more[_key(ask)] = more.get(_key(ask), 0) + ask.amount
        await self._add({(*key, gateway_id): amount for key, amount in more.items()})
        return verdicts

    async def settle(self, settlement: Settlement) -> None:
        """What is reserved becomes what is spent, in the transaction that writes the calls' usage."""
        held = await self._hold({*(key[0] for key in settlement.spent), *(key[0] for key in settlement.released)})
        spent = {key: amount for key, amount in settlement.spent.items() if key[0] in held}
        # A window of money that nobody has begun yet begins with all usage in it, of these calls too.
        begun = await self._begun({key for key in spent if key[1] in MONEY})
        counted = {key: amount for key, amount in spent.items() if key[1] not in MONEY or key in begun}
        await self._add({(*key, _SPENT): amount for key, amount in counted.items()})
        await self.give_back({key: amount for key, amount in settlement.released.items() if key[3]})

    async def give_back(self, amounts: Mapping[tuple[str, str, datetime, str], int]) -> None:
        """What calls had reserved that are over. What was given up since, when their gateway seemed lost, is gone
        already: nobody gives back what later calls hold."""
        named = {name: limit_use.c[name] == bindparam(f"of_{name}") for name in _NAMES}
        left = limit_use.c.amount - bindparam("back")
        statement = update(limit_use).where(*named.values()).values(amount=case((left > 0, left), else_=0))
        values = [
            {**{f"of_{name}": part for name, part in zip(_NAMES, key, strict=True)}, "back": amounts[key]}
            for key in sorted(amounts)
        ]
        if values:
            await self._session.execute(statement, values)

    async def give_up_lost(self, known: Iterable[str] = ()) -> None:
        """Drop what gateways have reserved that are not there any more: those neither in the list of gateways nor
        ``known``."""
        alive = select(gateways.c.id)
        gone = limit_use.c.gateway_id.not_in(alive) & limit_use.c.gateway_id.not_in([_SPENT, *known])
        await self._session.execute(delete(limit_use).where(gone))

    async def forget_before(self, minutes: datetime, money: datetime) -> None:
        """Drop windows that nobody can be in any more."""
        kinds = [kind.value for kind in MONEY]
        windowless = limit_use.c.kind == Kind.CONCURRENT.value
        old = (limit_use.c.kind.not_in(kinds) & ~windowless & (limit_use.c.window < minutes)) | (
            limit_use.c.kind.in_(kinds) & (limit_use.c.window < money)
        )
        await self._session.execute(delete(limit_use).where(old))

    async def _hold(self, limit_ids: Iterable[str]) -> dict[str, Limit]:
        """Those of the limits that are there, by id. One at a time decides about a limit; on SQLite a transaction that
        writes is alone anyway."""
        statement = select(table).where(table.c.id.in_(sorted(limit_ids))).order_by(table.c.id)
        if self._session.on_postgresql:
            statement = statement.with_for_update()
        return {row.id: _limit(row) for row in await self._session.execute(statement)}

    async def _used(self, asks: Sequence[Ask]) -> dict[_Key, int]:
        keys = {_key(ask): ask for ask in asks}
        used = dict.fromkeys(keys, 0)
        statement = select(
            limit_use.c.limit_id, limit_use.c.kind, limit_use.c.window, limit_use.c.gateway_id, limit_use.c.amount
        ).where(limit_use.c.limit_id.in_({key[0] for key in keys}), limit_use.c.window.in_({key[2] for key in keys}))
        begun = set()
        for limit_id, kind, window, gateway_id, amount in await self._session.execute(statement):
            key = (limit_id, kind, window)
            if key in used:
                used[key] += int(amount)
                if gateway_id == _SPENT:
                    begun.add(key)
        for key in sorted(keys):
            if keys[key].kind in MONEY and key not in begun:
                used[key] += await self._begin(keys[key])
        return used

    async def _begin(self, ask: Ask) -> int:
        """A window of money that nobody has counted yet begins with what was spent before: the limit may be new."""
        spent = select(func.sum(usage_hours.c.cost_nano)).where(
            usage_hours.c.account_id == ask.limit.account_id,
            _HOURS_BY[ask.limit.subject] == ask.limit.subject_id,
            usage_hours.c.hour >= ask.window,
        )
        amount = int((await self._session.execute(spent)).scalar_one() or 0)
        await self._add({(*_key(ask), _SPENT): amount})
        return amount

    async def _begun(self, keys: set[_Key]) -> set[_Key]:
        """Those of the windows in which what is spent is counted."""
        if not keys:
            return set()
        statement = select(limit_use.c.limit_id, limit_use.c.kind, limit_use.c.window)
        spent = limit_use.c.gateway_id == _SPENT
        found = await self._session.execute(statement.where(spent, limit_use.c.limit_id.in_({key[0] for key in keys})))
        return {tuple(row) for row in found} & keys

    async def _add(self, amounts: Mapping[tuple[str, str, datetime, str], int]) -> None:
        # Sorted: two that add to the same rows never wait for each other in a circle.
        values = [{**dict(zip(_NAMES, key, strict=True)), "amount": amounts[key]} for key in sorted(amounts)]
        if values:
            statement = self._session.inserting(limit_use).values(values)
            more = {"amount": limit_use.c.amount + statement.excluded.amount}
            await self._session.execute(statement.on_conflict_do_update(index_elements=_NAMES, set_=more))


def _now(call: Sequence[Ask], limits: Mapping[str, Limit]) -> list[Ask]:
    """What is asked of the limits as they are, of those and those bounds alone that are still there."""
    known = ((ask, limits.get(ask.limit.id)) for ask in call)
    return [replace(ask, limit=limit) for ask, limit in known if limit is not None and ask.kind in limit.bounds]


def _key(ask: Ask) -> _Key:
    return ask.limit.id, ask.kind.value, ask.window
