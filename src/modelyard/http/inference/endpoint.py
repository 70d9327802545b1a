"""The frame around every inference call: who calls what, the body, metering, and errors as clients see them."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from modelyard.domain.usage import Verb
from modelyard.errors import ModelyardError
from modelyard.gateway.metering import Call, ClientGone
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.auth import key_from, selected_account
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
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not watch.gone or task is None or task.uncancel():
                raise
        except Exception:
            log.exception("call failed", request_id=response.request_id, verb=self._verb)
            await response.fail(unexpected())

    async def _serve(self, scope: Scope, receive: Receive, response: Response, watch: Watch) -> None:
        headers = Headers(scope=scope)
        caller = await self._verifier.verify(key_from(headers))
        selected = selected_account(headers, caller)
        path = scope["path_params"]
        route = self._gateway.resolve(caller, path["id"], selected=selected, model=path.get("model_id"))
        with self._gateway.call(caller, route, self._verb, response.request_id, selected=selected) as call:
            check_verb(route, self._verb)
            body = await read_body(scope, receive, self._limit)
            with watch:
                await self._answer(call, body, response)
