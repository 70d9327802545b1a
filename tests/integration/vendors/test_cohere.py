"""Cohere's models through a whole server. The vendor is ``modelyard.testing.cohere_worker``, which Cohere's own client
reads (tests/integration/gateway/test_cohere_worker.py)."""

import threading
from collections.abc import Iterator

import pytest
from vendor_house import House, Start

from modelyard.testing.cohere_worker import Server, Worker

TEXTS = [f"text {'a' * number}" for number in range(200)]


@pytest.fixture
def cohere() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Worker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
async def house(start: Start, cohere: str) -> House:
    return await start({"cohere": {"api_key": "co-1", "base_url": cohere}})


async def test_a_chat(house: House) -> None:
    answer = await house.chat("command-a-03-2025", "one two three", max_tokens=2, top_p=1.0)
    assert answer.status_code == 200, answer.text
    assert answer.json()["completions"] == [["one two three", ["one two"]]]
    assert "top_p" in answer.headers["x-parameters-adjusted"]
    streamed = await house.chat("command-a-03-2025", "one two three", stream=True)
    assert '" three"' in streamed.text


async def test_embeddings_in_batches_for_what_the_call_says(house: House) -> None:
    path = "/v4/models/embed-english-v3.0/embeddings"
    answer = await house.http.post(path, json={"texts": TEXTS})
    assert [text for text, _ in answer.json()["embeddings"]] == TEXTS
    assert "input_type" in answer.headers["x-parameters-adjusted"]
    told = {"bindings": {"input_type": "search_query"}}
    answer = await house.http.post(path, json={"texts": ["a"], "model_request_parameters": told})
    assert answer.status_code == 200, answer.text
    assert "x-parameters-adjusted" not in answer.headers
    wrong = {"bindings": {"input": "search_query"}}
    answer = await house.http.post(path, json={"texts": ["a"], "model_request_parameters": wrong})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")


async def test_openais_dimensions_are_said_in_coheres_words(house: House) -> None:
    body = {"model": "embed-v4.0", "input": "a", "dimensions": 3}
    answer = await house.http.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["embedding"] == [1.0, 1.0, 0.0]


async def test_rerankings(house: House) -> None:
    body = {"query": "blue sky", "chunks": ["green grass", "the sky is blue"]}
    answer = await house.http.post("/v4/models/rerank-v3.5/rerankings", json=body)
    assert answer.json()["chunk_scores"] == [0.0, 1.0]
    shorter = {"model": "rerank-v3.5", "query": "blue sky", "documents": body["chunks"], "max_tokens_per_doc": 100}
    answer = await house.http.post("/v1/rerank", json=shorter)
    assert answer.status_code == 200, answer.text
    assert [each["index"] for each in answer.json()["results"]] == [1, 0]
    answer = await house.http.post("/v1/rerank", json={**shorter, "max_tokens_per_doc": "many"})
    assert answer.status_code == 400, answer.text
