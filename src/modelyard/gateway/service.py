"""The data plane: from a native request and a route to a native answer.

One call: `Gateway.resolve` finds the deployment, `Gateway.call` begins to meter, one of the verbs leases a
place on a worker, encodes, sends, and decodes what comes back. All verbs send through `_open`, the one place
where a failed worker leads to another try.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

import msgspec
import structlog

from modelyard.clock import Clock
from modelyard.domain.accounts import Caller
from modelyard.domain.history import estimate_answer
from modelyard.domain.inference import (
    ChatRequest,
    ChatResult,
    Chunk,
    CompletionRequest,
    CompletionResult,
    EmbeddingRequest,
    EmbeddingResult,
    RerankingRequest,
    RerankingResult,
    TextRequest,
)
from modelyard.domain.load import GatewayLoad
from modelyard.domain.routes import Route
from modelyard.domain.templates import EndpointProtocol
from modelyard.domain.traces import begun
from modelyard.domain.usage import Verb
from modelyard.errors import InvalidRequest, UpstreamError
from modelyard.gateway.adapters.cohere import CohereAdapter
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.adapters.wire import StreamDecoder, WireRequest, unsupported, wants_logprobs
from modelyard.gateway.admission import Admission
from modelyard.gateway.balancer import Balancer, Lease, gone
from modelyard.gateway.batches import batches, joined
from modelyard.gateway.capturing import Capture
from modelyard.gateway.chat_templates import TemplateProcess
from modelyard.gateway.conversation import Adapters, TextCall, begin
from modelyard.gateway.counting import count_chunks, count_completion, in_one
from modelyard.gateway.falling_back import FallingBack, falls_back
from modelyard.gateway.finding import Finding
from modelyard.gateway.folding import as_chunks, fold_chat, fold_completion
from modelyard.gateway.images import Images
from modelyard.gateway.metering import Call
from modelyard.gateway.places import Places
from modelyard.gateway.ports import KeepsCalls, RouteSource, UsageSink, Waker
from modelyard.gateway.resolving import paying_account
from modelyard.gateway.rouge import Rouge, Task
from modelyard.gateway.together import together
from modelyard.gateway.tokens import TokenCounter
from modelyard.gateway.tries import NOTICED_SECONDS, Failed, Remedy, Tries
from modelyard.gateway.upstream import Answer, Lost, Upstream
from modelyard.gateway.vendors.calling import NO_VENDORS, Prepare, VendorAccess, VendorCaller
from modelyard.gateway.vendors.formats import adapter_for
from modelyard.settings import GatewaySettings

log = structlog.get_logger(__name__)

_BUSY = (429, 502, 503)
"""Answers of a worker that another worker may not give."""


class Forwarded:
    """A worker's own answer, passed through unread. Must be closed."""

    __slots__ = ("_answer", "_first", "_lease", "content_type")

    def __init__(self, lease: Lease, answer: Answer, first: bytes) -> None:
        """``first``: the piece of it that is here already, empty where there is none."""
        self._lease = lease
        self._answer = answer
        self._first = first
        self.content_type = answer.content_type

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        piece = self._first
        while piece:
            yield piece
            piece = await self._answer.read_some()

    def close(self) -> None:
        self._answer.close()
        self._lease.release()


class Gateway(Finding):
    def __init__(
        self,
        routes: RouteSource,
        usage: UsageSink,
        waker: Waker,
        clock: Clock,
        settings: GatewaySettings,
        places: Places | None = None,
        vendors: VendorAccess = NO_VENDORS,
        admission: Admission | None = None,
        bodies: KeepsCalls | None = None,
        traced: float | None = None,
    ) -> None:
        """``places`` are shared with other gateway processes; None: this one is the only one. ``admission`` keeps calls
        to their limits; None: there are none. ``bodies`` keeps the content of calls for accounts that want it.
        ``traced``: calls have a place in a trace, of new ones this share is sampled; None: there are no traces."""
        super().__init__(routes, clock)
        self._admission = admission
        self._bodies = bodies
        self._traced = traced
        self._usage = usage
        self._clock = clock
        self._settings = settings
        self._longest_notice = min(NOTICED_SECONDS, settings.cold_start_seconds)
        self._upstream = Upstream(settings, vendors.settings.ca_file)
        self.falling_back = FallingBack(routes, waker)
        self._vendors = VendorCaller(self._upstream, clock, vendors)
        self._images = Images(self._upstream, allowed=vendors.fetch_images)
        self._balancer = Balancer(routes, waker, clock, settings, places)
        self._templates = TemplateProcess()
        self._rouge = Rouge()
        self._counter = TokenCounter(self._upstream, self._templates)
        self._adapters: dict[EndpointProtocol, Adapters] = {
            EndpointProtocol.VLLM: OpenAIAdapter(),
            EndpointProtocol.SGP: SgpAdapter(),
            EndpointProtocol.COHERE: CohereAdapter(),
        }
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._watching = asyncio.create_task(self._balancer.run(), name="gateway-routes")

    async def aclose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._templates.aclose()
        await self._rouge.aclose()
        self._upstream.close()

    def in_flight(self, worker_id: str) -> int:
        """Calls that this worker serves at the moment."""
        return self._balancer.in_flight(worker_id)

    def load(self) -> GatewayLoad:
        """How busy this gateway is now."""
        return self._balancer.load()

    def vendor_tallies(self) -> dict[str, tuple[int, int]]:
        """See `modelyard.gateway.vendors.calling.VendorCaller.tallies`."""
        return self._vendors.tallies()

    def call(self, caller: Caller, route: Route, verb: Verb, request_id: str, *, selected: str | None = None) -> Call:
        """Begin to meter a call; use as a context manager around all that follows."""
        account = paying_account(caller, route, selected)
        return Call(self._usage, self._clock, caller, account, route, verb, request_id)

    def trace(self, call: Call, traceparent: str | None, tracestate: str | None) -> None:
        """Give ``call`` its place in its caller's trace, or in one of its own."""
        if self._traced is not None:
            call.trace = begun(traceparent, tracestate, self._traced)

    def captured(self, call: Call, path: str, body: bytes) -> Capture | None:
        """What both sides of ``call`` are to be kept in; None where its account does not want that."""
        if self._bodies is None or (wanted := self._bodies.wanted(call.account_id)) is None:
            return None
        return Capture(call, path, body, wanted)

    def keep(self, capture: Capture) -> None:
        """The call is over, and its answer out."""
        if self._bodies is not None and (captured := capture.ended()) is not None:
            self._bodies.keep(captured)

    @falls_back
    async def chat(self, call: Call, request: ChatRequest) -> ChatResult:
        adapter = self._adapter(call.route)
        call.request = request
        decoder, body = await self._whole_text(call, request, adapter)
        result = adapter.decode_chat(request, body) if decoder is None else fold_chat(decoder, body)
        call.estimated_response = estimate_answer(result) if result.response_tokens is None else 0
        call.count(result.prompt_tokens, result.response_tokens, result.cached_tokens, result.reasoning_tokens)
        return result

    @falls_back
    async def complete(self, call: Call, request: CompletionRequest) -> CompletionResult:
        adapter = self._adapter(call.route)
        call.request = request
        if len(request.prompts) > 1 and not isinstance(adapter, SgpAdapter):
            return await self._complete_each(call, request, adapter)
        result = await self._complete_one(call, request, adapter)
        count_completion(call, result)
        return result

    def stream(self, call: Call, request: TextRequest) -> AsyncGenerator[list[Chunk], None]:
        """The answer as it comes: lists of chunks, one for each read of the worker's connection. The last
        chunk carries finish_reason and counts. Close it early to stop the worker."""
        if call.route.fallbacks and not call.turned:
            return self.falling_back.stream(call, lambda: self._streamed(call, request))
        return self._streamed(call, request)

    def _streamed(self, call: Call, request: TextRequest) -> AsyncGenerator[list[Chunk], None]:
        adapter = self._adapter(call.route)
        call.request = request
        if isinstance(request, CompletionRequest) and len(request.prompts) > 1:
            raise InvalidRequest.at(
                "body", "prompts", msg="a stream has exactly one prompt", code="unsupported_parameter"
            )
        if not call.route.supports_streaming:
            return self._all_at_once(call, msgspec.structs.replace(request, stream=None))
        return self._stream(call, request, adapter)

    @falls_back
    async def embed(self, call: Call, request: EmbeddingRequest) -> EmbeddingResult:
        adapter = self._adapter(call.route)
        call.request = request
        parts = batches(request, adapter.most_texts(call.route))
        result = joined(await together(lambda part: self._embed(call, part, adapter), parts))
        call.count(result.tokens_used, 0)
        return result

    @falls_back
    async def rerank(self, call: Call, request: RerankingRequest) -> RerankingResult:
        adapter = self._adapter(call.route)
        call.request = request
        body = await self._whole(call, lambda route: adapter.encode_reranking(request, route), adapter)
        result = adapter.decode_reranking(request, body)
        call.count(result.tokens_used, 0)
        return result

    async def rouge(self, task: Task) -> list[float]:
        """See `modelyard.gateway.rouge`: scores without a model, and so without a call of one."""
        return await self._rouge.scores(task)

    async def forward(self, call: Call, body: bytes, *, stream: bool) -> Forwarded:
        """Pass ``body`` to a worker and its answer back, unread; with its first piece, until which another one may be
        asked."""
        if call.route.fallbacks and not call.turned:
            return await self.falling_back.ask(call, lambda: self.forward(call, body, stream=stream))
        route = call.route
        path = route.streaming_predict_route if stream and route.supports_streaming else route.predict_route
        wire = WireRequest(path, body)
        lease, answer = await self._open(call, lambda *_: wire, self._adapters[EndpointProtocol.SGP])
        try:
            forwarded = Forwarded(lease, answer, await answer.read_some())
        except BaseException:
            answer.close()
            lease.release()
            raise
        call.first_byte()
        return forwarded

    def _adapter(self, route: Route) -> Adapters:
        return self._adapters[route.protocol] if route.vendor is None else adapter_for(route.vendor.vendor)

    async def _open_text(self, call: Call, request: TextRequest, adapter: Adapters) -> tuple[Lease, Answer, TextCall]:
        if call.route.vendor is not None:
            request = await self._images.inlined(call.route.vendor, request)
        text = begin(self._counter, call, request, adapter)
        try:
            return *await self._open(call, text.prepare, adapter), text
        except InvalidRequest as error:
            if (shorter := text.recovered(error)) is None:
                raise
        return *await self._open(call, shorter.prepare, adapter), shorter

    async def _whole_text(
        self, call: Call, request: TextRequest, adapter: Adapters
    ) -> tuple[StreamDecoder | None, bytes]:
        """The body of an answer that is wanted whole, and what reads it if it is a stream to be folded.

        A stream that breaks is asked for once more: of this answer the client has not seen a byte.
        """
        for last in (False, True):
            lease, answer, text = await self._open_text(call, request, adapter)
            call.begun = True
            decoder = text.decoder() if answer.is_stream else None
            try:
                return decoder, await answer.read()
            except UpstreamError as error:
                if last or decoder is None:
                    raise
                log.warning("asking again", request_id=call.request_id, worker=lease.endpoint.worker_id, why=str(error))
            finally:
                lease.release()
        raise AssertionError("the last try returns or raises")

    async def _whole(self, call: Call, encode: Callable[[Route], WireRequest], adapter: Adapters) -> bytes:
        lease, answer = await self._open(call, lambda _, route: encode(route), adapter)
        call.begun = True
        try:
            return await answer.read()
        finally:
            lease.release()

    async def _embed(self, call: Call, request: EmbeddingRequest, adapter: Adapters) -> EmbeddingResult:
        body = await self._whole(call, lambda route: adapter.encode_embedding(request, route), adapter)
        return adapter.decode_embedding(request, body)

    async def _complete_one(self, call: Call, request: CompletionRequest, adapter: Adapters) -> CompletionResult:
        decoder, body = await self._whole_text(call, request, adapter)
        if decoder is not None:
            return fold_completion(decoder, body, request.prompts[0])
        return adapter.decode_completion(request, body)

    async def _complete_each(self, call: Call, request: CompletionRequest, adapter: Adapters) -> CompletionResult:
        if wants_logprobs(request):
            raise unsupported("logprobs", "are told of one prompt a call; send one, or leave it out")
        parts = [msgspec.structs.replace(request, prompts=[prompt]) for prompt in request.prompts]
        whole = in_one(await together(lambda part: self._complete_one(call, part, adapter), parts))
        count_completion(call, whole)
        return whole

    async def _stream(self, call: Call, request: TextRequest, adapter: Adapters) -> AsyncGenerator[list[Chunk], None]:
        lease, answer, text = await self._open_text(call, request, adapter)
        try:
            decoder = text.decoder()
            while piece := await answer.read_some():
                if chunks := decoder.feed(piece):
                    count_chunks(call, chunks)
                    yield chunks
            if chunks := decoder.flush():
                count_chunks(call, chunks)
                yield chunks
        finally:
            answer.close()
            lease.release()

    async def _all_at_once(self, call: Call, request: TextRequest) -> AsyncGenerator[list[Chunk], None]:
        result = await (self.chat(call, request) if isinstance(request, ChatRequest) else self.complete(call, request))
        yield as_chunks(result)

    async def _open(self, call: Call, prepare: Prepare, adapter: Adapters) -> tuple[Lease, Answer]:
        """Send what ``prepare`` makes for a worker, trying another one as long as no byte of an answer came.
        The caller reads the answer and releases the lease."""
        if self._admission is not None:
            await self._admission.admit(call)
        # A body may have taken its time to arrive: a worker that was there when it began may be on its way out now.
        route = self._routes.snapshot().by_id(call.route.deployment_id)
        if route is None:
            raise gone(call.route)
        tries = Tries(self._settings.retries, self._notice_seconds(call))
        while True:
            lease = self._balancer.try_lease(route, tries.excluded)
            if lease is None:
                lease = await self._balancer.lease(route, tries.excluded, call.caller.key_id, call.max_wait)
            try:
                return lease, await self._send(call, lease, prepare, adapter)
            except Failed as caught:
                failed = caught
                lease.release()
            except BaseException:
                lease.release()
                raise
            route = self._routes.snapshot().by_id(route.deployment_id) or route
            if seconds := tries.after(failed, lease.endpoint.worker_id, route, self._clock.monotonic()):
                await self._changed(seconds)
                route = self._routes.snapshot().by_id(route.deployment_id) or route

    def _notice_seconds(self, call: Call) -> float:
        return self._longest_notice if call.max_wait is None else min(self._longest_notice, call.max_wait)

    async def _send(self, call: Call, lease: Lease, prepare: Prepare, adapter: Adapters) -> Answer:
        """The worker's answer where it is a success; `Failed` where another try may do better."""
        try:
            if call.route.vendor is not None:
                return await self._vendors.send(call, call.route, lease.endpoint, prepare, adapter)
            wire = prepare(lease.endpoint, call.route)
            if not isinstance(wire, WireRequest):
                wire = await wire
            call.adjusted = wire.adjusted
            call.sent = True
            context = () if call.trace is None else call.trace.headers
            answer = await self._upstream.send(lease.endpoint.address, wire, headers=context)
        except Lost as lost:
            if lost.unreachable:
                self._balancer.suspect(lease)
            raise Failed(lost.error, Remedy.REPLACEMENT if lost.unreachable else Remedy.SAME) from lost
        if 200 <= answer.status < 300:
            return answer
        error = adapter.decode_error(answer.status, await answer.read_start())
        if answer.status in _BUSY:
            raise Failed(error, Remedy.OTHERS) from error
        raise error

    async def _changed(self, seconds: float) -> None:
        """Wait until what can be called has changed, at most ``seconds``."""
        waits = [asyncio.ensure_future(self._routes.changed()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
