"""Fallbacks of models and of model servers: from what owners wrote to deployments' ids, and never in a circle."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.deployments import Deployment
from modelyard.domain.fallbacks import Node, circle
from modelyard.domain.models import Model
from modelyard.domain.servers import ModelServer
from modelyard.domain.templates import ModelType
from modelyard.errors import InvalidRequest, NotFound
from modelyard.store import Transaction
from modelyard.store.paging import PageQuery

MOST = 8
_NAMES_LOOKED_AT = 2000
FIELD = ("body", "fallbacks")


async def resolved_fallbacks(tx: Transaction, model: Model) -> tuple[str, ...]:
    """``model``'s fallbacks as ids of deployments in its account, or built in. Raises `InvalidRequest` for what is none
    of them, of another type, or leads back to whom it began with."""
    if not model.fallbacks:
        return ()
    await tx.accounts.hold(model.account_id)
    ids = await _resolved(tx, model.account_id, model.model_type, model.fallbacks)
    await _refuse_circle(tx, replace(model, fallbacks=ids), FIELD)
    return ids


async def with_fallbacks(tx: Transaction, server: ModelServer, references: Sequence[str]) -> ModelServer:
    """``server`` with these fallbacks, deployments' ids or names; see `resolved_fallbacks`, but for circles, of which
    `refuse_servers_circle` knows."""
    if not references:
        return replace(server, fallbacks=())
    behind = await tx.deployments.models_of([backend.deployment_id for backend in server.backends])
    models = await tx.models.get_many(sorted(set(behind.values())))
    type_ = next(model.model_type for model in models.values())
    return replace(server, fallbacks=await _resolved(tx, server.account_id, type_, references))


async def refuse_servers_circle(tx: Transaction, server: ModelServer, *loc: str) -> None:
    """Raise `InvalidRequest` at ``loc`` where the fallbacks of ``server`` lead back to a model behind it. Whoever
    changes a server holds its account by then."""
    if server.fallbacks:
        await _refuse_circle(tx, server, loc)


async def _resolved(
    tx: Transaction, account_id: str, model_type: ModelType, references: Sequence[str]
) -> tuple[str, ...]:
    if len(references) > MOST:
        raise InvalidRequest.at(*FIELD, msg=f"may be at most {MOST}")
    accounts = (account_id, PLATFORM_ACCOUNT_ID)
    found = [await _found(tx, accounts, each, index) for index, each in enumerate(references)]
    models = await tx.models.get_many([each.model_id for each in found])
    for index, deployment in enumerate(found):
        if models[deployment.model_id].model_type != model_type:
            msg = f"is a {models[deployment.model_id].model_type} model, and this one is a {model_type}"
            raise InvalidRequest.at(*FIELD, index, msg=msg, code="model_type_mismatch")
    return tuple(dict.fromkeys(deployment.id for deployment in found))


async def _found(tx: Transaction, accounts: Sequence[str], reference: str, index: int) -> Deployment:
    try:
        return await tx.deployments.get(reference, accounts)
    except NotFound:
        pass
    for account in accounts:
        page = await tx.deployments.page(PageQuery((account,), limit=2, where={"name": reference}))
        if page.total > 1:
            ids = ", ".join(each.id for each in page.items)
            msg = f"'{reference}' is the name of several deployments; use an id, such as {ids}"
            raise InvalidRequest.at(*FIELD, index, msg=msg, code="ambiguous_name")
        if page.items:
            return page.items[0]
    known = await tx.deployments.page(PageQuery(tuple(accounts), limit=_NAMES_LOOKED_AT))
    near = get_close_matches(reference, {each.name for each in known.items})
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    msg = f"there is no deployment '{reference}' in the account, nor a built-in one{hint}"
    raise InvalidRequest.at(*FIELD, index, msg=msg, code="fallback_not_found")


async def _refuse_circle(tx: Transaction, changed: Model | ModelServer, loc: Sequence[str]) -> None:
    servers = await tx.servers.falling_back(changed.account_id)
    others: list[Model | ModelServer] = [*await tx.models.falling_back(changed.account_id), *servers]
    entities = [changed, *(each for each in others if each.id != changed.id)]
    of = await tx.deployments.models_of(sorted({id_ for each in entities for id_ in _mentioned(each)}))
    if (way := circle([_node(each, of) for each in entities], changed.id)) is None:
        return
    passed: list[Model | ModelServer] = [*(await tx.models.get_many(way)).values(), *servers, changed]
    names = {each.id: each.name for each in passed}
    place: tuple[str | int, ...] = tuple(loc)
    if tuple(loc) == FIELD:
        through = way[way.index(changed.id) + 1]
        place = (*FIELD, [of.get(each) for each in changed.fallbacks].index(through))
    told = " → ".join(f"'{names[each]}'" for each in way)
    raise InvalidRequest.at(*place, msg=f"would lead in a circle: {told}", code="fallback_cycle")


def _mentioned(entity: Model | ModelServer) -> Sequence[str]:
    if isinstance(entity, Model):
        return entity.fallbacks
    return *entity.fallbacks, *(backend.deployment_id for backend in entity.backends)


def _node(entity: Model | ModelServer, of: dict[str, str]) -> Node:
    leads_to = tuple(of[each] for each in entity.fallbacks if each in of)
    if isinstance(entity, Model):
        return Node(entity.id, leads_to, frozenset((entity.id,)))
    behind = (backend.deployment_id for backend in entity.backends)
    return Node(entity.id, leads_to, frozenset(of[each] for each in behind if each in of))
