"""Model servers."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from modelyard.domain.servers import ModelServer
from modelyard.store import rows
from modelyard.store.entities import Entities, Shape
from modelyard.store.paging import SortKeys
from modelyard.store.session import Session
from modelyard.store.tables import model_servers as table

SORT_FIELDS: SortKeys = {
    **{
        name: table.c[name]
        for name in (
            "id",
            "name",
            "alias",
            "created_at",
            "account_id",
            "created_by_user_id",
            "created_by_identity_type",
        )
    },
    "model_server_id": table.c.id,
}


@dataclass(frozen=True, slots=True)
class _Shape(Shape[ModelServer]):
    def taken(self, entity: ModelServer) -> str:
        alias = f", or one with the alias '{entity.alias}'" if entity.alias is not None else ""
        return f"The account has a model server called '{entity.name}'{alias} already."


_SHAPE = _Shape("model server", table, SORT_FIELDS, rows.server_values, rows.server)


class Servers(Entities[ModelServer]):
    def __init__(self, session: Session) -> None:
        super().__init__(session, _SHAPE)

    async def add(self, entity: ModelServer) -> None:
        await super().add(entity)
        self._session.routes_changed()

    async def delete(self, entity_id: str) -> bool:
        self._session.routes_changed()
        return await super().delete(entity_id)

    async def with_alias(self, alias: str, accounts: Sequence[str]) -> list[ModelServer]:
        """Those of ``accounts`` that have this alias: one of each at most."""
        statement = select(table).where(table.c.alias == alias, table.c.account_id.in_(accounts))
        return [rows.server(row) for row in await self._session.entities(statement.order_by(table.c.id), table)]

    async def in_front_of(self, deployment_id: str, account_id: str) -> list[ModelServer]:
        """Those of the account that have the deployment behind them, by name."""
        statement = select(table).where(table.c.account_id == account_id).order_by(table.c.name)
        servers = [rows.server(row) for row in await self._session.entities(statement, table)]
        return [each for each in servers if deployment_id in (backend.deployment_id for backend in each.backends)]

    async def falling_back(self, account_id: str) -> list[ModelServer]:
        """Those of the account that have fallbacks; to be looked at, not to be replaced."""
        statement = select(table).where(table.c.account_id == account_id, table.c.fallbacks != [])
        return [rows.server(row) for row in await self._session.execute(statement.order_by(table.c.id))]

    async def all(self) -> list[ModelServer]:
        return [rows.server(row) for row in await self._session.entities(select(table), table)]
