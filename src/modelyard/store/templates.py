"""Templates."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from modelyard.domain.templates import Template
from modelyard.store import rows
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of
from modelyard.store.session import Session, not_found
from modelyard.store.tables import templates as table

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
            "endpoint_type",
            "model_type",
            "endpoint_protocol",
        )
    },
    "vendor_configuration": table.c.bundle,
    "model_creation_parameters_schema": table.c.creation_schema,
    "model_request_parameters_schema": table.c.request_schema,
}


def taken(template: Template) -> str:
    return f"The account has a template called '{template.name}' already."


class Templates:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, template: Template) -> None:
        await self._session.insert(table, rows.template_values(template), taken(template))

    async def upsert(self, template: Template) -> None:
        await self._session.upsert(table, rows.template_values(template), taken(template))
        self._session.routes_changed()

    async def get(self, template_id: str, accounts: Sequence[str] | None) -> Template:
        """`NotFound` (template_not_found) where it is unknown, or in none of ``accounts`` (None: in any)."""
        statement = select(table).where(table.c.id == template_id)
        if accounts is not None:
            statement = statement.where(table.c.account_id.in_(accounts))
        found = await self._session.entities(statement, table)
        if not found:
            raise not_found(table, template_id)
        return rows.template(found[0])

    async def get_many(self, template_ids: Sequence[str]) -> dict[str, Template]:
        found = await self._session.by_ids(table, template_ids)
        return {id_: rows.template(row) for id_, row in found.items()}

    async def page(self, query: PageQuery) -> Page[Template]:
        found, total = await page_of(self._session, table, SORT_FIELDS, query)
        return Page([rows.template(row) for row in found], total, query.page, query.limit)

    async def replace(self, template: Template) -> None:
        await self._session.replace(table, template.id, rows.template_values(template), taken(template))
        self._session.routes_changed()

    async def delete(self, template_id: str) -> bool:
        """Whether there was one. `Conflict` (in_use) where models refer to it."""
        return (await self._session.execute(delete(table).where(table.c.id == template_id))).rowcount == 1
