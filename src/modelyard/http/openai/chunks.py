"""Streamed answers in OpenAI's shape: events, then ``data: [DONE]``."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from modelyard.domain.inference import Chunk, ToolCallPiece
from modelyard.gateway.adapters.streams import Counts
from modelyard.gateway.several import Numbered, counts_of
from modelyard.http.openai.answers import ChatLogprobs, Told, Usage, finish_reason, text_logprobs
from modelyard.http.sse import event

_encode = msgspec.json.Encoder().encode

Total = Callable[[Mapping[int, Counts]], Usage]
"""What the texts come to, given what each one's last chunk told."""


class Writer(ABC):
    """Chunks of one or several texts as events. Everything around a text is the same each time, so it is encoded
    once. ``done`` as soon as the last one of ``texts`` texts has ended: what was written then ends the stream."""

    object = ""

    def __init__(self, told: Told, texts: int, total: Total, *, with_usage: bool) -> None:
        self._heads = [self._head(told, index) for index in range(texts)]
        self._told = told
        self._total = total
        self._with_usage = with_usage
        self._tail = b',"usage":null}\n\n' if with_usage else b"}\n\n"
        self._ends: dict[int, Counts] = {}
        self.done = False

    def one(self, chunks: Iterable[Chunk]) -> bytes:
        """The events of one read, where there is only one text."""
        return b"".join([self._take(0, chunk) for chunk in chunks])

    def several(self, chunks: Numbered) -> bytes:
        return b"".join([self._take(index, chunk) for index, chunk in chunks])

    def _take(self, index: int, chunk: Chunk) -> bytes:
        data = self._event(index, chunk)
        if chunk.finish_reason is None:
            return data
        self._ends[index] = counts_of(chunk)
        if len(self._ends) < len(self._heads):
            return data
        self.done = True
        return data + self._usage() + b"data: [DONE]\n\n"

    def _usage(self) -> bytes:
        if not self._with_usage:
            return b""
        return event(_encode({**self._frame(self._told), "choices": [], "usage": self._total(self._ends)}))

    def _head(self, told: Told, index: int) -> bytes:
        """Everything before what a choice says."""
        frame = _encode(self._frame(told))[:-1]
        return b'data: %b,"choices":[{"index":%d,' % (frame, index)

    def _frame(self, told: Told) -> dict[str, Any]:
        return {"id": told.id, "object": self.object, "created": told.created, "model": told.model}

    @abstractmethod
    def _event(self, index: int, chunk: Chunk) -> bytes: ...


_END_OF_PLAIN = b',"logprobs":null,"finish_reason":null}]'


class ChatWriter(Writer):
    object = "chat.completion.chunk"

    def __init__(self, told: Told, texts: int, total: Total, *, with_usage: bool) -> None:
        super().__init__(told, texts, total, with_usage=with_usage)
        self._begun: set[int] = set()
        self._calling: set[int] = set()

    def _event(self, index: int, chunk: Chunk) -> bytes:
        head = self._heads[index] + b'"delta":'
        begin = b""
        if index not in self._begun:
            self._begun.add(index)
            begin = head + b'{"role":"assistant","content":"","refusal":null}' + _END_OF_PLAIN + self._tail
        if chunk.text and not (chunk.reasoning or chunk.logprobs or chunk.tool_calls or chunk.finish_reason):
            return begin + head + b'{"content":' + _encode(chunk.text) + b"}" + _END_OF_PLAIN + self._tail
        return begin + self._whole(index, chunk, head)

    def _whole(self, index: int, chunk: Chunk, head: bytes) -> bytes:
        delta: dict[str, Any] = {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.tool_calls:
            self._calling.add(index)
            delta["tool_calls"] = [_piece(piece) for piece in chunk.tool_calls]
        logprobs = None if chunk.logprobs is None else ChatLogprobs(chunk.logprobs)
        reason = None
        if chunk.finish_reason is not None:
            reason = finish_reason(chunk.finish_reason, calls=index in self._calling)
        elif not delta and logprobs is None:
            return b""
        return (
            head + b'%b,"logprobs":%b,"finish_reason":%b}]' % (*map(_encode, (delta, logprobs, reason)),) + self._tail
        )


def _piece(piece: ToolCallPiece) -> dict[str, Any]:
    if piece.name is None:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    function = {"name": piece.name, "arguments": piece.arguments}
    return {"index": piece.index, "id": piece.id, "type": "function", "function": function}


class TextWriter(Writer):
    object = "text_completion"

    def __init__(self, told: Told, texts: int, total: Total, *, with_usage: bool) -> None:
        super().__init__(told, texts, total, with_usage=with_usage)
        self._lengths = [0] * texts

    def _event(self, index: int, chunk: Chunk) -> bytes:
        if not chunk.text and chunk.logprobs is None and chunk.finish_reason is None:
            return b""
        logprobs = text_logprobs(chunk.logprobs, self._lengths[index])
        self._lengths[index] += len(chunk.text)
        said = b'"text":%b,"logprobs":%b,"finish_reason":%b}]'
        return self._heads[index] + said % (*map(_encode, (chunk.text, logprobs, chunk.finish_reason)),) + self._tail
