"""The frame around every /v1 call: as around those of /v4, but that the body says which model is meant."""

from collections.abc import Mapping

import msgspec
from starlette.types import Receive, Scope, Send

from modelyard.domain.accounts import Caller
from modelyard.domain.routes import Route
from modelyard.domain.templates import ModelType
from modelyard.domain.usage import Verb
from modelyard.errors import InvalidRequest, ModelyardError, NotFound
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.auth import key_from, selected_account
from modelyard.http.inference.endpoint import TRIM_HEADER, CallEndpoint, call_headers, max_wait
from modelyard.http.inference.reading import decode, read_body
from modelyard.http.inference.response import Response, Watch
from modelyard.http.openai.bodies import Wanted

_wanted = msgspec.json.Decoder(Wanted)

_CALLS = {
    ModelType.CHAT_COMPLETION: "POST /v1/chat/completions",
    ModelType.COMPLETION: "POST /v1/completions",
    ModelType.EMBEDDING: "POST /v1/embeddings",
    ModelType.RERANKING: "POST /v1/rerank",
}
CALLABLE = frozenset(_CALLS)
"""The types of models that /v1 has a call for."""

_ALLOWED = {
    Verb.CHAT_COMPLETION: {ModelType.CHAT_COMPLETION},
    Verb.COMPLETION: {ModelType.COMPLETION, ModelType.CHAT_COMPLETION},
    Verb.EMBEDDING: {ModelType.EMBEDDING},
    Verb.RERANKING: {ModelType.RERANKING},
}


class OpenAIEndpoint(CallEndpoint):
    async def _serve(self, scope: Scope, receive: Receive, response: Response, watch: Watch) -> None:
        headers = call_headers(scope)
        caller = await self._verifier.verify(key_from(headers))
        selected = selected_account(headers, caller)
        with watch:
            body = await read_body(scope, receive, self._limit)
            watch.body_is_here()
            wanted = decode(_wanted, body, nul=True)
            route = await find(self._gateway, caller, wanted.model, selected)
            with self._gateway.call(caller, route, self._verb, response.request_id, selected=selected) as call:
                self._follow(call, scope, headers, body, response)
                _check_verb(route, self._verb)
                call.max_wait = max_wait(headers)
                call.trims = _trims(headers)
                await self._answer(call, body, response)


async def find(gateway: Gateway, caller: Caller, reference: str, selected: str | None) -> Route:
    """The route that ``model`` means; what is unknown is told in OpenAI's words, with similar names."""
    try:
        return await gateway.resolve(caller, reference, selected=selected)
    except NotFound as error:
        msg = f"The model '{reference}' does not exist, or this key may not call it."
        raise NotFound(msg, code="model_not_found", hint=error.hint or "GET /v1/models lists what there is.") from error


class NothingHere:
    """Every other path under /v1, told in OpenAI's shape to whoever has a key."""

    def __init__(self, verifier: KeyVerifier) -> None:
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(scope, send)
        try:
            await self._verifier.verify(key_from(call_headers(scope)))
            raise NotFound(f"There is nothing at {scope['path']}.", hint="GET /openapi.json lists all calls.")
        except ModelyardError as error:
            await response.fail(error)


def _check_verb(route: Route, verb: Verb) -> None:
    if route.model_type in _ALLOWED[verb]:
        return
    right = _CALLS.get(route.model_type)
    if right is None:
        right = f"POST /v4/models/{route.model_id}/deployments/{route.deployment_id}/execute"
    msg = f"'{route.deployment_name}' is a {route.model_type} model; call {right}"
    raise InvalidRequest.at("body", "model", msg=msg, type="wrong_verb", code="wrong_verb")


def _trims(headers: Mapping[str, str]) -> bool:
    value = headers.get(TRIM_HEADER, "false").strip().lower()
    if value not in ("true", "false"):
        raise InvalidRequest.at("header", TRIM_HEADER, msg="must be true or false")
    return value == "true"
