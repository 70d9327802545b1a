"""Models."""

from collections.abc import Sequence

from sqlalchemy import func, select, union_all, update

from modelyard.domain.models import Model
from modelyard.store import rows
from modelyard.store.entities import Entities, Shape
from modelyard.store.paging import SortKeys
from modelyard.store.session import Session
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


_SHAPE = Shape("model", table, SORT_FIELDS, rows.model_values, rows.model)


class Models(Entities[Model]):
    def __init__(self, session: Session) -> None:
        super().__init__(session, _SHAPE)

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

    async def bases_in_group(self, group_id: str, *, besides: str) -> set[str | None]:
        """The base_model_ids of a group's models, the model ``besides`` left out."""
        statement = select(table.c.base_model_id).distinct()
        members = statement.where(table.c.model_group_id == group_id, table.c.id != besides)
        return {row.base_model_id for row in await self._session.execute(members)}

    async def leave_group(self, group_id: str) -> int:
        """Take every model out of a group; how many that were."""
        statement = update(table).where(table.c.model_group_id == group_id)
        released = statement.values(model_group_id=None, version=table.c.version + 1)
        return (await self._session.execute(released)).rowcount

    async def falling_back(self, account_id: str) -> list[Model]:
        """Those of the account that have fallbacks; to be looked at, not to be replaced."""
        statement = select(table).where(table.c.account_id == account_id, table.c.fallbacks != [])
        return [rows.model(row) for row in await self._session.execute(statement.order_by(table.c.id))]

    async def find_id(self, reference: str, accounts: Sequence[str]) -> str | None:
        """The id of a model of that id or name in one of ``accounts``."""
        within = select(table.c.id).where(table.c.account_id.in_(accounts))
        # Two statements in one, so that each goes by an index.
        either = union_all(within.where(table.c.id == reference), within.where(table.c.name == reference))
        row = (await self._session.execute(either.limit(1))).first()
        return None if row is None else str(row.id)
