"""Whole answers in OpenAI's shape."""

import base64
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from modelyard.domain.inference import (
    ChatResult,
    CompletionResult,
    EmbeddingResult,
    RerankingResult,
    TokenLogprob,
    ToolCall,
)
from modelyard.errors import InvalidRequest, UpstreamError
from modelyard.gateway.adapters.streams import Counts

_encode = msgspec.json.Encoder().encode
_pairs = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]])
_vector = msgspec.json.Decoder(list[float])


@dataclass(frozen=True, slots=True)
class Told:
    """What every answer of a call tells of itself. ``created``: seconds since 1970."""

    id: str
    created: int
    model: str
    """As the caller named it."""


class PromptDetails(Struct, frozen=True):
    cached_tokens: int


class CompletionDetails(Struct, frozen=True):
    reasoning_tokens: int


class Usage(Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | UnsetType = UNSET
    completion_tokens_details: CompletionDetails | UnsetType = UNSET


def usage_of(counts: Counts) -> Usage:
    """``counts`` whose prompt and response are known."""
    prompt, response = counts.prompt or 0, counts.response or 0
    return Usage(
        prompt,
        response,
        prompt + response,
        UNSET if counts.cached is None else PromptDetails(counts.cached),
        UNSET if counts.reasoning is None else CompletionDetails(counts.reasoning),
    )


class Message(Struct, frozen=True):
    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: None = None
    tool_calls: list[ToolCall] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    """Where a model's thoughts are told apart from its answer; DeepSeek's and vLLM's name for them."""


class ChatLogprobs(Struct, frozen=True):
    content: list[TokenLogprob]
    refusal: None = None


class TextLogprobs(Struct, frozen=True):
    """Of /v1/completions: four lists of one length. ``text_offset``: where in the text each token begins."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class ChatChoice(Struct, frozen=True):
    index: int
    message: Message
    finish_reason: str
    logprobs: ChatLogprobs | None = None


class TextChoice(Struct, frozen=True):
    index: int
    text: str
    finish_reason: str
    logprobs: TextLogprobs | None = None


class ChatCompletion(Struct, frozen=True):
    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    object: Literal["chat.completion"] = "chat.completion"


class Completion(Struct, frozen=True):
    id: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage
    object: Literal["text_completion"] = "text_completion"


class Embedding(Struct, frozen=True):
    index: int
    embedding: msgspec.Raw | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct, frozen=True):
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


class DocumentText(Struct, frozen=True):
    text: str


class Ranked(Struct, frozen=True):
    index: int
    relevance_score: float
    document: DocumentText | UnsetType = UNSET


class RerankTokens(Struct, frozen=True):
    input_tokens: int


class RerankMeta(Struct, frozen=True):
    tokens: RerankTokens


class RerankAnswer(Struct, frozen=True):
    """As Jina and Cohere answer: the one tells tokens in ``usage``, the other in ``meta``."""

    id: str
    model: str
    results: list[Ranked]
    usage: EmbeddingUsage
    meta: RerankMeta


def finish_reason(reason: str | None, *, calls: bool) -> str:
    """OpenAI's word for why a text ended. Who calls tools has not stopped for good."""
    return "tool_calls" if calls and reason in (None, "stop") else reason or "stop"


def chat(told: Told, results: Sequence[ChatResult], counts: Counts) -> bytes:
    choices = [_chat_choice(index, result) for index, result in enumerate(results)]
    return _encode(ChatCompletion(told.id, told.created, told.model, choices, usage_of(counts)))


def _chat_choice(index: int, result: ChatResult) -> ChatChoice:
    calls = result.message.tool_calls or UNSET
    content = None if calls and not result.message.content else result.message.content
    message = Message(content, tool_calls=calls, reasoning_content=result.reasoning or UNSET)
    logprobs = None if result.logprobs is None else ChatLogprobs(result.logprobs)
    return ChatChoice(index, message, finish_reason(result.finish_reason, calls=bool(calls)), logprobs)


def completion(told: Told, results: Sequence[ChatResult | CompletionResult], counts: Counts) -> bytes:
    choices = [
        TextChoice(index, text_of(result), result.finish_reason or "stop", text_logprobs(result.logprobs, 0))
        for index, result in enumerate(results)
    ]
    return _encode(Completion(told.id, told.created, told.model, choices, usage_of(counts)))


def text_of(result: ChatResult | CompletionResult) -> str:
    return result.message.content if isinstance(result, ChatResult) else "".join(result.completions[0][1])


def text_logprobs(logprobs: Sequence[TokenLogprob] | None, start: int) -> TextLogprobs | None:
    """In the shape of /v1/completions; the first token begins at ``start`` characters."""
    if logprobs is None:
        return None
    offsets = []
    for token in logprobs:
        offsets.append(start)
        start += len(token.token)
    tops = [{top.token: top.logprob for top in token.top_logprobs} for token in logprobs]
    return TextLogprobs(
        [token.token for token in logprobs],
        [token.logprob for token in logprobs],
        tops if any(tops) else None,
        offsets,
    )


def embeddings(model: str, result: EmbeddingResult, tokens: int, encoding: str | None, dimensions: int | None) -> bytes:
    """Vectors as the worker wrote them, or with ``encoding`` base64 as little-endian float32. Raises `InvalidRequest`
    where they do not have the ``dimensions`` that were asked for."""
    data = []
    for index, (_, raw) in enumerate(_read(_pairs, result.embeddings)):
        if encoding != "base64" and dimensions is None:
            data.append(Embedding(index, raw))
            continue
        vector = _read(_vector, raw)
        if dimensions is not None and len(vector) != dimensions:
            msg = f"this model makes vectors of {len(vector)} numbers, and cannot shorten them; leave it out"
            raise InvalidRequest.at("body", "dimensions", msg=msg, code="unsupported_parameter")
        data.append(Embedding(index, base64_of(vector) if encoding == "base64" else raw))
    return _encode(EmbeddingList(model, data, EmbeddingUsage(tokens, tokens)))


def base64_of(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _read(decoder: "msgspec.json.Decoder[Any]", raw: msgspec.Raw) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise UpstreamError(f"The worker's vectors are not what its protocol says: {error}.") from error


def reranking(
    told: Told, result: RerankingResult, documents: Sequence[str], tokens: int, *, top_n: int | None, texts: bool
) -> bytes:
    """The best first; equal ones in the order asked."""
    order = sorted(range(len(documents)), key=lambda index: -result.chunk_scores[index])[:top_n]
    ranked = [
        Ranked(index, result.chunk_scores[index], DocumentText(documents[index]) if texts else UNSET) for index in order
    ]
    usage = EmbeddingUsage(tokens, tokens)
    return _encode(RerankAnswer(told.id, told.model, ranked, usage, RerankMeta(RerankTokens(tokens))))
