"""The SGP protocol, spoken to the fake engine and to tiny models over Starlette's own client."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from modelyard.domain.templates import ModelType
from modelyard.engines.bi_encoder import BiEncoder
from modelyard.engines.fake import Fake
from modelyard.engines.onnx_embedding import OnnxEmbedding
from modelyard.engines.parameters import BiEncoderParameters, EmbeddingParameters, FakeParameters
from modelyard.testing.tiny_models import tiny_embedding
from modelyard.worker import app as worker_app
from modelyard.worker import config
from modelyard.worker.app import make_app


class Here:
    def resolve(self, uri: str) -> Path:
        return Path(uri.removeprefix("file:"))


@pytest.fixture
def engine_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def client(model_type: ModelType, engine: Any, thread: ThreadPoolExecutor) -> TestClient:
    environ = {"PORT": "1", "MODELYARD_ENGINE": "x", "MODELYARD_MODEL_TYPE": model_type}
    return TestClient(make_app(config.read(environ), engine, thread), raise_server_exceptions=False)


def fake(model_type: ModelType, thread: ThreadPoolExecutor, **parameters: object) -> TestClient:
    return client(model_type, Fake(FakeParameters(**parameters), Here()), thread)  # type: ignore[arg-type]


def events(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_health(engine_thread: ThreadPoolExecutor) -> None:
    assert fake(ModelType.EMBEDDING, engine_thread).get("/readyz").json() == {"status": "ok"}


def test_embeddings_are_the_engines_numbers_exactly(engine_thread: ThreadPoolExecutor, tmp_path: Path) -> None:
    engine = OnnxEmbedding(EmbeddingParameters(weights=str(tiny_embedding(tmp_path))), Here())  # type: ignore[arg-type]
    engine.load()
    texts = ["red cat", "green", 'a "quoted"\nsnow ☃']
    answer = client(ModelType.EMBEDDING, engine, engine_thread).post("/predict", json={"texts": texts}).json()
    assert [text for text, _ in answer["embeddings"]] == texts
    assert answer["tokens_used"] == 4 + 3 + 6
    vectors = np.array([vector for _, vector in answer["embeddings"]]).astype(np.float32)
    np.testing.assert_array_equal(vectors, engine.embed(engine.tokenize(texts)))


def test_numbers_are_written_without_noise(engine_thread: ThreadPoolExecutor) -> None:
    answer = fake(ModelType.EMBEDDING, engine_thread).post("/predict", json={"texts": ["a"]}).text
    numbers = answer[answer.rindex("[") + 1 : answer.index("]")].split(",")
    assert len(numbers) == 8
    assert all(len(number.lstrip("-0.").replace(".", "")) <= 9 for number in numbers)


def test_rerankings_keep_the_order_of_the_chunks(engine_thread: ThreadPoolExecutor) -> None:
    body = {"query": "a b", "chunks": ["x", "b a", "b"]}
    answer = fake(ModelType.RERANKING, engine_thread).post("/predict", json=body).json()
    assert answer == {"chunk_scores": [0.0, 1.0, 0.5], "tokens_used": 3 + 4 + 3}


def test_a_bi_encoder_embeds_the_query_once(engine_thread: ThreadPoolExecutor, tmp_path: Path) -> None:
    engine = BiEncoder(BiEncoderParameters(weights=str(tiny_embedding(tmp_path))), Here())  # type: ignore[arg-type]
    engine.load()
    body = {"query": "red cat", "chunks": ["green", "red cat", "dog"]}
    answer = client(ModelType.RERANKING, engine, engine_thread).post("/predict", json=body).json()
    assert answer["chunk_scores"][1] == pytest.approx(1, abs=1e-6)
    assert max(answer["chunk_scores"]) == answer["chunk_scores"][1]
    assert answer["tokens_used"] == 4 + 3 + 4 + 3


def test_a_chat_in_one_answer_and_in_pieces(engine_thread: ThreadPoolExecutor) -> None:
    http = fake(ModelType.CHAT_COMPLETION, engine_thread, fake_tokens=3)
    body = {"messages": [{"role": "user", "content": "good day"}], "logprobs": True}
    whole = http.post("/predict", json=body).json()
    assert whole["message"] == {"role": "assistant", "content": "good day good"}
    assert (whole["finish_reason"], whole["prompt_tokens"], whole["response_tokens"]) == ("stop", 2, 3)
    assert [entry["token"] for entry in whole["logprobs"]] == ["good", " day", " good"]
    response = http.post("/generate_streaming", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *pieces, last = events(response.text)
    assert "".join(piece["text"] for piece in pieces) == "good day good"
    assert last == {"finish_reason": "stop", "prompt_tokens": 2, "response_tokens": 3}


def test_completions_answer_each_prompt_and_add_up(engine_thread: ThreadPoolExecutor) -> None:
    http = fake(ModelType.COMPLETION, engine_thread)
    answer = http.post("/predict", json={"prompts": ["a", "b c"], "max_tokens": 2}).json()
    assert answer["completions"] == [["a", ["a a"]], ["b c", ["b c"]]]
    assert (answer["finish_reason"], answer["prompt_tokens"], answer["response_tokens"]) == ("length", 3, 4)
    refused = http.post("/generate_streaming", json={"prompts": ["a", "b"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("model_type", [ModelType.GENERIC, ModelType.AGENT, ModelType.BUNDLE])
@pytest.mark.parametrize("body", [{"a": [1, None, "x"]}, [], "text", 7, None, {"deep": {"er": {}}}])
def test_any_json_goes_through(engine_thread: ThreadPoolExecutor, model_type: ModelType, body: object) -> None:
    content = json.dumps(body)
    assert fake(model_type, engine_thread).post("/predict", content=content).json() == {"echo": body}


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed_request"),
        (b'{"texts": [', 400, "malformed_request"),
        (b'{"texts": ["\xff"]}', 400, "malformed_request"),
        (b'{"texts": ["\\ud800"]}', 400, "malformed_request"),
        (b'{"texts": ' + b"[" * 100_000, 422, "invalid_request"),
        (b'{"texts": []}', 422, "invalid_request"),
        (b'{"texts": "a"}', 422, "invalid_request"),
        (b'{"texts": ["a"], "more": 1}', 422, "invalid_request"),
        (b'{"texts": [1]}', 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
    ],
)
def test_bad_bodies(engine_thread: ThreadPoolExecutor, content: bytes, status: int, code: str) -> None:
    response = fake(ModelType.EMBEDDING, engine_thread).post("/predict", content=content)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert isinstance(response.json()["detail"], str)


def test_a_nul_is_text_like_any_other(engine_thread: ThreadPoolExecutor) -> None:
    response = fake(ModelType.EMBEDDING, engine_thread).post("/predict", json={"texts": ["a\0b"]})
    assert response.json()["embeddings"][0][0] == "a\0b"


def test_a_body_beyond_the_bound_is_413(engine_thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_app, "MAX_BODY_BYTES", 100)
    response = fake(ModelType.EMBEDDING, engine_thread).post("/predict", json={"texts": ["a" * 200]})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("model_type", "body"),
    [
        (ModelType.EMBEDDING, {"texts": ["a"]}),
        (ModelType.RERANKING, {"query": "a", "chunks": ["b"]}),
        (ModelType.CHAT_COMPLETION, {"messages": [{"role": "user", "content": "a"}]}),
        (ModelType.GENERIC, {}),
    ],
)
def test_an_engine_that_fails_says_so(engine_thread: ThreadPoolExecutor, model_type: ModelType, body: object) -> None:
    response = fake(model_type, engine_thread, fake_fail="request").post("/predict", json=body)
    assert response.status_code == 500
    assert response.json()["code"] == "engine_error"
    assert "told to fail each request" in response.json()["detail"]


def test_a_stream_that_fails_at_once_keeps_its_status(engine_thread: ThreadPoolExecutor) -> None:
    http = fake(ModelType.CHAT_COMPLETION, engine_thread, fake_fail="request")
    response = http.post("/generate_streaming", json={"messages": [{"role": "user", "content": "a"}]})
    assert (response.status_code, response.json()["code"]) == (500, "engine_error")


def test_embedding_models_have_no_stream(engine_thread: ThreadPoolExecutor) -> None:
    assert fake(ModelType.EMBEDDING, engine_thread).post("/generate_streaming", json={}).status_code == 404


def test_nesting_without_end_is_refused(engine_thread: ThreadPoolExecutor) -> None:
    response = fake(ModelType.GENERIC, engine_thread).post("/predict", content=b"[" * 100_000 + b"]" * 100_000)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"tools": [{"type": "function", "function": {"name": "look"}}]}, ["body", "tools"]),
        ({"response_format": {"type": "json_object"}}, ["body", "response_format"]),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b", "tool_call_id": "c"}]},
            ["body", "messages", 1],
        ),
    ],
)
def test_an_engine_without_tools_refuses_them_and_says_where(
    engine_thread: ThreadPoolExecutor, change: dict[str, Any], place: list[str | int]
) -> None:
    http = fake(ModelType.CHAT_COMPLETION, engine_thread)
    body = {"messages": [{"role": "user", "content": "a"}], **change}
    for path in ("/predict", "/generate_streaming"):
        response = http.post(path, json=body)
        assert (response.status_code, response.json()["code"]) == (422, "unsupported_parameter")
        assert [error["loc"] for error in response.json()["errors"]] == [place]
        assert "fake engine" in response.json()["detail"]
