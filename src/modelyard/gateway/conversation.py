"""Making a conversation fit: when to count, what to send instead, and templates that calls bring along."""

import msgspec

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED, Trimmed, surely_fits, trim, turns
from modelyard.domain.inference import ChatRequest
from modelyard.domain.routes import Endpoint
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.adapters.wire import WireRequest, unsupported
from modelyard.gateway.metering import Call
from modelyard.gateway.tokens import Dialect, TokenCounter

Adapters = OpenAIAdapter | SgpAdapter


class Conversation:
    """A chat that needs its worker's help before it can be sent."""

    def __init__(
        self,
        counter: TokenCounter,
        call: Call,
        request: ChatRequest,
        adapter: Adapters,
        window: int | None,
    ) -> None:
        self._counter = counter
        self._call = call
        self._request = request
        self._adapter = adapter
        self._window = window
        self._ready: WireRequest | None = None

    async def prepare(self, endpoint: Endpoint) -> WireRequest:
        """What to send to ``endpoint``; worked out once, with its tokenizer."""
        if self._ready is None:
            self._ready = await self._prepared(endpoint)
        return self._ready

    async def _prepared(self, endpoint: Endpoint) -> WireRequest:
        request = self._request
        if self._window is not None:
            trimmed = await self._trimmed(endpoint, self._window)
            self._call.dropped_messages = trimmed.dropped
            self._call.counted_prompt = trimmed.tokens
            if trimmed.dropped:
                request = msgspec.structs.replace(request, messages=trimmed.messages)
        if request.chat_template is not None and isinstance(self._adapter, OpenAIAdapter):
            prompt = await self._rendered(endpoint, request)
            if prompt is not None:
                return self._adapter.encode_rendered(request, prompt)
        return self._adapter.encode_chat(request, self._call.route)

    async def _trimmed(self, endpoint: Endpoint, window: int) -> Trimmed:
        search = trim(self._request.messages, window, self._request.max_tokens)
        messages = next(search)
        while True:
            count, _ = await self._counter.count(endpoint, self._request, messages)
            try:
                messages = search.send(count)
            except StopIteration as done:
                trimmed: Trimmed = done.value
                return trimmed

    async def _rendered(self, endpoint: Endpoint, request: ChatRequest) -> str | None:
        tongue = await self._counter.tongue(endpoint)
        if tongue.dialect is Dialect.NONE:
            raise unsupported(
                "chat_template",
                "this model's server takes no chat template with a call; set chat_template when creating the model",
            )
        if any(not isinstance(message.content, str) for message in request.messages):
            raise unsupported("chat_template", "this model's server takes no chat template together with content parts")
        return await self._counter.rendered(endpoint, request)


class Conversations:
    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter

    def begin(self, call: Call, request: ChatRequest, adapter: Adapters) -> Conversation | None:
        """None where the request may be sent as it is, which is the common case and costs next to nothing."""
        window = call.route.context_window
        counted = window is not None and not surely_fits(request.messages, window, request.max_tokens)
        if not counted and (request.chat_template is None or isinstance(adapter, SgpAdapter)):
            return None
        return Conversation(self._counter, call, request, adapter, window if counted else None)

    def recover(
        self, call: Call, request: ChatRequest, adapter: Adapters, error: InvalidRequest
    ) -> Conversation | None:
        """Another way to send what the worker found too long, if there is one."""
        window = call.route.context_window
        if error.code != CONTEXT_LENGTH_EXCEEDED or window is None or len(turns(request.messages)) < 2:
            return None
        return Conversation(self._counter, call, request, adapter, window)
