"""Whom a body means: its account, and the deployment behind the model it names."""

from modelyard.domain.accounts import Caller
from modelyard.domain.routes import Route
from modelyard.domain.templates import ModelType
from modelyard.errors import FieldError, InvalidRequest, NotFound
from modelyard.gateway.service import Gateway
from modelyard.http.auth import unknown_account

_CALLS = {
    ModelType.CHAT_COMPLETION: "POST /v4/chat-completions",
    ModelType.COMPLETION: "POST /v4/completions",
    ModelType.EMBEDDING: "POST /v4/models/{id}/embeddings",
    ModelType.RERANKING: "POST /v4/chunks/rank",
}


def account_of(caller: Caller, wanted: str | None, selected: str | None) -> str | None:
    """The account in the body, which goes before the selected one; it must be one of the caller's."""
    if wanted is None:
        return selected
    if wanted not in caller.roles:
        raise unknown_account(wanted)
    return wanted


async def find(gateway: Gateway, caller: Caller, reference: str, account: str | None, *loc: str | int) -> Route:
    """The route that ``reference`` means, which stands at ``loc`` in the body."""
    try:
        return await gateway.resolve(caller, reference, selected=account)
    except InvalidRequest as error:
        raise InvalidRequest(
            [FieldError(loc, each.msg, each.type) for each in error.errors], code=error.code
        ) from error
    except NotFound as error:
        if error.code != "deployment_not_found":
            raise
        hint = error.hint or "GET /v4/models lists what there is."
        raise NotFound(f"There is no model '{reference}'.", code="model_not_found", hint=hint) from error


def check_type(route: Route, allowed: tuple[ModelType, ...], *loc: str | int) -> None:
    """Raise `InvalidRequest` naming the right call unless the route's model is of an ``allowed`` type."""
    if route.model_type in allowed:
        return
    right = _CALLS.get(route.model_type, f"POST /v4/models/{route.model_id}/deployments/{{id}}/execute")
    path = right.replace("{id}", route.deployment_id)
    msg = f"'{route.model_name}' is a {route.model_type} model; call {path}"
    raise InvalidRequest.at(*loc, msg=msg, type="wrong_verb", code="wrong_verb")
