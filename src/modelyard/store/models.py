"""Models."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.domain.models import Model
from modelyard.errors import NotFound
from modelyard.store import rows, writing
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of
from modelyard.store.tables import deployments
from modelyard.store.tables import models as table
from modelyard.store.versions import bump_routes

_count = (
    select(func.count())
    .select_from(deployments)
    .where(deployments.c.model_id == table.c.id)
    .correlate(table)
    .scalar_subquery()
)

SORT_FIELDS: SortKeys = {
    **{
        name: table.c[name]
        for name in (
            "id",
            "name",
            "created_at",
            "account_id",
            "created_by_user_id",
            "created_by_identity_type",
            "model_type",
            "display_name",
            "model_vendor",
            "base_model_id",
            "base_model_metadata",
            "model_creation_parameters",
            "model_card",
            "training_data_card",
            "description",
            "model_template_id",
            "model_group_id",
        )
    },
    "model_group": table.c.model_group_id,
    # what follows from the type sorts as the type does
    "request_schema": table.c.model_type,
    "response_schema": table.c.model_type,
    "supports_multi_turn": table.c.model_type,
    "deployment_count": _count,
    "deployments": _count,
}


def taken(model: Model) -> str:
    return f"The account has a model called '{model.name}' already."


class Models:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, model: Model) -> None:
        await writing.insert_named(self._connection, table, rows.model_values(model), taken(model))

    async def upsert(self, model: Model) -> None:
        await writing.upsert(self._connection, table, rows.model_values(model))
        await bump_routes(self._connection)

    async def get(self, model_id: str, accounts: Sequence[str] | None) -> Model:
        """`NotFound` (model_not_found) where it is unknown, or in none of ``accounts`` (None: in any)."""
        statement = select(table).where(table.c.id == model_id)
        if accounts is not None:
            statement = statement.where(table.c.account_id.in_(accounts))
        row = (await self._connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound(f"There is no model '{model_id}'.", code="model_not_found")
        return rows.model(row)

    async def get_many(self, model_ids: Sequence[str]) -> dict[str, Model]:
        found = await self._connection.execute(select(table).where(table.c.id.in_(model_ids)))
        return {row.id: rows.model(row) for row in found}

    async def page(self, query: PageQuery) -> Page[Model]:
        found, total = await page_of(self._connection, table, SORT_FIELDS, query)
        return Page([rows.model(row) for row in found], total, query.page, query.limit)

    async def replace(self, model: Model) -> None:
        statement = update(table).where(table.c.id == model.id).values(**rows.model_values(model))
        await writing.execute_named(self._connection, statement, taken(model))
        await bump_routes(self._connection)

    async def delete(self, model_id: str) -> bool:
        return (await self._connection.execute(delete(table).where(table.c.id == model_id))).rowcount == 1

    async def deployment_counts(self, model_ids: Sequence[str]) -> dict[str, int]:
        """How many deployments each model has; models without any are left out."""
        statement = (
            select(deployments.c.model_id, func.count())
            .where(deployments.c.model_id.in_(model_ids))
            .group_by(deployments.c.model_id)
        )
        return {row[0]: row[1] for row in await self._connection.execute(statement)}

    async def count_by_template(self, template_id: str) -> int:
        statement = select(func.count()).select_from(table).where(table.c.model_template_id == template_id)
        return int((await self._connection.execute(statement)).scalar_one())
