"""What was used, added up over equal slices of time."""

from collections.abc import Sequence
from datetime import datetime

from modelyard.control.scope import Scope
from modelyard.domain.usage import Slice, fold, slice_starts
from modelyard.errors import NotFound
from modelyard.store import Store, Transaction
from modelyard.store.paging import PageQuery


class Statistics:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def of_deployment(
        self, scope: Scope, deployment_id: str, start: datetime, end: datetime, chunks: int
    ) -> list[Slice]:
        """One slice for each of ``chunks`` parts of ``[start, end)``. All calls of an own deployment count; of a
        built-in one, which everybody calls, those that the caller's accounts made."""
        starts = slice_starts(start, end, chunks)
        async with self._store.read() as tx:
            deployment = await tx.deployments.get(deployment_id, scope.readable)
            accounts = scope.own_accounts if deployment.is_built_in else None
            sums = await tx.usage.sums(starts, end, deployment_id=deployment.id, accounts=accounts)
        return fold(starts, sums)

    async def of_group(self, scope: Scope, group_id: str, start: datetime, end: datetime, chunks: int) -> list[Slice]:
        """As `of_model`, over all models that are in the group now, as far as its own account called them."""
        starts = slice_starts(start, end, chunks)
        async with self._store.read() as tx:
            group = await tx.groups.get(group_id, scope.readable)
            sums = await tx.usage.sums(starts, end, model_group_id=group.id, accounts=(group.account_id,))
        return fold(starts, sums)

    async def of_model(self, scope: Scope, name: str, start: datetime, end: datetime, chunks: int) -> list[Slice]:
        """As `of_deployment`, over every deployment of the models of that name (or id): the calls that the caller's
        accounts made. A model that was deleted still has its past."""
        starts = slice_starts(start, end, chunks)
        async with self._store.read() as tx:
            known = await _name_of(tx, scope, name)
            sums = await tx.usage.sums(starts, end, model_name=known or name, accounts=scope.own_accounts)
            if known is None and not sums and not await tx.usage.is_known(name, scope.own_accounts):
                raise NotFound(f"There is no model '{name}'.", code="model_not_found")
        return fold(starts, sums)


async def _name_of(tx: Transaction, scope: Scope, name: str) -> str | None:
    query = PageQuery(accounts=scope.readable, page=1, limit=1, sort=(), where={"name": name})
    found: Sequence[object] = (await tx.models.page(query)).items
    if found:
        return name
    try:
        return (await tx.models.get(name, scope.readable)).name
    except NotFound:
        return None
