"""Model groups. Which models are in one is written at the models."""

from sqlalchemy import select

from modelyard.domain.groups import ModelGroup
from modelyard.store import rows
from modelyard.store.entities import Entities, Shape
from modelyard.store.paging import SortKeys
from modelyard.store.session import Session, not_found
from modelyard.store.tables import model_groups as table

SORT_FIELDS: SortKeys = {
    name: table.c[name]
    for name in (
        "id",
        "name",
        "created_at",
        "account_id",
        "created_by_user_id",
        "created_by_identity_type",
        "description",
    )
}

_SHAPE = Shape("model group", table, SORT_FIELDS, rows.group_values, rows.group)


class Groups(Entities[ModelGroup]):
    def __init__(self, session: Session) -> None:
        super().__init__(session, _SHAPE)

    async def hold(self, group_id: str, account_id: str) -> ModelGroup:
        """As `get`, of one account; until the transaction ends nobody else holds or deletes it."""
        statement = select(table).where(table.c.id == group_id, table.c.account_id == account_id)
        # On SQLite a transaction that writes is alone anyway, and these words are left out.
        found = await self._session.entities(statement.with_for_update(), table)
        if not found:
            raise not_found(table, group_id)
        return rows.group(found[0])
