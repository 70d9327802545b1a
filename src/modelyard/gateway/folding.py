"""A streamed answer for a call that wanted it whole."""

from modelyard.domain.inference import AssistantMessage, ChatResult, Chunk, CompletionResult, TokenLogprob
from modelyard.gateway.adapters.wire import StreamDecoder


def fold_chat(decoder: StreamDecoder, body: bytes) -> ChatResult:
    chunks = _chunks(decoder, body)
    last = chunks[-1]
    return ChatResult(
        AssistantMessage(_text(chunks)),
        last.finish_reason,
        last.prompt_tokens,
        last.response_tokens,
        _logprobs(chunks),
        "".join([chunk.reasoning for chunk in chunks]) or None,
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
