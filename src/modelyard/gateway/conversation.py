"""From a text request to what goes to one worker: fitting its context window, applying a template that the
call brought along, and asking in the way that lets the worker stop when nobody waits any more."""

from collections.abc import Awaitable
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from modelyard.domain.history import (
    CONTEXT_LENGTH_EXCEEDED,
    Trimmed,
    estimate,
    surely_fits,
    too_long,
    tool_tokens,
    trim,
    turns,
    without,
)
from modelyard.domain.inference import ChatRequest, TextRequest
from modelyard.domain.routes import Endpoint, Route
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.adapters.wire import Adapter, StreamDecoder, WireRequest, unsupported
from modelyard.gateway.forcing import UNSEEN, ForcedStream, as_schema, described, forced_tools
from modelyard.gateway.metering import Call, estimate_request
from modelyard.gateway.tokens import Dialect, TokenCounter, Tongue

Adapters = OpenAIAdapter | SgpAdapter | Adapter
R = TypeVar("R", bound=TextRequest)


class TextCall:
    """One text request on its way. `prepare` may be asked again for another worker."""

    def __init__(
        self, counter: TokenCounter, call: Call, request: TextRequest, adapter: Adapters, *, counted: bool
    ) -> None:
        self._counter = counter
        self._call = call
        self._request = request
        self._adapter = adapter
        self._counted = counted
        self._trimmed: Trimmed | None = None
        self._ends_at: int | None = None
        self._vendors = call.route.vendor is not None
        own = isinstance(adapter, OpenAIAdapter) and not self._vendors
        templated = request.chat_template is not None and isinstance(adapter, OpenAIAdapter)
        self._tools = bool(own and isinstance(request, ChatRequest) and request.tools)
        self._must_call = forced_tools(request) if self._tools else []
        self._forced = False
        self._plain = not counted and not templated and not self._tools

    def prepare(self, endpoint: Endpoint, route: Route) -> WireRequest | Awaitable[WireRequest]:
        """What to send to ``endpoint``. Waits only where that worker has to be asked something first. ``route`` is the
        call's, as the key in use calls it where a vendor answers."""
        if self._vendors:
            return self._for_vendor(route)
        if not self._plain:
            return self._prepared(endpoint)
        if self._request.stream or not isinstance(self._adapter, OpenAIAdapter):
            return self._encoded(self._request)
        tongue = self._counter.known(endpoint)
        if tongue is None:
            return self._prepared(endpoint)
        return self._encoded(_stoppable(self._request, tongue))

    def decoder(self) -> StreamDecoder:
        """What reads a stream that answers what was sent last."""
        decoder = self._adapter.stream_decoder(self._request)
        return ForcedStream(decoder, self._must_call) if self._forced else decoder

    def recovered(self, error: InvalidRequest) -> "TextCall | None":
        """Another way to send what a worker found too long, if there is one: the estimate was too low then."""
        request = self._request
        if error.code != CONTEXT_LENGTH_EXCEEDED or self._counted or self._call.route.context_window is None:
            return None
        if not self._call.trims:
            return None
        if not isinstance(request, ChatRequest) or len(turns(request.messages)) < 2:
            return None
        return TextCall(self._counter, self._call, request, self._adapter, counted=True)

    def _for_vendor(self, route: Route) -> WireRequest:
        """Vendors count when they answer, not before: an estimate decides what fits."""
        request = self._request
        if isinstance(request, ChatRequest) and self._counted:
            if self._trimmed is None:
                self._trimmed = self._estimated(request)
            if self._trimmed.dropped:
                request = msgspec.structs.replace(request, messages=self._trimmed.messages)
        return self._encoded(request, route)

    def _estimated(self, request: ChatRequest) -> Trimmed:
        window = self._call.route.context_window
        assert window is not None
        beside = tool_tokens(request.tools)
        if not self._call.trims:
            return Trimmed(request.messages, 0, estimate(request.messages) + beside)
        search = trim(request.messages, window, request.max_tokens)
        messages = next(search)
        while True:
            try:
                messages = search.send(estimate(messages) + beside)
            except StopIteration as done:
                return self._note(done.value)
            except InvalidRequest:
                # The estimate is on the high side: whether the newest turn alone fits, the vendor says.
                newest = without(request.messages, turns(request.messages)[:-1])
                return self._note(Trimmed(newest, len(request.messages) - len(newest), estimate(newest) + beside))

    def _note(self, trimmed: Trimmed) -> Trimmed:
        self._call.dropped_messages = trimmed.dropped
        self._call.counted_prompt = trimmed.tokens
        return trimmed

    async def _prepared(self, endpoint: Endpoint) -> WireRequest:
        request = self._request
        if isinstance(request, ChatRequest) and self._counted:
            if self._trimmed is None:
                self._trimmed = await self._fitted(endpoint, request)
            if self._trimmed.dropped:
                request = msgspec.structs.replace(request, messages=self._trimmed.messages)
        if not isinstance(self._adapter, OpenAIAdapter):
            return self._encoded(request)
        tongue = await self._counter.tongue(endpoint)
        request = _stoppable(request, tongue)
        if self._tools and isinstance(request, ChatRequest) and tongue.dialect is Dialect.LLAMA_CPP:
            return self._with_tools(request, tongue)
        if isinstance(request, ChatRequest) and request.chat_template is not None:
            prompt = await self._rendered(tongue, request)
            if prompt is not None:
                return self._told(self._adapter.encode_rendered(self._bounded(request), prompt))
        return self._encoded(request)

    def _with_tools(self, request: ChatRequest, tongue: Tongue) -> WireRequest:
        """For llama.cpp, which neither forces calls nor tells a model of tools that its template does not know."""
        if request.chat_template is not None:
            raise unsupported("tools", "do not go together with a chat_template of the call's own")
        self._forced = bool(self._must_call)
        if self._forced:
            return self._encoded(as_schema(request if tongue.writes_tools else described(request), self._must_call))
        unseen = () if tongue.writes_tools or request.tool_choice == "none" else (UNSEEN,)
        wire = self._encoded(request)
        return replace(wire, adjusted=(*wire.adjusted, *unseen))

    async def _fitted(self, endpoint: Endpoint, request: ChatRequest) -> Trimmed:
        window = self._call.route.context_window
        assert window is not None
        if not self._call.trims:
            return await self._refused_if_longer(endpoint, request, window)
        search = trim(request.messages, window, request.max_tokens)
        messages = next(search)
        while True:
            count = await self._counter.count(endpoint, request, messages)
            try:
                messages = search.send(count)
            except StopIteration as done:
                return self._note(done.value)

    async def _refused_if_longer(self, endpoint: Endpoint, request: ChatRequest, window: int) -> Trimmed:
        """Where a worker cannot count, it has to find out itself: an estimate is on the high side."""
        tokens = await self._counter.count(endpoint, request, request.messages)
        exact = (await self._counter.tongue(endpoint)).dialect is not Dialect.NONE
        if exact and tokens > window - (request.max_tokens or 1):
            raise too_long(tokens, request.max_tokens, window)
        return Trimmed(request.messages, 0, tokens)

    async def _rendered(self, tongue: Tongue, request: ChatRequest) -> str | None:
        if tongue.dialect is Dialect.MESSAGES:
            return None
        if tongue.dialect is Dialect.NONE:
            raise unsupported(
                "chat_template",
                "this model's server takes no chat template with a call; set chat_template when creating the model",
            )
        if any(not isinstance(message.content, str) for message in request.messages):
            raise unsupported("chat_template", "this model's server takes no chat template together with content parts")
        return await self._counter.rendered(tongue, request)

    def _encoded(self, request: TextRequest, route: Route | None = None) -> WireRequest:
        request, route = self._bounded(request), route or self._call.route
        if isinstance(request, ChatRequest):
            return self._told(self._adapter.encode_chat(request, route))
        return self._told(self._adapter.encode_completion(request, route))

    def _bounded(self, request: R) -> R:
        """Where limits count tokens, an answer has an end, as no more is reserved for it. What it leaves of the
        context window is the prompt's: nothing is dropped for it."""
        most, window = self._call.admitted.most_response, self._call.route.context_window
        if most is None or request.max_tokens is not None:
            return request
        if window is not None and not self._vendors:
            most = min(most, window - (self._call.counted_prompt or estimate_request(request)))
            if most < 1:  # an estimate, on the high side: the window itself is the end
                return request
        self._ends_at = most
        return msgspec.structs.replace(request, max_tokens=most)

    def _told(self, wire: WireRequest) -> WireRequest:
        if self._ends_at is None:
            return wire
        return replace(wire, adjusted=(*wire.adjusted, f"max_tokens: under a limit {self._ends_at} was sent"))


def begin(counter: TokenCounter, call: Call, request: TextRequest, adapter: Adapters) -> TextCall:
    """Decide whether ``request`` has to be counted; for most that is clear at a glance."""
    window = call.route.context_window
    counted = (
        window is not None
        and isinstance(request, ChatRequest)
        and not surely_fits(request.messages, window, request.max_tokens, beside=tool_tokens(request.tools))
    )
    return TextCall(counter, call, request, adapter, counted=counted)


def _stoppable(request: TextRequest, tongue: Tongue) -> TextRequest:
    """llama.cpp's server notices that its client left only while it streams, so it is always asked to."""
    if tongue.dialect is Dialect.LLAMA_CPP and not request.stream:
        return msgspec.structs.replace(request, stream=True)
    return request
