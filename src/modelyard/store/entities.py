"""What templates and models have in common: rows with an owner and a name, read and written whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Row, Table, select

from modelyard.store.paging import Page, PageQuery, SortKeys, page_of
from modelyard.store.session import Session, not_found


class Named(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


E = TypeVar("E", bound=Named)


@dataclass(frozen=True, slots=True)
class Shape(Generic[E]):
    """How one noun is kept."""

    noun: str
    table: Table
    sort_fields: SortKeys
    values: Callable[[E], dict[str, Any]]
    entity: Callable[[Row[Any]], E]

    def taken(self, entity: E) -> str:
        return f"The account has a {self.noun} called '{entity.name}' already."


class Entities(Generic[E]):
    def __init__(self, session: Session, shape: Shape[E]) -> None:
        self._session = session
        self._shape = shape

    async def add(self, entity: E) -> None:
        """`Conflict` (name_taken) where the account has one of this name."""
        await self._session.insert(self._shape.table, self._shape.values(entity), self._shape.taken(entity))

    async def upsert(self, entity: E) -> None:
        await self._session.upsert(self._shape.table, self._shape.values(entity), self._shape.taken(entity))
        self._session.routes_changed()

    async def get(self, entity_id: str, accounts: Sequence[str] | None) -> E:
        """`NotFound` where it is unknown, or in none of ``accounts`` (None: in any)."""
        table = self._shape.table
        statement = select(table).where(table.c.id == entity_id)
        if accounts is not None:
            statement = statement.where(table.c.account_id.in_(accounts))
        found = await self._session.entities(statement, table)
        if not found:
            raise not_found(table, entity_id)
        return self._shape.entity(found[0])

    async def get_many(self, entity_ids: Sequence[str]) -> dict[str, E]:
        found = await self._session.by_ids(self._shape.table, entity_ids)
        return {id_: self._shape.entity(row) for id_, row in found.items()}

    async def page(self, query: PageQuery) -> Page[E]:
        found, total = await page_of(self._session, self._shape.table, self._shape.sort_fields, query)
        return Page([self._shape.entity(row) for row in found], total, query.page, query.limit)

    async def replace(self, entity: E) -> None:
        values, taken = self._shape.values(entity), self._shape.taken(entity)
        await self._session.replace(self._shape.table, entity.id, values, taken)
        self._session.routes_changed()

    async def delete(self, entity_id: str) -> bool:
        """Whether there was one. `Conflict` (in_use) where something refers to it."""
        return await self._session.delete(self._shape.table, entity_id)
