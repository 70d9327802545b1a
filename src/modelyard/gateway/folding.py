"""A streamed answer for a call that wanted it whole."""

from msgspec import UNSET, UnsetType

from modelyard.domain.inference import (
    AssistantMessage,
    ChatResult,
    Chunk,
    CompletionResult,
    FunctionCall,
    TokenLogprob,
    ToolCall,
)
from modelyard.gateway.adapters.wire import StreamDecoder


def fold_chat(decoder: StreamDecoder, body: bytes) -> ChatResult:
    chunks = _chunks(decoder, body)
    last = chunks[-1]
    return ChatResult(
        AssistantMessage(_text(chunks), tool_calls=_tool_calls(chunks)),
        last.finish_reason,
        last.prompt_tokens,
        last.response_tokens,
        _logprobs(chunks),
        "".join([chunk.reasoning for chunk in chunks]) or None,
        UNSET if last.cached_tokens is None else last.cached_tokens,
        UNSET if last.reasoning_tokens is None else last.reasoning_tokens,
    )


def fold_completion(decoder: StreamDecoder, body: bytes, prompt: str) -> CompletionResult:
    chunks = _chunks(decoder, body)
    last = chunks[-1]
    return CompletionResult(
        [(prompt, [_text(chunks)])], last.finish_reason, last.prompt_tokens, last.response_tokens, _logprobs(chunks)
    )


def _chunks(decoder: StreamDecoder, body: bytes) -> list[Chunk]:
    return [*decoder.feed(body), *decoder.flush()]


def _text(chunks: list[Chunk]) -> str:
    return "".join([chunk.text for chunk in chunks])


def _logprobs(chunks: list[Chunk]) -> list[TokenLogprob] | None:
    if all(chunk.logprobs is None for chunk in chunks):
        return None
    return [token for chunk in chunks for token in chunk.logprobs or ()]


def _tool_calls(chunks: list[Chunk]) -> list[ToolCall] | UnsetType:
    """Each call's id and name come whole with its first piece; its arguments are the pieces joined."""
    calls: dict[int, tuple[str, str, list[str]]] = {}
    for chunk in chunks:
        for piece in chunk.tool_calls or ():
            _, _, arguments = calls.setdefault(piece.index, (piece.id or "", piece.name or "", []))
            arguments.append(piece.arguments)
    return [ToolCall(id, FunctionCall(name, "".join(parts))) for id, name, parts in calls.values()] or UNSET
