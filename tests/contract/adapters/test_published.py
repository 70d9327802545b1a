"""Vendors' adapters read what the vendors' documents say they answer, whole or streamed, however the bytes are cut.

``published/<vendor>/<call>[_variant].<json|sse>`` are written after those documents, which the adapters' docstrings
name; nothing in there was recorded. The ``.sse`` is the streamed answer to the same request as the ``.json``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelyard.domain.inference import ChatRequest, ChatResult, Chunk, CompletionRequest, CompletionResult, Message
from modelyard.errors import UpstreamError
from modelyard.gateway.adapters.anthropic import AnthropicAdapter
from modelyard.gateway.adapters.bedrock import BedrockAdapter
from modelyard.gateway.adapters.cohere import CohereAdapter
from modelyard.gateway.adapters.gemini import GeminiAdapter, VertexAdapter
from modelyard.gateway.folding import fold_chat, fold_completion

PUBLISHED = Path(__file__).parent / "published"
ADAPTERS: dict[str, Any] = {
    "anthropic": AnthropicAdapter(),
    "cohere": CohereAdapter("Cohere"),
    "gemini": GeminiAdapter(),
    "vertex": VertexAdapter(),
    "bedrock": BedrockAdapter(),
}

CHAT = ChatRequest(messages=[Message("user", "Say hi")], top_logprobs=2)
COMPLETION = CompletionRequest(prompts=["The sky is"], top_logprobs=2)


@dataclass(frozen=True)
class Published:
    path: Path

    @property
    def adapter(self) -> Any:
        return ADAPTERS[self.path.parent.name]

    @property
    def body(self) -> bytes:
        return self.path.read_bytes()

    @property
    def request(self) -> ChatRequest | CompletionRequest:
        return CHAT if self.path.name.startswith("chat") else COMPLETION

    def decode(self, body: bytes) -> ChatResult | CompletionResult:
        result: ChatResult | CompletionResult = (
            self.adapter.decode_chat(CHAT, body)
            if self.request is CHAT
            else self.adapter.decode_completion(COMPLETION, body)
        )
        return result

    def fold(self) -> ChatResult | CompletionResult:
        decoder = self.adapter.stream_decoder(self.request)
        if self.request is CHAT:
            return fold_chat(decoder, self.body)
        return fold_completion(decoder, self.body, COMPLETION.prompts[0])

    def chunks(self, *pieces: bytes) -> list[Chunk]:
        decoder = self.adapter.stream_decoder(self.request)
        fed = [chunk for piece in pieces for chunk in decoder.feed(piece)]
        return [*fed, *decoder.flush()]


def published(pattern: str) -> pytest.MarkDecorator:
    found = [Published(path) for path in sorted(PUBLISHED.glob(f"*/{pattern}"))]
    assert found, pattern
    return pytest.mark.parametrize("answer", found, ids=lambda item: f"{item.path.parent.name}/{item.path.name}")


@published("*.sse")
def test_a_stream_folds_to_the_whole_answer(answer: Published) -> None:
    whole = answer.decode(answer.path.with_suffix(".json").read_bytes())
    assert answer.fold() == whole
    assert whole.finish_reason in ("stop", "length", "tool_calls", "content_filter")
    assert whole.prompt_tokens


@published("*.sse")
def test_a_stream_split_at_every_byte_gives_the_same_chunks(answer: Published) -> None:
    body = answer.body
    chunks = answer.chunks(body)
    assert answer.chunks(*[body[index : index + 1] for index in range(len(body))]) == chunks
    for index in range(1, len(body)):
        assert answer.chunks(body[:index], body[index:]) == chunks


@published("*.sse")
def test_only_the_last_chunk_carries_reason_and_counts(answer: Published) -> None:
    *pieces, last = answer.chunks(answer.body)
    assert all(chunk.finish_reason is None and chunk.response_tokens is None for chunk in pieces)
    assert last.finish_reason is not None
    assert last.prompt_tokens is not None


@published("*.sse")
def test_half_a_stream_is_an_error_and_never_a_short_answer(answer: Published) -> None:
    body = answer.body
    events = body.split(b"\n\n")
    for half in (body[: len(body) // 3], b"\n\n".join(events[: len(events) // 2]) + b"\n\n"):
        if len(events) > 2:
            with pytest.raises(UpstreamError):
                answer.chunks(half)


@published("*.sse")
def test_garbage_in_a_stream_is_an_upstream_error(answer: Published) -> None:
    for garbage in (b"data: {]\n\n", b"data: 7\n\n", b"data: \xff\n\n", b"data: " + b"[" * 100_000 + b"\n\n"):
        with pytest.raises(UpstreamError):
            answer.chunks(garbage + answer.body)


@published("c*.json")
def test_garbage_instead_of_an_answer_is_an_upstream_error(answer: Published) -> None:
    for body in (b"", b"<html>", b"[]", b'{"x":1}', b"\xff", answer.body[: len(answer.body) // 2], b"[" * 100_000):
        with pytest.raises(UpstreamError):
            answer.decode(body)
