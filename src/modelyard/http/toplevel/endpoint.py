"""The frame around a call whose body names its model."""

import msgspec
from starlette.types import Receive, Scope

from modelyard.domain.templates import ModelType
from modelyard.domain.usage import Verb
from modelyard.http.auth import key_from, selected_account
from modelyard.http.inference.endpoint import CallEndpoint, call_headers, max_wait
from modelyard.http.inference.reading import decode, read_body
from modelyard.http.inference.response import Response, Watch
from modelyard.http.toplevel.bodies import Wanted
from modelyard.http.toplevel.finding import account_of, check_type, find

_wanted = msgspec.json.Decoder(Wanted)

_ALLOWED = {
    Verb.CHAT_COMPLETION: (ModelType.CHAT_COMPLETION,),
    Verb.COMPLETION: (ModelType.COMPLETION, ModelType.CHAT_COMPLETION),
}


class ToplevelEndpoint(CallEndpoint):
    async def _serve(self, scope: Scope, receive: Receive, response: Response, watch: Watch) -> None:
        headers = call_headers(scope)
        caller = await self._verifier.verify(key_from(headers))
        selected = selected_account(headers, caller)
        with watch:
            body = await read_body(scope, receive, self._limit)
            watch.body_is_here()
            wanted = decode(_wanted, body)
            account = account_of(caller, wanted.account_id, selected)
            route = await find(self._gateway, caller, wanted.model, account, "body", "model")
            with self._gateway.call(caller, route, self._verb, response.request_id, selected=account) as call:
                self._follow(call, scope, headers, body, response)
                check_type(route, _ALLOWED[self._verb], "body", "model")
                call.max_wait = max_wait(headers)
                await self._answer(call, body, response)
