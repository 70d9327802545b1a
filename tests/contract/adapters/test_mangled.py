"""Whatever a vendor sends, an adapter raises an error of ours or reads it; it never fails in another way."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from modelyard.domain.inference import ChatRequest, EmbeddingRequest, Message, RerankingRequest
from modelyard.errors import ModelyardError
from modelyard.gateway.adapters.anthropic import AnthropicAdapter
from modelyard.gateway.adapters.bedrock import BedrockAdapter
from modelyard.gateway.adapters.cohere import CohereAdapter
from modelyard.gateway.adapters.gemini import GeminiAdapter, VertexAdapter

PUBLISHED = Path(__file__).parent / "published"
ADAPTERS: dict[str, Any] = {
    "anthropic": AnthropicAdapter(),
    "bedrock": BedrockAdapter(),
    "cohere": CohereAdapter("Cohere"),
    "gemini": GeminiAdapter(),
    "vertex": VertexAdapter(),
}
CHAT = ChatRequest(messages=[Message("user", "Hi")], top_logprobs=2)
TEXTS = EmbeddingRequest(["a", "b"])
CHUNKS = RerankingRequest("q", ["a", "b"])
ODD: list[Any] = [None, True, -1, 1.5, 10**30, "", "é\u0000", [], {}, [None], {"x": None}, [[[]]], {"type": "error"}]
ROUNDS = 300

STREAMS = (".sse", ".events")
BODIES = [path for path in sorted(PUBLISHED.glob("*/*")) if path.parent.name in ADAPTERS]


def mangled(value: Any, chance: random.Random) -> Any:
    """``value`` with one thing in it replaced or taken away."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.2:
        return chance.choice(ODD)
    copy = value.copy()
    key = chance.choice(list(copy)) if isinstance(copy, dict) else chance.randrange(len(copy))
    if chance.random() < 0.2:
        del copy[key]
    else:
        copy[key] = mangled(copy[key], chance)
    return copy


def variant(body: bytes, suffix: str, chance: random.Random) -> bytes:
    """``body`` with one value or one byte changed."""
    if suffix == ".events" or chance.random() < 0.3:
        at = chance.randrange(len(body))
        return body[:at] + chance.choice([b"", b"\x00", b"\xff", b"{", b'"', b"\n\n"]) + body[at + 1 :]
    if suffix == ".json":
        return json.dumps(mangled(json.loads(body), chance)).encode()
    lines = body.splitlines(keepends=True)
    numbers = [number for number, line in enumerate(lines) if line.startswith(b"data: {")]
    at = chance.choice(numbers)
    lines[at] = b"data: " + json.dumps(mangled(json.loads(lines[at][6:]), chance)).encode() + b"\n"
    return b"".join(lines)


@pytest.mark.parametrize("path", BODIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_only_errors_of_ours(path: Path) -> None:
    adapter = ADAPTERS[path.parent.name]
    chance = random.Random(path.name)
    read = 0
    for _ in range(ROUNDS):
        body = variant(path.read_bytes(), path.suffix, chance)
        try:
            if path.suffix in STREAMS:
                decoder = adapter.stream_decoder(CHAT)
                decoder.feed(body)
                decoder.flush()
            elif path.name.startswith("embedding"):
                adapter.decode_embedding(TEXTS, body)
            elif path.name.startswith("reranking"):
                adapter.decode_reranking(CHUNKS, body)
            else:
                adapter.decode_chat(CHAT, body)
            read += 1
        except ModelyardError:
            pass
        for status in (400, 429, 500):
            assert isinstance(adapter.decode_error(status, body), ModelyardError)
    assert read < ROUNDS, "mangling has no effect"
