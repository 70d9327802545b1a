"""The frame around every inference call: who calls what, the body, metering, and errors as clients see them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.types import Receive, Scope, Send

from modelyard.domain.accounts import Caller
from modelyard.domain.routes import Route
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


class Endpoint(ABC):
    """A plain ASGI app, which answers with whatever is raised."""

    def __init__(self, gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings) -> None:
        self._gateway = gateway
        self._verifier = verifier
        self._limit = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(scope, send)
        watch = Watch(receive, response)
        try:
            await self._serve(scope, receive, response, watch)
        except ClientGone:
            return
        except ModelyardError as error:
            await response.fail(error)
        except Exception:
            log.exception("call failed", request_id=response.request_id, path=scope["path"])
            await response.fail(unexpected())
        finally:
            if response.capture is not None:
                self._gateway.keep(response.capture)

    def _follow(self, call: Call, scope: Scope, headers: Mapping[str, str], body: bytes, response: Response) -> None:
        """Give ``call`` its place in a trace, and keep both of its sides, where somebody wants that."""
        self._gateway.trace(call, headers.get("traceparent"), headers.get("tracestate"))
        response.capture = self._gateway.captured(call, scope["path"], body)

    @abstractmethod
    async def _serve(self, scope: Scope, receive: Receive, response: Response, watch: Watch) -> None:
        """Find out who calls what, and answer."""


class CallEndpoint(Endpoint):
    """One verb; ``answer`` does what the verb is about."""

    def __init__(
        self, gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings, verb: Verb, answer: Answer
    ) -> None:
        super().__init__(gateway, verifier, settings)
        self._verb = verb
        self._answer = answer


class InferenceEndpoint(CallEndpoint):
    """A call whose path says which deployment is meant."""

    async def _serve(self, scope: Scope, receive: Receive, response: Response, watch: Watch) -> None:
        headers = call_headers(scope)
        caller = await self._verifier.verify(key_from(headers))
        selected = selected_account(headers, caller)
        route = await self._found(caller, scope["path_params"], selected)
        with self._gateway.call(caller, route, self._verb, response.request_id, selected=selected) as call, watch:
            check_verb(route, self._verb)
            body = await read_body(scope, receive, self._limit)
            watch.body_is_here()
            self._follow(call, scope, headers, body, response)
            call.max_wait = max_wait(headers)
            await self._answer(call, body, response)

    async def _found(self, caller: Caller, path: Mapping[str, str], selected: str | None) -> Route:
        return await self._gateway.resolve(caller, path["id"], selected=selected, model=path.get("model_id"))


class ServerEndpoint(InferenceEndpoint):
    """A call whose path names a model server, by its id or by its alias."""

    async def _found(self, caller: Caller, path: Mapping[str, str], selected: str | None) -> Route:
        by_alias = "alias" in path
        reference = path["alias" if by_alias else "model_server_id"]
        return await self._gateway.resolve_server(caller, reference, selected=selected, by_alias=by_alias)


MAX_WAIT_HEADER = "x-max-wait-seconds"
"""For how long the caller is willing to wait for a worker; the settings bound it from above."""

TRIM_HEADER = "x-trim-history"
"""Whether the oldest turns of a conversation may be dropped, on calls that do not do so by themselves."""

_NAMES = (KEY_HEADER, ACCOUNT_HEADER, MAX_WAIT_HEADER, TRIM_HEADER, "authorization", "traceparent", "tracestate")
_WANTED = {name.encode(): name for name in _NAMES}


def call_headers(scope: Scope) -> dict[str, str]:
    """The headers that say who is calling, and how; each call reads them, so the others are not even decoded."""
    return {_WANTED[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _WANTED}


def max_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds in ``x-max-wait-seconds``; raises `InvalidRequest` for what is no such number."""
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
