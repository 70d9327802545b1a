"""What the API does to templates."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.again import until_unmet
from modelyard.control.drafts import TemplateDraft
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.rolling import Rolling, roll_template
from modelyard.control.scope import Scope, refuse_built_in
from modelyard.control.secret_env import sealed
from modelyard.control.template_checks import check_template, require_administrator, require_local_commands
from modelyard.control.vault import Vault
from modelyard.domain.accounts import Right
from modelyard.domain.cards import EngineCard
from modelyard.domain.templates import Template
from modelyard.errors import Conflict, InvalidRequest
from modelyard.settings import Settings
from modelyard.store import Store, Transaction
from modelyard.store.paging import Page, PageQuery


class Templates:
    """Templates, as their owners see them."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        cards: Mapping[str, EngineCard],
        nudge: Callable[[str], None],
        vault: Vault,
    ) -> None:
        self._vault = vault
        self._store = store
        self._clock = clock
        self._settings = settings
        self._cards = cards
        self._nudge = nudge

    async def create(self, scope: Scope, account_id: str | None, draft: TemplateDraft, attempt: Attempt) -> Template:
        account = scope.account_to_write(account_id)
        now = self._clock.now()
        template = Template(id=str(uuid4()), **scope.signature(account, now), **draft.values())
        self._check(scope, template)
        template = replace(template, bundle=sealed(template.bundle, self._vault))

        async def make(tx: Transaction) -> Template:
            await tx.templates.add(template)
            return template

        async def again(tx: Transaction, template_id: str) -> Template:
            return await tx.templates.get(template_id, scope.readable)

        return await create_once(self._store, attempt, now, make=make, again=again)

    async def get(self, scope: Scope, template_id: str) -> Template:
        async with self._store.read() as tx:
            return await tx.templates.get(template_id, scope.readable)

    async def page(self, query: PageQuery) -> Page[Template]:
        async with self._store.read() as tx:
            return await tx.templates.page(query)

    async def change(self, scope: Scope, template_id: str, draft: Callable[[Template], TemplateDraft]) -> Template:
        """Put ``draft(template)`` in the template's place. Its models' deployments roll over to it; where the
        parameters of one of them would no longer fit, nothing changes and `Conflict` names it."""
        changed, rolled = await until_unmet(lambda: self._change(scope, template_id, draft))
        for deployment_id in rolled:
            self._nudge(deployment_id)
        return changed

    async def _change(
        self, scope: Scope, template_id: str, draft: Callable[[Template], TemplateDraft]
    ) -> tuple[Template, list[str]]:
        async with self._store.begin() as tx:
            template = await tx.templates.get(template_id, scope.readable)
            refuse_built_in(template.account_id, "template")
            scope.require(Right.WRITE, template.account_id)
            # Of what it was, too: nobody else turns an administrator's command into something of their own.
            require_administrator(template.bundle, administrator=scope.caller.is_administrator)
            changed = draft(template).onto(template)
            self._check(scope, changed)
            changed = replace(changed, bundle=sealed(changed.bundle, self._vault, template.bundle))
            if changed != template:
                await tx.templates.replace(changed)
            rolling = Rolling("template changed", scope.author, self._clock.now())
            return changed, await roll_template(tx, template, changed, self._cards, rolling)

    async def delete(self, scope: Scope, template_id: str) -> None:
        async with self._store.begin() as tx:
            template = await tx.templates.get(template_id, scope.readable)
            refuse_built_in(template.account_id, "template")
            scope.require(Right.WRITE, template.account_id)
            if count := await tx.models.count_by_template(template_id):
                raise Conflict(
                    f"{count} model{'s are' if count > 1 else ' is'} made from the template '{template.name}'.",
                    code="template_in_use",
                    hint="Delete them, or give them another template, first.",
                )
            await tx.templates.delete(template_id)

    def _check(self, scope: Scope, template: Template) -> None:
        administrator = scope.caller.is_administrator
        require_administrator(template.bundle, administrator=administrator)
        require_local_commands(template.bundle, self._settings)
        bound = self._settings.security.max_workers_per_deployment
        if errors := check_template(template, self._cards, administrator=administrator, max_workers=bound):
            raise InvalidRequest(errors, code="invalid_template")
