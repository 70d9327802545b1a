"""Cohere's API v2: the vendor, and workers whose template has the endpoint protocol COHERE.

A worker is asked for the model under its name here; what else Cohere takes (``safety_mode``, ``input_type``,
``output_dimension``, ``truncate``, …) are request parameters of a template. A tool plan is what the model thinks before
it calls tools, so it counts as reasoning. Citations have no place in a native answer; documents to cite are not sent.
Plain completion is a chat of one message: Cohere has nothing else.
"""

from collections.abc import Callable

import msgspec

from modelyard.domain.inference import (
    AssistantMessage,
    ChatRequest,
    ChatResult,
    Chunk,
    CompletionRequest,
    CompletionResult,
    EmbeddingRequest,
    EmbeddingResult,
    FunctionCall,
    RerankingRequest,
    RerankingResult,
    TextRequest,
    ToolCall,
    ToolCallPiece,
)
from modelyard.domain.routes import Route
from modelyard.errors import ModelyardError, UpstreamError
from modelyard.gateway.adapters import cohere_wire as wire
from modelyard.gateway.adapters.bindings import with_bindings
from modelyard.gateway.adapters.cohere_chat import RESERVED, chat_body
from modelyard.gateway.adapters.completing import as_chat, as_completion
from modelyard.gateway.adapters.faults import decode_error, explanation
from modelyard.gateway.adapters.streams import ChunkStream, Counts
from modelyard.gateway.adapters.vendor_faults import Fault, by_status, vendor_error
from modelyard.gateway.adapters.wire import WireRequest, bindings_of, decoded, unsupported

_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(wire.Answer)
_event = msgspec.json.Decoder(wire.Event)
_embed_answer = msgspec.json.Decoder(wire.EmbedAnswer)
_rerank_answer = msgspec.json.Decoder(wire.RerankAnswer)

_EMBED_RESERVED = frozenset({"model", "texts", "images", "inputs", "embedding_types"})
_RERANK_RESERVED = frozenset({"model", "query", "documents", "top_n", "return_documents"})
_RENAMED = {"dimensions": "output_dimension"}
_WORKER = "The model's worker"


class CohereAdapter:
    """``vendor`` is how Cohere is called in errors; without it the answers come from a worker of our own."""

    batches_prompts = False

    def __init__(self, vendor: str | None = None) -> None:
        self._vendor = vendor

    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest:
        notes: list[str] = []
        body = chat_body(request, route, _model(route), notes)
        return WireRequest("/v2/chat", with_bindings(body, request, RESERVED), adjusted=tuple(notes))

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest:
        return self.encode_chat(as_chat(request), route)

    def most_texts(self, route: Route) -> int | None:
        return wire.MAX_TEXTS

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        body = wire.EmbedBody(_model(route), request.texts)
        notes: tuple[str, ...] = ()
        if "input_type" not in bindings_of(request):
            notes = (f"input_type: {body.input_type} was sent; model_request_parameters may say otherwise",)
        return WireRequest("/v2/embed", with_bindings(body, request, _EMBED_RESERVED, _RENAMED), adjusted=notes)

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest:
        if request.instruction is not None:
            raise unsupported("instruction", "Cohere has no place for an instruction; put it in the query")
        body = wire.RerankBody(_model(route), request.query, request.chunks)
        return WireRequest("/v2/rerank", with_bindings(body, request, _RERANK_RESERVED))

    def decode_chat(self, request: ChatRequest, body: bytes) -> ChatResult:
        answer = decoded(_answer, body)
        message = answer.message
        blocks = message.content or []
        counts = _counts(answer.usage)
        thoughts = (message.tool_plan or "") + "".join([block.thinking or "" for block in blocks])
        calls = [_call(call) for call in message.tool_calls or ()]
        return ChatResult(
            AssistantMessage("".join([block.text or "" for block in blocks]), tool_calls=calls or msgspec.UNSET),
            self._finished(answer.finish_reason, None),
            counts.prompt,
            counts.response,
            wire.token_logprobs(answer.logprobs),
            thoughts or None,
            msgspec.UNSET if counts.cached is None else counts.cached,
        )

    def decode_completion(self, request: CompletionRequest, body: bytes) -> CompletionResult:
        return as_completion(request, self.decode_chat(as_chat(request), body))

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
        answer = decoded(_embed_answer, body)
        vectors = answer.embeddings.float
        if len(vectors) != len(request.texts):
            raise UpstreamError(f"{self._who} gave {len(vectors)} embeddings for {len(request.texts)} texts.")
        tokens = _counts(answer.meta).prompt
        return EmbeddingResult(msgspec.Raw(_encode(list(zip(request.texts, vectors, strict=True)))), tokens)

    def decode_reranking(self, request: RerankingRequest, body: bytes) -> RerankingResult:
        """Search units are no tokens: ``tokens_used`` stays unknown unless tokens are told as well."""
        answer = decoded(_rerank_answer, body)
        scores = {item.index: item.relevance_score for item in answer.results}
        if sorted(scores) != list(range(len(request.chunks))):
            raise UpstreamError(f"{self._who} gave {len(answer.results)} scores for {len(request.chunks)} chunks.")
        return RerankingResult([scores[index] for index in range(len(scores))], _counts(answer.meta).prompt)

    def stream_decoder(self, request: TextRequest) -> "CohereStream":
        return CohereStream(self._finished)

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        """Messages: https://docs.cohere.com/v2/reference/errors"""
        text = explanation(body)
        words = text.lower()
        fault, field = _BY_STATUS.get(status) or by_status(status), None
        if fault is Fault.REFUSED and words.startswith("too many tokens"):
            # The same words begin the refusal of a max_tokens that is more than the model ever writes.
            fault, field = (Fault.REFUSED, "max_tokens") if "max tokens must be" in words else (Fault.TOO_LONG, None)
        if self._vendor is None and fault is not Fault.TOO_LONG:
            return decode_error(status, body)
        return vendor_error(fault, self._who, text, field=field)

    @property
    def _who(self) -> str:
        return self._vendor or _WORKER

    def _finished(self, reason: str, explained: str | None) -> str:
        """The native finish reason. ERROR and TIMEOUT raise: what came until then is no answer."""
        if reason in ("ERROR", "TIMEOUT"):
            fault = Fault.FAILED if reason == "ERROR" else Fault.SLOW
            raise vendor_error(fault, self._who, explained or "the answer ended with this, half-way")
        return wire.FINISH_REASONS.get(reason, reason.lower())


class CohereStream(ChunkStream):
    """Thoughts, plan, text and tool calls as they come; ``message-end`` has the finish reason and the counts."""

    __slots__ = ("_calls", "_finished", "_usage")

    def __init__(self, finished: Callable[[str, str | None], str]) -> None:
        super().__init__()
        self._finished = finished
        self._calls: dict[int | None, int] = {}
        self._usage: wire.Usage | None = None

    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        event = decoded(_event, payload)
        delta = event.delta
        if delta is None:
            return
        if event.type == "message-end":
            self._usage = delta.usage
            self._finish_reason = self._finished(
                delta.finish_reason or ("ERROR" if delta.error else "COMPLETE"), delta.error
            )
            self._finish(chunks)
        elif delta.message is not None:
            self._piece(event, delta.message, chunks)

    def _piece(self, event: wire.Event, message: wire.DeltaMessage, chunks: list[Chunk]) -> None:
        block = message.content if isinstance(message.content, wire.Block) else wire.Block()
        thought = (message.tool_plan or "") + (block.thinking or "")
        logprobs = wire.token_logprobs([event.logprobs]) if event.logprobs is not None else None
        if block.text or thought or logprobs:
            chunks.append(Chunk(block.text or "", logprobs, reasoning=thought))
        calls = message.tool_calls if isinstance(message.tool_calls, list) else [message.tool_calls]
        chunks.extend(Chunk(tool_calls=[self._call(event, call)]) for call in calls if call is not None)

    def _call(self, event: wire.Event, call: wire.ToolCall) -> ToolCallPiece:
        """Events count blocks of content, of which some are texts; pieces count calls."""
        function = call.function or wire.Function()
        if event.type == "tool-call-start":
            index = self._calls[event.index] = len(self._calls)
            return ToolCallPiece(index, call.id, function.name, function.arguments or "")
        if event.index not in self._calls:
            raise UpstreamError("The answer goes on with a tool call that never began.")
        return ToolCallPiece(self._calls[event.index], arguments=function.arguments or "")

    def _tokens(self) -> Counts:
        return _counts(self._usage)


_BY_STATUS = {
    498: Fault.CREDENTIALS,  # "invalid token"
    501: Fault.REFUSED,  # "not implemented"
}


def _model(route: Route) -> str:
    return route.vendor.model if route.vendor is not None else route.model_name


def _counts(usage: wire.Usage | None) -> Counts:
    if usage is None:
        return Counts()
    return Counts(*usage.counts(), wire.whole(usage.cached_tokens))


def _call(call: wire.ToolCall) -> ToolCall:
    function = call.function or wire.Function()
    return ToolCall(call.id or "", FunctionCall(function.name or "", function.arguments or ""))
