"""Models."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select

from modelyard.domain.models import Model
from modelyard.store import rows
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of
from modelyard.store.session import Session, not_found
from modelyard.store.tables import deployments
from modelyard.store.tables import models as table

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
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, model: Model) -> None:
        await self._session.insert(table, rows.model_values(model), taken(model))

    async def upsert(self, model: Model) -> None:
        await self._session.upsert(table, rows.model_values(model), taken(model))
        self._session.routes_changed()

    async def get(self, model_id: str, accounts: Sequence[str] | None) -> Model:
        """`NotFound` (model_not_found) where it is unknown, or in none of ``accounts`` (None: in any)."""
        statement = select(table).where(table.c.id == model_id)
        if accounts is not None:
            statement = statement.where(table.c.account_id.in_(accounts))
        found = await self._session.entities(statement, table)
        if not found:
            raise not_found(table, model_id)
        return rows.model(found[0])

    async def get_many(self, model_ids: Sequence[str]) -> dict[str, Model]:
        found = await self._session.by_ids(table, model_ids)
        return {id_: rows.model(row) for id_, row in found.items()}

    async def page(self, query: PageQuery) -> Page[Model]:
        found, total = await page_of(self._session, table, SORT_FIELDS, query)
        return Page([rows.model(row) for row in found], total, query.page, query.limit)

    async def replace(self, model: Model) -> None:
        await self._session.replace(table, model.id, rows.model_values(model), taken(model))
        self._session.routes_changed()

    async def delete(self, model_id: str) -> bool:
        """Whether there was one. `Conflict` (in_use) where it has deployments."""
        return (await self._session.execute(delete(table).where(table.c.id == model_id))).rowcount == 1

    async def deployment_counts(self, model_ids: Sequence[str]) -> dict[str, int]:
        """How many deployments each model has; models without any are left out."""
        statement = (
            select(deployments.c.model_id, func.count())
            .where(deployments.c.model_id.in_(model_ids))
            .group_by(deployments.c.model_id)
        )
        return {row[0]: row[1] for row in await self._session.execute(statement)}

    async def count_by_template(self, template_id: str) -> int:
        statement = select(func.count()).select_from(table).where(table.c.model_template_id == template_id)
        return int((await self._session.execute(statement)).scalar_one())
