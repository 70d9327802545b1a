"""Workers that speak SGP: the native requests and results themselves, as JSON.

A stream is Server-Sent Events. Each is a native `Chunk`, or the native result with the next piece as its
text; an event named ``error``, or with a field ``error``, ends it. ``[DONE]`` is tolerated.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct

from modelyard.domain.inference import (
    AssistantMessage,
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
    TokenLogprob,
    ToolCall,
    ToolCallPiece,
)
from modelyard.domain.routes import Route
from modelyard.errors import ModelyardError, UpstreamError
from modelyard.gateway.adapters.faults import decode_error, stream_error
from modelyard.gateway.adapters.streams import ChunkStream, Counts
from modelyard.gateway.adapters.wire import WireRequest, decoded, wants_logprobs

_encode = msgspec.json.Encoder().encode
_completion_result = msgspec.json.Decoder(CompletionResult)
_reranking_result = msgspec.json.Decoder(RerankingResult)


class _Embeddings(Struct):
    embeddings: list[msgspec.Raw]
    tokens_used: int | None = None


_embeddings = msgspec.json.Decoder(_Embeddings)


class _Piece(Struct):
    content: str | None = None
    tool_calls: list[ToolCall] | None = None


class _ChatAnswer(Struct):
    """A `ChatResult`, but that a message which only calls tools may have no content."""

    message: _Piece
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    logprobs: list[TokenLogprob] | None = None
    reasoning: str | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


_chat_answer = msgspec.json.Decoder(_ChatAnswer)


class _Event(Struct):
    text: str | None = None
    message: _Piece | None = None
    completions: list[tuple[str, list[str]]] | None = None
    logprobs: list[TokenLogprob] | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    error: Any = None


_event = msgspec.json.Decoder(_Event)


class SgpAdapter:
    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest:
        return _text(request, route)

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest:
        return _text(request, route)

    def most_texts(self, route: Route) -> int | None:
        return None

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        return WireRequest(route.predict_route, _encode(request))

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest:
        return WireRequest(route.predict_route, _encode(request))

    def decode_chat(self, request: ChatRequest, body: bytes) -> ChatResult:
        answer = decoded(_chat_answer, body)
        message = answer.message
        if message.content is None and not message.tool_calls:
            raise UpstreamError("The worker's answer is not what its protocol says: its message has no content.")
        return ChatResult(
            AssistantMessage(message.content or "", tool_calls=message.tool_calls or UNSET),
            answer.finish_reason,
            answer.prompt_tokens,
            answer.response_tokens,
            answer.logprobs,
            answer.reasoning,
            UNSET if answer.cached_tokens is None else answer.cached_tokens,
            UNSET if answer.reasoning_tokens is None else answer.reasoning_tokens,
        )

    def decode_completion(self, request: CompletionRequest, body: bytes) -> CompletionResult:
        result = decoded(_completion_result, body)
        _same_number("completions", result.completions, request.prompts)
        return result

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
        result = decoded(_embeddings, body)
        _same_number("embeddings", result.embeddings, request.texts)
        return EmbeddingResult(msgspec.Raw(_encode(result.embeddings)), result.tokens_used)

    def decode_reranking(self, request: RerankingRequest, body: bytes) -> RerankingResult:
        result = decoded(_reranking_result, body)
        _same_number("scores", result.chunk_scores, request.chunks)
        return result

    def stream_decoder(self, request: TextRequest) -> "SgpStream":
        return SgpStream()

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        return decode_error(status, body)


_NOTHING = Counts()


class SgpStream(ChunkStream):
    """The last chunk goes out once finish reason and counts are there."""

    __slots__ = ("_calls", "_counts")

    def __init__(self) -> None:
        super().__init__()
        self._counts = Counts()
        self._calls = 0

    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        event = decoded(_event, payload)
        if event.error is not None:
            raise stream_error(payload)
        text = _piece(event)
        calls = event.tool_calls or self._whole_calls(event.message)
        if text or event.logprobs or event.reasoning or calls:
            chunks.append(Chunk(text, event.logprobs, reasoning=event.reasoning or "", tool_calls=calls))
        self._finish_reason = event.finish_reason or self._finish_reason
        told = Counts(event.prompt_tokens, event.response_tokens, event.cached_tokens, event.reasoning_tokens)
        if told != _NOTHING:
            self._counts = Counts(*(old if new is None else new for old, new in zip(self._counts, told, strict=True)))
        if self._finish_reason is not None and None not in self._counts[:2]:
            self._finish(chunks)

    def _tokens(self) -> Counts:
        return self._counts

    def _whole_calls(self, message: _Piece | None) -> list[ToolCallPiece] | None:
        """The calls in a native result, which come whole."""
        if message is None or not message.tool_calls:
            return None
        first, self._calls = self._calls, self._calls + len(message.tool_calls)
        return [
            ToolCallPiece(first + place, call.id, call.function.name, call.function.arguments)
            for place, call in enumerate(message.tool_calls)
        ]


def _text(request: TextRequest, route: Route) -> WireRequest:
    wants_logprobs(request)
    path = route.streaming_predict_route if request.stream else route.predict_route
    return WireRequest(path, _encode(request))


def _piece(event: _Event) -> str:
    if event.text is not None:
        return event.text
    if event.message is not None:
        return event.message.content or ""
    if event.completions:
        return "".join(event.completions[0][1])
    return ""


def _same_number(what: str, got: list[Any], asked: list[Any]) -> None:
    if len(got) != len(asked):
        raise UpstreamError(f"The worker gave {len(got)} {what} for {len(asked)} inputs.")
