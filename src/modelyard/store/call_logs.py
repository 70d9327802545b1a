"""The call log: usage records one by one, the newest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, delete, select, tuple_, type_coerce

from modelyard.domain.call_logs import parsed_log_id
from modelyard.domain.intervals import from_microseconds, to_microseconds
from modelyard.domain.usage import Outcome, UsageRecord, Verb
from modelyard.errors import NotFound
from modelyard.store import call_counts
from modelyard.store.call_counts import BEGINNING, END, Asked
from modelyard.store.paging import Page
from modelyard.store.session import Session
from modelyard.store.tables_of_usage import usage

_at: ColumnElement[int] = type_coerce(usage.c.started_at, BigInteger)


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
        """Newest first: walks what the accounts paid for in the order of time, no further than to the last there is."""
        asked = _asked(query)
        total = await call_counts.count(self._session, asked)
        order = (usage.c.started_at, usage.c.id)
        ordered = order if query.oldest_first else tuple(column.desc() for column in order)
        offset = (query.page - 1) * query.limit
        within = (_at >= asked.low, _at < asked.high)
        wanted = select(usage).where(*within, *asked.of(usage)).order_by(*ordered).offset(offset)
        count = min(query.limit, total - offset)
        rows = (await self._session.execute(wanted.limit(count))).all() if count > 0 else []
        return Page([_record(row) for row in rows], total, query.page, query.limit)

    async def get(self, log_id: str, accounts: Sequence[str]) -> UsageRecord:
        """The call with this id in the log (`modelyard.domain.call_logs.log_id`), where one of ``accounts`` paid."""
        parsed = parsed_log_id(log_id)
        row = None
        if parsed is not None and parsed[0] < END:
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
        await call_counts.records_end_before(self._session, to_microseconds(moment))
        key = (usage.c.started_at, usage.c.id)
        oldest = select(*key).where(usage.c.started_at < moment).order_by(*key).limit(most)
        ended = await self._session.execute(delete(usage).where(tuple_(*key).in_(oldest)))
        return int(ended.rowcount)


def _asked(query: CallQuery) -> Asked:
    low = BEGINNING if query.since is None else to_microseconds(query.since)
    high = END if query.until is None else to_microseconds(query.until)
    return Asked(query.accounts, query.where, low, high)


def _record(row: Row[Any]) -> UsageRecord:
    values = dict(row._mapping)
    return UsageRecord(**{**values, "verb": Verb(row.verb), "outcome": Outcome(row.outcome)})
