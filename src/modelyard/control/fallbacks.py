"""A model's fallbacks: from what its owner wrote to deployments' ids, and never in a circle."""

from collections.abc import Sequence
from difflib import get_close_matches

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.deployments import Deployment
from modelyard.domain.models import Model
from modelyard.domain.templates import ModelType
from modelyard.errors import InvalidRequest, NotFound
from modelyard.store import Transaction
from modelyard.store.paging import PageQuery

MOST = 8
_NAMES_LOOKED_AT = 2000
_FIELD = ("body", "fallbacks")
_FALLS_BACK = (ModelType.CHAT_COMPLETION, ModelType.COMPLETION, ModelType.EMBEDDING, ModelType.RERANKING)


async def resolved_fallbacks(tx: Transaction, model: Model) -> tuple[str, ...]:
    """``model``'s fallbacks as ids of deployments in its account, or built in. Raises `InvalidRequest` for what is none
    of them, of another type, or leads back to ``model``."""
    if not model.fallbacks:
        return ()
    if model.model_type not in _FALLS_BACK:
        raise InvalidRequest.at(
            *_FIELD, msg=f"a {model.model_type} model has no fallbacks: its calls mean nothing to others"
        )
    if len(model.fallbacks) > MOST:
        raise InvalidRequest.at(*_FIELD, msg=f"may be at most {MOST}")
    accounts = (model.account_id, PLATFORM_ACCOUNT_ID)
    found = [await _found(tx, accounts, each, index) for index, each in enumerate(model.fallbacks)]
    models = await tx.models.get_many([each.model_id for each in found])
    for index, deployment in enumerate(found):
        if models[deployment.model_id].model_type != model.model_type:
            msg = f"is a {models[deployment.model_id].model_type} model, and this one is a {model.model_type}"
            raise InvalidRequest.at(*_FIELD, index, msg=msg, code="model_type_mismatch")
        await _refuse_circle(tx, model, deployment, index)
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
            raise InvalidRequest.at(*_FIELD, index, msg=msg, code="ambiguous_name")
        if page.items:
            return page.items[0]
    known = await tx.deployments.page(PageQuery(tuple(accounts), limit=_NAMES_LOOKED_AT))
    near = get_close_matches(reference, {each.name for each in known.items})
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    msg = f"there is no deployment '{reference}' in the model's account, nor a built-in one{hint}"
    raise InvalidRequest.at(*_FIELD, index, msg=msg, code="fallback_not_found")


async def _refuse_circle(tx: Transaction, model: Model, start: Deployment, index: int) -> None:
    """Follow the fallbacks of ``start``'s model, and theirs."""
    seen: set[str] = set()
    next_ = [start.model_id]
    while next_:
        if model.id in next_:
            msg = f"'{start.name}' falls back to this model itself, at once or by way of others: a circle"
            raise InvalidRequest.at(*_FIELD, index, msg=msg, code="fallback_cycle")
        seen.update(next_)
        reached = await tx.models.get_many(next_)
        ids = [each for found in reached.values() for each in found.fallbacks]
        next_ = sorted(await tx.deployments.models_of(ids) - seen)
