"""Usage records: each is written once, whoever writes it how often."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    String,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from modelyard.domain.limits import settlement
from modelyard.domain.rollups import by_hour
from modelyard.domain.usage import UsageRecord
from modelyard.store import usage_hours, usage_sums
from modelyard.store.columns import checked, to_microseconds
from modelyard.store.faults import translated
from modelyard.store.limits import Limits
from modelyard.store.session import Session
from modelyard.store.tables import usage as table


def _row(record: UsageRecord) -> tuple[object, ...]:
    """A record's values in the order of the table's columns."""
    return (
        to_microseconds(record.started_at),
        record.id,
        record.request_id,
        record.account_id,
        record.key_id,
        record.identity_id,
        record.deployment_id,
        record.model_id,
        record.model_name,
        record.verb.value,
        record.outcome.value,
        record.error_code,
        record.prompt_tokens,
        record.response_tokens,
        record.estimated,
        record.first_byte_seconds,
        record.total_seconds,
        record.cached_tokens,
        record.reasoning_tokens,
        record.vendor,
        record.cost_nano,
        record.served_by,
    )


def _encoded(rows: list[tuple[object, ...]]) -> str:
    text = msgspec.json.encode(rows).decode()
    if r"\u0000" in text:
        # It may be a backslash, u and zeros: a harmless text.
        for value in chain.from_iterable(rows):
            if isinstance(value, str):
                checked(value)
    return text


def _inserted_from(source: FromClause, values: Sequence[ColumnElement[Any]], insert: Any) -> Any:
    # Without a condition SQLite would take ON CONFLICT for a part of the SELECT.
    listed = select(*values).select_from(source).where(true())
    return (
        insert.from_select([column.name for column in table.columns], listed)
        .on_conflict_do_nothing()
        .returning(table.c.id)
    )


def _on_sqlite() -> Any:
    records = func.json_each(bindparam("records", type_=Text)).table_valued("value")
    values = [func.json_extract(records.c.value, f"$[{position}]") for position in range(len(table.columns))]
    return _inserted_from(records, values, sqlite.insert(table))


def _on_postgresql() -> Any:
    text = cast(bindparam("records", type_=Text), postgresql.JSONB)
    records = func.jsonb_array_elements(text).table_valued("value")
    values: list[ColumnElement[Any]] = []
    for position, column in enumerate(table.columns):
        value = records.c.value.op("->>", return_type=Text())(literal_column(str(position), Integer))
        values.append(value if isinstance(column.type, String) else cast(value, column.type))
    return _inserted_from(records, values, postgresql.insert(table))


# One statement and one parameter for a whole batch: the rows are taken apart by the database, not on the event loop
# and not under the interpreter's lock.
_INSERT_ON_SQLITE = _on_sqlite()
_INSERT_ON_POSTGRESQL = _on_postgresql()


class Usage:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, records: Sequence[UsageRecord]) -> None:
        """Write records, and add them to their hours; one that was written before is left as it is."""
        if not records:
            return
        with translated():
            text = _encoded([_row(record) for record in records])
        statement = _INSERT_ON_POSTGRESQL if self._session.on_postgresql else _INSERT_ON_SQLITE
        new = set((await self._session.execute(statement, {"records": text})).scalars())
        by_id = {record.id: record for record in records if record.id in new}
        if not by_id:
            return
        await usage_hours.add(self._session, by_hour(by_id.values()))
        if any(record.reserved for record in by_id.values()):
            await Limits(self._session).settle(settlement(by_id.values()))

    async def sums(
        self,
        starts: Sequence[datetime],
        end: datetime,
        *,
        deployment_id: str | None = None,
        model_name: str | None = None,
        model_group_id: str | None = None,
        accounts: Sequence[str] | None = None,
    ) -> list[tuple[int, int, int]]:
        """``(slice index, prompt tokens, response tokens)`` for every slice with calls in it. Slice i is
        ``[starts[i], starts[i + 1])``, the last one ends before ``end``; ``starts`` must be in order."""
        which = usage_sums.Which(deployment_id, model_name, model_group_id, accounts)
        return await usage_sums.sums(self._session, [*starts, end], which)

    async def report(self, start: datetime, end: datetime, query: usage_hours.Query) -> list[usage_hours.Row]:
        """See `modelyard.store.usage_hours.report`."""
        return await usage_hours.report(self._session, start, end, query)
