"""Lists: a filter, an order, a page of it, and how many there are in all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.errors import InvalidRequest

T = TypeVar("T")

SortKeys = Mapping[str, ColumnElement[Any]]
"""What a list may be sorted by: the wire's name -> what it is in SQL."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """``page`` counts from 1; ``sort`` is (field, descending), most important first; ``where`` are equalities."""

    accounts: tuple[str, ...]
    page: int = 1
    limit: int = 100
    sort: tuple[tuple[str, bool], ...] = ()
    where: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    total: int
    page: int
    limit: int


def order(table: Table, keys: SortKeys, sort: Sequence[tuple[str, bool]]) -> list[ColumnElement[Any]]:
    """The ORDER BY: as asked, nothing before something, and always the id last so that pages never overlap."""
    clauses: list[ColumnElement[Any]] = []
    for name, descending in sort:
        column = keys.get(name)
        if column is None:
            allowed = ", ".join(sorted(keys))
            raise InvalidRequest.at("query", "sort_by", msg=f"cannot sort by '{name}'; choose from: {allowed}")
        clauses.append(column.desc().nulls_last() if descending else column.asc().nulls_first())
    if not clauses:
        # created_at is never null, and without NULLS LAST both databases can walk the index.
        return [table.c.created_at.desc(), table.c.id.desc()]
    return [*clauses, table.c.id.desc()]


async def page_of(
    connection: AsyncConnection, table: Table, keys: SortKeys, query: PageQuery
) -> tuple[Sequence[Row[Any]], int]:
    """The rows of one page in order, and the number of all rows."""
    ordering = order(table, keys, query.sort)
    conditions = [table.c.account_id.in_(query.accounts), *(table.c[name] == v for name, v in query.where.items())]
    total = (await connection.execute(select(func.count()).select_from(table).where(*conditions))).scalar_one()
    offset = (query.page - 1) * query.limit
    if offset >= total:
        return [], total
    # The ids are found on a narrow index; only the page's own rows are read whole.
    ids = _walking_the_index(select(table.c.id), table, query).where(*conditions).order_by(*ordering)
    wanted = (await connection.execute(ids.limit(query.limit).offset(offset))).scalars().all()
    rows = await connection.execute(select(table).where(table.c.id.in_(wanted)))
    by_id = {row.id: row for row in rows}
    return [by_id[id_] for id_ in wanted if id_ in by_id], total


def _walking_the_index(statement: Select[Any], table: Table, query: PageQuery) -> Select[Any]:
    if query.sort or query.where:
        return statement
    # SQLite would look accounts up one by one and sort what it found; along this index nothing is to be sorted.
    return statement.with_hint(table, f"INDEXED BY ix_{table.name}_page", "sqlite")
