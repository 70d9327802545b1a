"""Templates."""

from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.domain.templates import Template
from modelyard.errors import NotFound
from modelyard.store import rows, writing
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of
from modelyard.store.tables import templates as table
from modelyard.store.versions import bump_routes

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
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, template: Template) -> None:
        await writing.insert_named(self._connection, table, rows.template_values(template), taken(template))

    async def upsert(self, template: Template) -> None:
        await writing.upsert(self._connection, table, rows.template_values(template))
        await bump_routes(self._connection)

    async def get(self, template_id: str, accounts: Sequence[str] | None) -> Template:
        """`NotFound` (template_not_found) where it is unknown, or in none of ``accounts`` (None: in any)."""
        statement = select(table).where(table.c.id == template_id)
        if accounts is not None:
            statement = statement.where(table.c.account_id.in_(accounts))
        row = (await self._connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound(f"There is no template '{template_id}'.", code="template_not_found")
        return rows.template(row)

    async def get_many(self, template_ids: Sequence[str]) -> dict[str, Template]:
        found = await self._connection.execute(select(table).where(table.c.id.in_(template_ids)))
        return {row.id: rows.template(row) for row in found}

    async def page(self, query: PageQuery) -> Page[Template]:
        found, total = await page_of(self._connection, table, SORT_FIELDS, query)
        return Page([rows.template(row) for row in found], total, query.page, query.limit)

    async def replace(self, template: Template) -> None:
        statement = update(table).where(table.c.id == template.id).values(**rows.template_values(template))
        await writing.execute_named(self._connection, statement, taken(template))
        await bump_routes(self._connection)

    async def delete(self, template_id: str) -> bool:
        return (await self._connection.execute(delete(table).where(table.c.id == template_id))).rowcount == 1
