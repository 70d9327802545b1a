"""The v4 answers, and their pieces when they are streamed."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from modelyard.domain.inference import ChatResult, Chunk, CompletionResult, TokenLogprob
from modelyard.http.sse import event

_encode = msgspec.json.Encoder().encode


class Logprobs(Struct, frozen=True):
    content: list[TokenLogprob] | None


class Choice(Struct, frozen=True):
    index: int
    logprobs: Logprobs | None


class CompletionAnswer(Struct, frozen=True):
    """Answer of ``chat-completions`` and ``completions``; a streamed piece has the same shape, its text being
    the next piece."""

    completions: list[tuple[str, list[str]]]
    """``[[prompt, [text]]]``"""
    choices: list[Choice]
    finish_reason: str | None
    prompt_tokens: int | None
    response_tokens: int | None


def answer(prompt: str, result: ChatResult | CompletionResult) -> bytes:
    """The whole answer to ``prompt``, as JSON."""
    texts = [result.message.content] if isinstance(result, ChatResult) else result.completions[0][1]
    logprobs = Logprobs(result.logprobs) if result.logprobs is not None else None
    return _encode(
        CompletionAnswer(
            [(prompt, texts)],
            [Choice(0, logprobs)] if len(texts) == 1 else [Choice(index, None) for index in range(len(texts))],
            result.finish_reason,
            result.prompt_tokens,
            result.response_tokens,
        )
    )


_AFTER_TEXT = b']]],"choices":[{"index":0,"logprobs":'
_PLAIN = _AFTER_TEXT + b'null}],"finish_reason":null,"prompt_tokens":null,"response_tokens":null}\n\n'


class ChunkWriter:
    """Chunks as v4 events. Everything around the text is the same each time, so it is encoded once."""

    __slots__ = ("_before",)

    def __init__(self, prompt: str) -> None:
        self._before = b'data: {"completions":[[' + _encode(prompt) + b",["

    def __call__(self, chunks: Iterable[Chunk]) -> bytes:
        """The events of one read, in one piece; empty where there is nothing a v4 client would see."""
        return b"".join(map(self._event, chunks))

    def _event(self, chunk: Chunk) -> bytes:
        if chunk.finish_reason is None and chunk.logprobs is None:
            return self._before + _encode(chunk.text) + _PLAIN if chunk.text else b""
        logprobs = _encode(Logprobs(chunk.logprobs)) if chunk.logprobs is not None else b"null"
        ending = tuple(map(_encode, (chunk.finish_reason, chunk.prompt_tokens, chunk.response_tokens)))
        return (
            self._before
            + _encode(chunk.text)
            + _AFTER_TEXT
            + logprobs
            + b'}],"finish_reason":%b,"prompt_tokens":%b,"response_tokens":%b}\n\n' % ending
        )


def native_events(chunks: Iterable[Chunk]) -> bytes:
    """Chunks as ``execute`` streams them."""
    return b"".join(event(_encode(chunk)) for chunk in chunks)
