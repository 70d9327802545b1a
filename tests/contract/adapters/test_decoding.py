"""Every adapter reads what real servers answered, whole or streamed, however the bytes are cut.

``recordings/<server>/<call>[_variant].<json|sse>``: the ``.sse`` is the streamed answer to the same request.
llama_cpp and vllm were recorded from real servers; openai and sgp are written after their documents.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.domain.inference import (
    ChatRequest,
    ChatResult,
    Chunk,
    CompletionRequest,
    CompletionResult,
    EmbeddingRequest,
    Message,
    RerankingRequest,
)
from modelyard.errors import InvalidRequest, UpstreamError
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.folding import fold_chat, fold_completion

RECORDINGS = Path(__file__).parent / "recordings"
ADAPTERS = {"llama_cpp": OpenAIAdapter(), "vllm": OpenAIAdapter(), "openai": OpenAIAdapter(), "sgp": SgpAdapter()}

CHAT = ChatRequest(messages=[Message("user", "Say hi")], top_logprobs=2)
COMPLETION = CompletionRequest(prompts=["The sky is"], top_logprobs=2)


@dataclass(frozen=True)
class Recording:
    path: Path

    @property
    def adapter(self) -> OpenAIAdapter | SgpAdapter:
        return ADAPTERS[self.path.parent.name]

    @property
    def body(self) -> bytes:
        return self.path.read_bytes()

    @property
    def is_chat(self) -> bool:
        return self.path.name.startswith("chat")

    def whole(self) -> ChatResult | CompletionResult:
        """The same answer, not streamed."""
        plain = self.path.stem.removesuffix("_as_results")
        body = (self.path.parent / f"{plain}.json").read_bytes()
        return (
            self.adapter.decode_chat(CHAT, body) if self.is_chat else self.adapter.decode_completion(COMPLETION, body)
        )

    def chunks(self, *pieces: bytes) -> list[Chunk]:
        decoder = self.adapter.stream_decoder(CHAT if self.is_chat else COMPLETION)
        fed = [chunk for piece in pieces for chunk in decoder.feed(piece)]
        return [*fed, *decoder.flush()]


def recordings(pattern: str) -> pytest.MarkDecorator:
    found = [Recording(path) for path in sorted(RECORDINGS.glob(f"*/{pattern}"))]
    assert found, pattern
    return pytest.mark.parametrize("recording", found, ids=lambda item: f"{item.path.parent.name}/{item.path.name}")


@recordings("*.sse")
def test_a_stream_folds_to_the_whole_answer(recording: Recording) -> None:
    decoder = recording.adapter.stream_decoder(CHAT if recording.is_chat else COMPLETION)
    if recording.is_chat:
        folded: ChatResult | CompletionResult = fold_chat(decoder, recording.body)
    else:
        folded = fold_completion(decoder, recording.body, "The sky is")
    whole = recording.whole()
    assert _uncached(folded) == _uncached(whole)
    assert whole.finish_reason in ("stop", "length")
    assert whole.prompt_tokens
    assert whole.response_tokens


def _uncached(result: ChatResult | CompletionResult) -> ChatResult | CompletionResult:
    """Recordings were two calls: the second one found more in the server's cache."""
    return msgspec.structs.replace(result, cached_tokens=UNSET) if isinstance(result, ChatResult) else result


@recordings("*.sse")
def test_a_stream_split_at_every_byte_gives_the_same_chunks(recording: Recording) -> None:
    body = recording.body
    chunks = recording.chunks(body)
    assert recording.chunks(*[body[index : index + 1] for index in range(len(body))]) == chunks
    for index in range(1, len(body)):
        assert recording.chunks(body[:index], body[index:]) == chunks


@recordings("*.sse")
def test_only_the_last_chunk_carries_reason_and_counts(recording: Recording) -> None:
    *pieces, last = recording.chunks(recording.body)
    assert pieces
    assert all(chunk.finish_reason is None and chunk.response_tokens is None for chunk in pieces)
    assert last.finish_reason is not None
    assert last.prompt_tokens is not None
    assert last.response_tokens is not None


@recordings("*.sse")
def test_half_a_stream_is_an_error_and_never_a_short_answer(recording: Recording) -> None:
    body = recording.body
    for half in (body[: len(body) // 3], body[: body.index(b"data:", len(body) // 4)]):
        with pytest.raises(UpstreamError):
            recording.chunks(half)


@recordings("*.sse")
def test_garbage_in_a_stream_is_an_upstream_error(recording: Recording) -> None:
    with pytest.raises(UpstreamError):
        recording.chunks(b"data: {]\n\n" + recording.body)


@recordings("c*.json")
def test_garbage_instead_of_an_answer_is_an_upstream_error(recording: Recording) -> None:
    decode = recording.adapter.decode_chat if recording.is_chat else recording.adapter.decode_completion
    request = CHAT if recording.is_chat else COMPLETION
    for body in (b"", b"<html>", b"[]", b'{"x":1}', b"\xff", recording.body[:-1], b"[" * 100_000):
        with pytest.raises(UpstreamError):
            decode(request, body)  # type: ignore[arg-type]


@recordings("*_logprobs.json")
def test_log_probabilities_have_as_many_alternatives_as_asked(recording: Recording) -> None:
    whole = recording.whole()
    assert whole.logprobs
    assert whole.response_tokens is not None
    assert len(whole.logprobs) <= whole.response_tokens
    assert all(1 <= len(token.top_logprobs) <= 2 and token.logprob <= 0 for token in whole.logprobs)


def test_alternatives_nobody_asked_for_are_left_out() -> None:
    body = (RECORDINGS / "llama_cpp" / "chat_logprobs.json").read_bytes()
    result = OpenAIAdapter().decode_chat(ChatRequest(messages=CHAT.messages, logprobs=True), body)
    assert result.logprobs
    assert all(token.top_logprobs == [] for token in result.logprobs)


@pytest.mark.parametrize("server", ["openai", "sgp"])
def test_embeddings_come_back_with_their_texts_in_the_order_asked(server: str) -> None:
    body = (RECORDINGS / server / "embeddings.json").read_bytes()
    result = ADAPTERS[server].decode_embedding(EmbeddingRequest(["a", "b"]), body)
    assert json.loads(bytes(result.embeddings)) == [["a", [0.1, -0.0025]], ["b", [1, 0]]]
    assert b"-2.5e-3" in bytes(result.embeddings), "numbers pass through as they were written"
    assert result.tokens_used == 6
    with pytest.raises(UpstreamError):
        ADAPTERS[server].decode_embedding(EmbeddingRequest(["a", "b", "c"]), body)


@pytest.mark.parametrize("server", ["openai", "sgp"])
def test_scores_come_back_in_the_order_asked(server: str) -> None:
    body = (RECORDINGS / server / "rerankings.json").read_bytes()
    result = ADAPTERS[server].decode_reranking(RerankingRequest("q", ["a", "b"]), body)
    assert result.chunk_scores == [0.25, -1.5]
    assert result.tokens_used == 11
    with pytest.raises(UpstreamError):
        ADAPTERS[server].decode_reranking(RerankingRequest("q", ["a"]), body)


@recordings("error_*.json")
def test_refusals_are_told_in_the_servers_words(recording: Recording) -> None:
    status = 404 if "no_route" in recording.path.name else 400
    error = recording.adapter.decode_error(status, recording.body)
    words = json.loads(recording.body)
    message = words.get("error", words).get("message") or words["detail"]
    assert message in str(error)
    if "no_route" in recording.path.name:
        assert isinstance(error, UpstreamError)
    else:
        assert isinstance(error, InvalidRequest)
        assert (error.code == CONTEXT_LENGTH_EXCEEDED) == ("too_long" in recording.path.name)


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error": {"code": 500, "message": "out of memory", "type": "server_error"}}\n\n',
        b'error: {"code": 500, "message": "out of memory"}\n\n',
        b'event: error\ndata: {"detail": "out of memory"}\n\n',
    ],
)
@pytest.mark.parametrize("server", ["llama_cpp", "sgp"])
def test_an_error_within_a_stream_is_raised(server: str, event: bytes) -> None:
    decoder = ADAPTERS[server].stream_decoder(CHAT)
    with pytest.raises(UpstreamError, match="out of memory"):
        decoder.feed(event)


def test_thoughts_are_kept_apart_from_the_answer() -> None:
    body = b'{"choices":[{"index":0,"message":{"content":"4","reasoning_content":"2+2"},"finish_reason":"stop"}]}'
    result = OpenAIAdapter().decode_chat(CHAT, body)
    assert (result.message.content, result.reasoning) == ("4", "2+2")
    decoder = OpenAIAdapter().stream_decoder(CHAT)
    chunks = decoder.feed(
        b'data: {"choices":[{"index":0,"delta":{"reasoning":"2+2"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"4"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    assert [(chunk.reasoning, chunk.text) for chunk in chunks] == [("2+2", ""), ("", "4"), ("", "")]


def test_a_stream_of_several_prompts_may_begin_with_null() -> None:
    decoder = OpenAIAdapter().stream_decoder(COMPLETION)
    assert decoder.feed(b"data: null\n\n") == []
