"""A streamed answer for a call that wanted it whole, and a whole one for a call that wanted a stream."""

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from modelyard.domain.inference import (
    AssistantMessage,
    ChatResult,
    Chunk,
    CompletionResult,
    FunctionCall,
    TokenLogprob,
    ToolCall,
    ToolCallPiece,
)
from modelyard.errors import UpstreamError
from modelyard.gateway.adapters.wire import StreamDecoder


def fold_chat(decoder: StreamDecoder, body: bytes) -> ChatResult:
    chunks = _chunks(decoder, body)
    last = chunks[-1]
    calls = fold_calls(piece for chunk in chunks for piece in chunk.tool_calls or ())
    return ChatResult(
        AssistantMessage(_text(chunks), tool_calls=calls or UNSET),
        last.finish_reason,
        last.prompt_tokens,
        last.response_tokens,
        _logprobs(chunks),
        "".join([chunk.reasoning for chunk in chunks]) or None,
        _known(last.cached_tokens),
        _known(last.reasoning_tokens),
    )


def fold_completion(decoder: StreamDecoder, body: bytes, prompt: str) -> CompletionResult:
    chunks = _chunks(decoder, body)
    last = chunks[-1]
    return CompletionResult(
        [(prompt, [_text(chunks)])],
        last.finish_reason,
        last.prompt_tokens,
        last.response_tokens,
        _logprobs(chunks),
        _known(last.cached_tokens),
        _known(last.reasoning_tokens),
    )


def fold_calls(pieces: Iterable[ToolCallPiece]) -> list[ToolCall]:
    """Whole tool calls, in the order in which they began; pieces of one index belong together."""
    calls: dict[int, list[ToolCallPiece]] = {}
    for piece in pieces:
        calls.setdefault(piece.index, []).append(piece)
    return [_call(parts) for parts in calls.values()]


def as_chunks(result: ChatResult | CompletionResult) -> list[Chunk]:
    """The stream of an answer that came whole: all of it in one chunk, then the last one."""
    last = _last(result)
    if isinstance(result, CompletionResult):
        return [Chunk("".join(result.completions[0][1]), result.logprobs), last]
    message = result.message
    pieces = [
        ToolCallPiece(index, call.id, call.function.name, call.function.arguments)
        for index, call in enumerate(message.tool_calls or ())
    ]
    told = Chunk(message.content, result.logprobs, reasoning=result.reasoning or "", tool_calls=pieces or None)
    return [told, last]


def _last(result: ChatResult | CompletionResult) -> Chunk:
    return Chunk(
        finish_reason=result.finish_reason or "stop",
        prompt_tokens=result.prompt_tokens,
        response_tokens=result.response_tokens,
        cached_tokens=None if result.cached_tokens is UNSET else result.cached_tokens,
        reasoning_tokens=None if result.reasoning_tokens is UNSET else result.reasoning_tokens,
    )


def _call(parts: list[ToolCallPiece]) -> ToolCall:
    id = next((part.id for part in parts if part.id), None)
    name = next((part.name for part in parts if part.name), None)
    if id is None or name is None:
        raise UpstreamError("The worker streams a tool call that has no name or no id.")
    return ToolCall(id, FunctionCall(name, "".join([part.arguments for part in parts]) or "{}"))


def _chunks(decoder: StreamDecoder, body: bytes) -> list[Chunk]:
    return [*decoder.feed(body), *decoder.flush()]


def _text(chunks: list[Chunk]) -> str:
    return "".join([chunk.text for chunk in chunks])


def _known(count: int | None) -> int | UnsetType:
    return UNSET if count is None else count


def _logprobs(chunks: list[Chunk]) -> list[TokenLogprob] | None:
    if all(chunk.logprobs is None for chunk in chunks):
        return None
    return [token for chunk in chunks for token in chunk.logprobs or ()]
