"""What the API does to model groups."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.again import until_unmet
from modelyard.control.drafts import ModelDraft
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.models import Models
from modelyard.control.scope import Scope
from modelyard.domain.accounts import Right
from modelyard.domain.groups import ModelGroup
from modelyard.domain.models import Model
from modelyard.errors import NotFound
from modelyard.store import Store, Transaction
from modelyard.store.paging import Page, PageQuery


class Groups:
    """Model groups, as their owners see them."""

    def __init__(self, store: Store, clock: Clock, models: Models) -> None:
        self._store = store
        self._clock = clock
        self._models = models

    async def create(
        self, scope: Scope, account_id: str | None, name: str, description: str | None, attempt: Attempt
    ) -> ModelGroup:
        now = self._clock.now()
        signature = scope.signature(scope.account_to_write(account_id), now)
        group = ModelGroup(id=str(uuid4()), **signature, name=name, description=description)

        async def make(tx: Transaction) -> ModelGroup:
            await tx.groups.add(group)
            return group

        async def again(tx: Transaction, group_id: str) -> ModelGroup:
            return await tx.groups.get(group_id, scope.readable)

        return await create_once(self._store, attempt, now, make=make, again=again)

    async def get(self, scope: Scope, group_id: str) -> ModelGroup:
        async with self._store.read() as tx:
            return await tx.groups.get(group_id, scope.readable)

    async def page(self, query: PageQuery) -> Page[ModelGroup]:
        async with self._store.read() as tx:
            return await tx.groups.page(query)

    async def of_models(self, models: Sequence[Model]) -> dict[str, ModelGroup]:
        """The groups that these models are in, by the groups' ids."""
        ids = {model.model_group_id for model in models if model.model_group_id is not None}
        async with self._store.read() as tx:
            return await tx.groups.get_many(sorted(ids))

    async def change(self, scope: Scope, group_id: str, change: Callable[[ModelGroup], ModelGroup]) -> ModelGroup:
        """Put ``change(group)`` in the group's place."""

        async def once() -> ModelGroup:
            async with self._store.begin() as tx:
                group = await _to_write(tx, scope, group_id)
                changed = change(group)
                if changed != group:
                    await tx.groups.replace(changed)
                return changed

        return await until_unmet(once)

    async def delete(self, scope: Scope, group_id: str) -> None:
        """Its models stay, in no group from then on."""
        async with self._store.begin() as tx:
            group = await _to_write(tx, scope, group_id)
            # The group first: whoever is just putting a model into it holds it, and is waited for here.
            await tx.groups.delete(group.id)
            await tx.models.leave_group(group.id)

    async def add_model(self, scope: Scope, group_id: str, model_id: str) -> Model:
        """The model, now in this group, whichever it was in before."""
        group = await self.get(scope, group_id)
        scope.require(Right.WRITE, group.account_id)
        return await self._models.change(scope, model_id, lambda model: _in_group(model, group.id))

    async def remove_model(self, scope: Scope, group_id: str, model_id: str) -> None:
        """Take a model out; `NotFound` where it is not in this group."""
        group = await self.get(scope, group_id)
        scope.require(Right.WRITE, group.account_id)

        def without(model: Model) -> ModelDraft:
            if model.model_group_id != group.id:
                words = f"There is no model '{model_id}' in the model group '{group.name}'."
                raise NotFound(words, code="model_not_found")
            return _in_group(model, None)

        await self._models.change(scope, model_id, without)


def _in_group(model: Model, group_id: str | None) -> ModelDraft:
    return replace(ModelDraft.of(model), model_group_id=group_id)


async def _to_write(tx: Transaction, scope: Scope, group_id: str) -> ModelGroup:
    group = await tx.groups.get(group_id, scope.readable)
    scope.require(Right.WRITE, group.account_id)
    return group
