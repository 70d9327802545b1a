"""GET /v1/models: what the caller can call under /v1, each by a name that these calls accept."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.routes import Route
from modelyard.errors import ModelyardError, NotFound
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.auth import key_from, selected_account
from modelyard.http.inference.endpoint import call_headers
from modelyard.http.inference.response import Response
from modelyard.http.openai.endpoint import CALLABLE, find
from modelyard.http.request_id import UNKEPT

_encode = msgspec.json.Encoder().encode


class Model(Struct, frozen=True):
    """OpenAI's four fields, vLLM's ``max_model_len``, and what else is worth knowing here."""

    id: str
    created: int
    owned_by: str
    max_model_len: int | None
    model_type: str
    deployment_id: str
    object: str = "model"


class ModelList(Struct, frozen=True):
    data: list[Model]
    object: str = "list"


class ModelsEndpoint:
    """The list, or with the path parameter ``id`` one of it."""

    def __init__(self, gateway: Gateway, verifier: KeyVerifier) -> None:
        self._gateway = gateway
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(scope, send)
        try:
            await response.json(await self._answer(scope), (UNKEPT,))
        except ModelyardError as error:
            await response.fail(error)

    async def _answer(self, scope: Scope) -> bytes:
        headers = call_headers(scope)
        caller = await self._verifier.verify(key_from(headers))
        selected = selected_account(headers, caller)
        wanted = scope["path_params"].get("id")
        if wanted is None:
            routes = self._gateway.callable_by(caller, selected=selected)
            servers = self._gateway.servers_callable_by(caller, selected=selected)
            return _encode(ModelList(listed((route for route in routes if route.model_type in CALLABLE), servers)))
        route = await find(self._gateway, caller, wanted, selected)
        if route.model_type not in CALLABLE:
            raise NotFound(
                f"'{wanted}' is a {route.model_type} model, which /v1 has no call for.", code="model_not_found"
            )
        return _encode(_model(wanted, route))


def listed(routes: Iterable[Route], servers: Mapping[str, Route] = {}) -> list[Model]:
    """A model for each model server, by its name, and for each route, the caller's own first. A name that means
    several, or that a server or an own one has taken, gives way to the id."""
    found = sorted(routes, key=lambda route: (route.account_id == PLATFORM_ACCOUNT_ID, _name(route)))
    own = Counter(route.deployment_name for route in found if route.account_id != PLATFORM_ACCOUNT_ID)
    built_in = Counter(_name(route) for route in found if route.account_id == PLATFORM_ACCOUNT_ID)
    models = [_model(name, route) for name, route in sorted(servers.items()) if route.model_type in CALLABLE]
    for route in found:
        name = _name(route)
        if name in servers:
            models.append(_model(route.deployment_id, route))
            continue
        is_clear = not own[name] and built_in[name] == 1 if route.account_id == PLATFORM_ACCOUNT_ID else own[name] == 1
        models.append(_model(name if is_clear else route.deployment_id, route))
    return models


def _name(route: Route) -> str:
    return route.model_name if route.account_id == PLATFORM_ACCOUNT_ID else route.deployment_name


def _model(id: str, route: Route) -> Model:
    owner = "modelyard" if route.account_id == PLATFORM_ACCOUNT_ID else route.account_id
    if route.vendor is not None:
        owner = route.vendor.vendor.lower()
    return Model(id, _seconds(route.created_at), owner, route.context_window, route.model_type, route.deployment_id)


def _seconds(moment: datetime) -> int:
    return max(0, int(moment.timestamp()))
