"""Anthropic Messages (POST /v1/messages), for Anthropic itself and for what else speaks it.

Source: https://platform.claude.com/docs/en/api/messages; https://platform.claude.com/docs/en/api/errors. What models
differ in stands in `anthropic_models`. Key and other credentials are not this file's business.
"""

import re

import msgspec
from msgspec import UNSET

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
from modelyard.errors import ModelyardError
from modelyard.gateway.adapters import anthropic_wire as wire
from modelyard.gateway.adapters.anthropic_models import profile_of
from modelyard.gateway.adapters.anthropic_requests import encode
from modelyard.gateway.adapters.arguments import as_text
from modelyard.gateway.adapters.completing import as_chat, as_completion
from modelyard.gateway.adapters.faults import explanation
from modelyard.gateway.adapters.streams import ChunkStream, Counts
from modelyard.gateway.adapters.vendor_faults import Fault, by_status, vendor_error
from modelyard.gateway.adapters.wire import WireRequest, decoded, no_such_verb, target_of

VENDOR = "Anthropic"

_answer = msgspec.json.Decoder(wire.Answer)
_event = msgspec.json.Decoder(wire.Event)
_error_answer = msgspec.json.Decoder(wire.ErrorAnswer)

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_FAULTS = {
    "authentication_error": Fault.CREDENTIALS,
    "permission_error": Fault.CREDENTIALS,
    "billing_error": Fault.UNPAID,
    "not_found_error": Fault.UNKNOWN_MODEL,
    "request_too_large": Fault.REFUSED,
    "rate_limit_error": Fault.RATE_LIMITED,
    "timeout_error": Fault.SLOW,
    "overloaded_error": Fault.BUSY,
    "api_error": Fault.FAILED,
}
_FAULTS_BY_WORDS = (
    (re.compile(r"prompt is too long|exceed context limit|context window", re.IGNORECASE), Fault.TOO_LONG),
    (re.compile(r"credit balance|usage limits", re.IGNORECASE), Fault.UNPAID),
    (re.compile(r"content filter", re.IGNORECASE), Fault.FILTERED),
)
"""Of an ``invalid_request_error``, which is many things."""
_SPENT = "enforced_spend_limit_reached"
"""A 429 that no waiting mends before the month is over."""
_FIELD = re.compile(r"(max_tokens|messages|temperature|top_p|top_k|stop_sequences|tools|tool_choice)\b[^ ]*: ")
"""With which words about a field begin."""


class AnthropicAdapter:
    """Chats and, by way of them, completions; Anthropic has neither embeddings nor rerankings."""

    batches_prompts = False

    def most_texts(self, route: Route) -> int | None:
        return None

    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest:
        target = target_of(route)
        profile = profile_of(target.model)
        body, notes = encode(request, target, profile)
        return WireRequest(
            "/v1/messages", body, headers=(("anthropic-version", profile.version),), adjusted=tuple(notes)
        )

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest:
        return self.encode_chat(as_chat(request), route)

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        raise no_such_verb(VENDOR, "embeddings")

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest:
        raise no_such_verb(VENDOR, "rerankings")

    def decode_chat(self, request: ChatRequest, body: bytes) -> ChatResult:
        return _result(decoded(_answer, body))

    def decode_completion(self, request: CompletionRequest, body: bytes) -> CompletionResult:
        return as_completion(request, _result(decoded(_answer, body)))

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
        raise no_such_verb(VENDOR, "embeddings")

    def decode_reranking(self, request: RerankingRequest, body: bytes) -> RerankingResult:
        raise no_such_verb(VENDOR, "rerankings")

    def stream_decoder(self, request: TextRequest) -> "AnthropicStream":
        return AnthropicStream()

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        return _error(status, body)


class AnthropicStream(ChunkStream):
    """Events are named, and have their name in ``type`` too; ``message_stop`` ends a stream. Counts in
    ``message_delta`` are totals, so the last ones hold."""

    __slots__ = ("_arguments", "_tools", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._tools = -1
        self._arguments: bool | None = None
        """Within a tool call: whether some of its arguments came."""
        self._usage = wire.Usage()

    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        event = decoded(_event, payload)
        match event.type:
            case "content_block_delta":
                self._delta(event.delta or wire.Delta(), chunks)
            case "content_block_start":
                self._begin(event.content_block or wire.AnswerBlock(""), chunks)
            case "content_block_stop":
                self._end(chunks)
            case "message_start" if event.message is not None:
                self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason is not None:
                    self._finish_reason = _reason(event.delta.stop_reason)
            case "message_stop" if self._finish_reason is not None:
                self._finish(chunks)
            case "error":
                raise self._error(payload)

    def _begin(self, block: wire.AnswerBlock, chunks: list[Chunk]) -> None:
        if block.type == "tool_use":
            self._tools += 1
            self._arguments = False
            chunks.append(Chunk(tool_calls=[ToolCallPiece(self._tools, block.id, block.name)]))
        elif block.text or block.thinking:
            chunks.append(Chunk(block.text, reasoning=block.thinking))

    def _delta(self, delta: wire.Delta, chunks: list[Chunk]) -> None:
        if delta.partial_json:
            self._arguments = True
            chunks.append(Chunk(tool_calls=[ToolCallPiece(self._tools, arguments=delta.partial_json)]))
        elif delta.text or delta.thinking:
            chunks.append(Chunk(delta.text, reasoning=delta.thinking))

    def _end(self, chunks: list[Chunk]) -> None:
        if self._arguments is False:  # a call without arguments streams none; callers want JSON
            chunks.append(Chunk(tool_calls=[ToolCallPiece(self._tools, arguments="{}")]))
        self._arguments = None

    def _count(self, usage: wire.Usage | None) -> None:
        if usage is not None:
            given = {name: value for name in usage.__struct_fields__ if (value := getattr(usage, name)) is not None}
            self._usage = msgspec.structs.replace(self._usage, **given)

    def _tokens(self) -> Counts:
        return _counts(self._usage)

    def _error(self, payload: bytes) -> ModelyardError:
        return _error(200, payload)


def _result(answer: wire.Answer) -> ChatResult:
    blocks = answer.content
    calls = [
        ToolCall(block.id, FunctionCall(block.name, as_text(block.input)))
        for block in blocks
        if block.type == "tool_use"
    ]
    counts = _counts(answer.usage or wire.Usage())
    return ChatResult(
        AssistantMessage("".join([block.text for block in blocks]), tool_calls=calls or UNSET),
        _reason(answer.stop_reason),
        counts.prompt,
        counts.response,
        reasoning="".join([block.thinking for block in blocks]) or None,
        cached_tokens=UNSET if counts.cached is None else counts.cached,
        reasoning_tokens=UNSET if counts.reasoning is None else counts.reasoning,
    )


def _reason(stop_reason: str | None) -> str:
    return _FINISH_REASONS.get(stop_reason or "", "stop")


def _counts(usage: wire.Usage) -> Counts:
    prompt = usage.input_tokens
    if prompt is not None:
        prompt += (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    details = usage.output_tokens_details
    return Counts(
        prompt, usage.output_tokens, usage.cache_read_input_tokens, details.thinking_tokens if details else None
    )


def _error(status: int, body: bytes) -> ModelyardError:
    try:
        fault = _error_answer.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return vendor_error(by_status(status), VENDOR, explanation(body))
    field = _FIELD.match(fault.message)
    return vendor_error(_what(fault, status), VENDOR, fault.message or fault.type, field=field[1] if field else None)


def _what(fault: wire.Fault, status: int) -> Fault:
    if fault.details is not None and fault.details.error_code == _SPENT:
        return Fault.UNPAID
    if fault.type != "invalid_request_error":
        return _FAULTS.get(fault.type) or by_status(status)
    for words, what in _FAULTS_BY_WORDS:
        if words.search(fault.message):
            return what
    return Fault.REFUSED
