"""Lists: a filter, an order, a page of it, and how many there are in all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, CompoundSelect, Row, Select, Table, func, select, union_all

from modelyard.errors import InvalidRequest
from modelyard.store.session import Session

T_co = TypeVar("T_co", covariant=True)

SortKeys = Mapping[str, ColumnElement[Any]]
"""What a list may be sorted by: the wire's name -> what it is in SQL."""

_MERGED = 32
"""Accounts whose lists are merged; those of more are put together and sorted."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """``accounts`` whose entities are seen (None: all, for internal use); ``page`` counts from 1; ``sort`` is
    (field, descending), most important first, none being newest first; ``where`` are equalities by column."""

    accounts: tuple[str, ...] | None
    page: int = 1
    limit: int = 100
    sort: tuple[tuple[str, bool], ...] = ()
    where: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    items: Sequence[T_co]
    total: int
    """How many there are on all pages together."""
    page: int
    limit: int


@dataclass(frozen=True, slots=True)
class _Key:
    by: ColumnElement[Any]
    descending: bool

    def over(self, column: ColumnElement[Any], *, backwards: bool) -> ColumnElement[Any]:
        """The ORDER BY of ``column``, which holds this key: nothing sorts before something, on every database."""
        descending = self.descending is not backwards
        if isinstance(self.by, Column) and not self.by.nullable:
            # Said nevertheless, it would keep PostgreSQL from walking an index.
            return column.desc() if descending else column.asc()
        return column.desc().nulls_last() if descending else column.asc().nulls_first()


async def page_of(session: Session, table: Table, keys: SortKeys, query: PageQuery) -> tuple[Sequence[Row[Any]], int]:
    """The rows of one page in order, and the number of all rows."""
    ordering = _ordering(table.c.id, keys, query.sort)
    accounts = None if query.accounts is None else tuple(dict.fromkeys(query.accounts))
    conditions = [table.c[name] == value for name, value in query.where.items()]
    total = await _count(session, table, conditions, accounts)
    offset = (query.page - 1) * query.limit
    if offset >= total:
        return [], total
    count = min(query.limit, total - offset)
    # From the middle on the way is shorter from the end.
    backwards = offset > total // 2
    if backwards:
        offset = total - offset - count
    # Ids and sort keys are found on a narrow index; only the page's own rows are read whole.
    walk = _Walk(session.on_postgresql, table, ordering, conditions, backwards)
    ids = walk.ids(accounts, offset + count).limit(count).offset(offset)
    wanted = [row.id for row in await session.execute(ids)]
    found = await session.by_ids(table, wanted)
    return [found[id_] for id_ in (reversed(wanted) if backwards else wanted) if id_ in found], total


async def page_of_rows(
    session: Session,
    statement: Select[Any],
    keys: SortKeys,
    last: ColumnElement[Any],
    query: PageQuery,
    *,
    unsorted: tuple[str, bool] = ("created_at", True),
) -> tuple[Sequence[Row[Any]], int]:
    """As `page_of`, of any statement, filtered already; ``last`` tells its rows apart, ``unsorted`` is the order where
    none is asked for. For lists that are never long enough to need more than a sort."""
    ordering = _ordering(last, keys, query.sort or (unsorted,))
    total = int((await session.execute(select(func.count()).select_from(statement.subquery()))).scalar_one())
    order = [key.over(key.by, backwards=False) for key in ordering]
    wanted = statement.order_by(*order).limit(query.limit).offset((query.page - 1) * query.limit)
    return (await session.execute(wanted)).all(), total


def _ordering(last_key: ColumnElement[Any], keys: SortKeys, sort: Sequence[tuple[str, bool]]) -> list[_Key]:
    """The keys as asked, and always the id last, so that pages never overlap."""
    ordering: dict[str, _Key] = {}
    for name, descending in sort or (("created_at", True),):
        if name not in keys:
            allowed = ", ".join(sorted(keys))
            raise InvalidRequest.at("query", "sort_by", msg=f"cannot sort by '{name}'; choose from: {allowed}")
        ordering.setdefault(name, _Key(keys[name], descending))
    # The id goes the way of the key before it: so the index (…, created_at, id) can be walked either way.
    last = list(ordering.values())[-1]
    ordering.setdefault("id", _Key(last_key, last.descending))
    return list(ordering.values())


async def _count(
    session: Session, table: Table, conditions: list[ColumnElement[bool]], accounts: tuple[str, ...] | None
) -> int:
    statement = select(func.count()).select_from(table).where(*conditions)
    if accounts is not None:
        statement = statement.where(_within(table, accounts))
    return int((await session.execute(statement)).scalar_one())


@dataclass(frozen=True, slots=True)
class _Walk:
    """One way through a table's ids."""

    on_postgresql: bool
    table: Table
    ordering: list[_Key]
    conditions: list[ColumnElement[bool]]
    backwards: bool

    def ids(self, accounts: tuple[str, ...] | None, end: int) -> Select[Any] | CompoundSelect[Any]:
        """Ids in order, of which those up to ``end`` are wanted."""
        columns = [key.by.label(f"key{position}") for position, key in enumerate(self.ordering)]
        listed = select(self.table.c.id.label("id"), *columns).where(*self.conditions)
        if accounts is not None and 1 < len(accounts) <= _MERGED:
            return self._merged([listed.where(self.table.c.account_id == account) for account in accounts], end)
        if accounts is not None:
            listed = listed.where(_within(self.table, accounts))
        return listed.order_by(*self._order([key.by for key in self.ordering]))

    def _merged(self, lists: list[Select[Any]], end: int) -> CompoundSelect[Any]:
        """Several accounts' lists as one: each is walked along its own index."""
        if self.on_postgresql:
            # It merges lists only where each is in order and ends somewhere.
            order = self._order([key.by for key in self.ordering])
            merged = union_all(*(one.order_by(*order).limit(end) for one in lists))
        else:
            # SQLite merges by itself, and would sort each list if it were told that it ends somewhere.
            merged = union_all(*lists)
        found = merged.selected_columns
        return merged.order_by(*self._order([found[f"key{position}"] for position in range(len(self.ordering))]))

    def _order(self, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        return [key.over(column, backwards=self.backwards) for key, column in zip(self.ordering, columns, strict=True)]


def _within(table: Table, accounts: tuple[str, ...]) -> ColumnElement[bool]:
    return table.c.account_id == accounts[0] if len(accounts) == 1 else table.c.account_id.in_(accounts)
