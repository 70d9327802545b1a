"""The frame around every inference call: who calls what, the body, metering, and errors as clients see them."""

import math
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.types import Receive, Scope, Send

from modelyard.domain.usage import Verb
from modelyard.errors import InvalidRequest, ModelyardError
from modelyard.gateway.metering import Call, ClientGone
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.auth import ACCOUNT_HEADER, KEY_HEADER, key_from, selected_account
from modelyard.http.boundary import unexpected
from modelyard.http.inference.bodies import check_verb
from modelyard.http.inference.reading import read_body
from modelyard.http.inference.response import Response, Watch
from modelyard.settings import GatewaySettings

log = structlog.get_logger(__name__)

Answer = Callable[[Call, bytes, Response], Awaitable[None]]


class InferenceEndpoint:
    """A plain ASGI app for one verb; ``answer`` does what the verb is about."""

    def __init__(
        self, gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings, verb: Verb, answer: Answer
    ) -> None:
        self._gateway = gateway
        self._verifier = verifier
        self._limit = settings.max_body_bytes
        self._verb = verb
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(scope, send)
        watch = Watch(receive)
        try:
            await self._serve(scope, receive, response, watch)
        except ClientGone:
            return
        except ModelyardError as error:
            await response.fail(error)
        except Exception:
            log.exception("call failed", request_id=response.request_id, verb=self._verb)
            await response.fail(unexpected())

    async def _serve(self, scope: Scope, receive: Receive, response: Response, watch: Watch) -> None:
        headers = _headers(scope)
        caller = await self._verifier.verify(key_from(headers))
        selected = selected_account(headers, caller)
        path = scope["path_params"]
        route = await self._gateway.resolve(caller, path["id"], selected=selected, model=path.get("model_id"))
        with self._gateway.call(caller, route, self._verb, response.request_id, selected=selected) as call, watch:
            check_verb(route, self._verb)
            body = await read_body(scope, receive, self._limit)
            watch.body_is_here()
            call.max_wait = _max_wait(headers)
            await self._answer(call, body, response)


MAX_WAIT_HEADER = "x-max-wait-seconds"
"""For how long the caller is willing to wait for a worker; the settings bound it from above."""

_WANTED = {name.encode(): name for name in (KEY_HEADER, ACCOUNT_HEADER, MAX_WAIT_HEADER, "authorization")}


def _headers(scope: Scope) -> dict[str, str]:
    """The headers that say who is calling; each call reads them, so the others are not even decoded."""
    return {_WANTED[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _WANTED}


def _max_wait(headers: Mapping[str, str]) -> float | None:
    text = headers.get(MAX_WAIT_HEADER)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidRequest.at("header", MAX_WAIT_HEADER, msg="must be a number of seconds, 0 or more")
    return seconds
