"""Accounts' own access to vendors. What is secret comes here encrypted, and stays so."""

from typing import Any

from sqlalchemy import Row, select

from modelyard.domain.accounts import IdentityType
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorCredential
from modelyard.store.entities import Entities, Shape
from modelyard.store.paging import SortKeys
from modelyard.store.session import Session
from modelyard.store.tables import vendor_credentials as table

SORT_FIELDS: SortKeys = {
    name: table.c[name]
    for name in ("id", "name", "created_at", "account_id", "created_by_user_id", "created_by_identity_type", "vendor")
}

_PLAIN = ("id", "account_id", "created_at", "created_by_user_id", "name", "sealed", "masked", "base_url")


def _values(credential: VendorCredential) -> dict[str, Any]:
    return {
        **{name: getattr(credential, name) for name in _PLAIN},
        "created_by_identity_type": credential.created_by_identity_type.value,
        "vendor": credential.vendor.value,
        "parameters": dict(credential.parameters),
    }


def _credential(row: Row[Any]) -> VendorCredential:
    return VendorCredential(
        **{name: getattr(row, name) for name in _PLAIN},
        created_by_identity_type=IdentityType(row.created_by_identity_type),
        vendor=ModelVendor(row.vendor),
        parameters=row.parameters,
    )


class VendorCredentials(Entities[VendorCredential]):
    def __init__(self, session: Session) -> None:
        super().__init__(session, Shape("vendor credential", table, SORT_FIELDS, _values, _credential))

    async def add(self, entity: VendorCredential) -> None:
        await super().add(entity)
        self._session.routes_changed()

    async def all(self) -> list[VendorCredential]:
        """Every account's, in the order in which they were made."""
        statement = select(table).order_by(table.c.created_at, table.c.id)
        return [_credential(row) for row in await self._session.entities(statement, table)]

    async def delete(self, entity_id: str) -> bool:
        self._session.routes_changed()
        return await super().delete(entity_id)
