"""The call log: usage records one by one, the newest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, select, tuple_

from modelyard.domain.call_logs import parsed_log_id
from modelyard.domain.usage import Outcome, UsageRecord, Verb
from modelyard.errors import NotFound
from modelyard.store.columns import from_microseconds
from modelyard.store.paging import Page
from modelyard.store.session import Session
from modelyard.store.tables_of_usage import usage

_LAST_MICROSECOND = 253_402_300_799_999_999
"""Of the year 9999; what comes later is no time that the database could give back."""


@dataclass(frozen=True, slots=True)
class CallQuery:
    """``accounts`` that paid; equalities by column; ``since`` is included, ``until`` is not."""

    accounts: Sequence[str]
    page: int = 1
    limit: int = 100
    oldest_first: bool = False
    where: dict[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None


class CallLogs:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def page(self, query: CallQuery) -> Page[UsageRecord]:
        """Newest first: walks what the accounts paid for in the order of time."""
        counted = _matching(select(func.count()).select_from(usage), query)
        total = int((await self._session.execute(counted)).scalar_one())
        order = (usage.c.started_at, usage.c.id)
        ordered = order if query.oldest_first else tuple(column.desc() for column in order)
        wanted = _matching(select(usage), query).order_by(*ordered)
        wanted = wanted.limit(query.limit).offset((query.page - 1) * query.limit)
        rows = (await self._session.execute(wanted)).all() if total else []
        return Page([_record(row) for row in rows], total, query.page, query.limit)

    async def get(self, log_id: str, accounts: Sequence[str]) -> UsageRecord:
        """The call with this id in the log (`modelyard.domain.call_logs.log_id`), where one of ``accounts`` paid."""
        parsed = parsed_log_id(log_id)
        row = None
        if parsed is not None and parsed[0] <= _LAST_MICROSECOND:
            wanted = select(usage).where(
                usage.c.started_at == from_microseconds(parsed[0]),
                usage.c.id == parsed[1],
                usage.c.account_id.in_(accounts),
            )
            row = await self._session.one(wanted)
        if row is None:
            raise NotFound(f"There is no call '{log_id}' in the log.", code="call_not_found")
        return _record(row)

    async def forget_before(self, moment: datetime, most: int) -> int:
        """End the oldest records before ``moment``, at most so many; how many that were. What they add up to stays."""
        key = (usage.c.started_at, usage.c.id)
        oldest = select(*key).where(usage.c.started_at < moment).order_by(*key).limit(most)
        ended = await self._session.execute(delete(usage).where(tuple_(*key).in_(oldest)))
        return int(ended.rowcount)


def _matching(statement: Select[Any], query: CallQuery) -> Select[Any]:
    accounts = tuple(dict.fromkeys(query.accounts))
    paid = usage.c.account_id == accounts[0] if len(accounts) == 1 else usage.c.account_id.in_(accounts)
    statement = statement.where(paid, *(usage.c[name] == value for name, value in query.where.items()))
    if query.since is not None:
        statement = statement.where(usage.c.started_at >= query.since)
    if query.until is not None:
        statement = statement.where(usage.c.started_at < query.until)
    return statement


def _record(row: Row[Any]) -> UsageRecord:
    values = dict(row._mapping)
    return UsageRecord(**{**values, "verb": Verb(row.verb), "outcome": Outcome(row.outcome)})
