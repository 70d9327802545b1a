"""Templates."""

from sqlalchemy import Text, cast, select

from modelyard.domain.templates import Template
from modelyard.store import rows
from modelyard.store.entities import Entities, Shape
from modelyard.store.paging import SortKeys
from modelyard.store.session import Session
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


SEALED = "gAAAA"
"""How what `modelyard.control.vault` sealed begins, in the years in which this is run."""

_SHAPE = Shape("template", table, SORT_FIELDS, rows.template_values, rows.template)


class Templates(Entities[Template]):
    def __init__(self, session: Session) -> None:
        super().__init__(session, _SHAPE)

    async def with_secrets(self) -> list[Template]:
        """Every account's that have sealed variables."""
        some = cast(table.c.bundle, Text).like(f"%{SEALED}%")
        return [rows.template(row) for row in await self._session.entities(select(table).where(some), table)]
