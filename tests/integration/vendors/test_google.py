"""Google's models through a whole server: Gemini by key, Vertex AI by a service account's token."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fake_formats import answers, breaks_off, events, root
from fake_vendor import FakeVendor
from starlette.responses import JSONResponse
from vendor_house import House, Start

MODEL = "gemini-2.5-flash"


@pytest.fixture
async def house(start: Start, vendor: FakeVendor) -> House:
    return await start({"google": {"api_key": "AIza-1", "base_url": root(vendor)}})


async def test_a_chat(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "gemini/chat_thinking.json")
    history = [{"role": "system", "content": "Be brief."}]
    answer = await house.chat(MODEL, "Hi", chat_history=history, temperature=1.5, reasoning_effort="low")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["completions"] == [["Hi", ["There are 3."]]]
    assert (told["finish_reason"], told["prompt_tokens"], told["response_tokens"]) == ("stop", 2048, 101)
    [asked] = vendor.asked
    assert asked.path == f"/v1beta/models/{MODEL}:generateContent"
    assert asked.headers["x-goog-api-key"] == "AIza-1"
    assert "authorization" not in asked.headers
    assert asked.body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert asked.body["generationConfig"] == {
        "temperature": 1.5,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024},
    }
    assert "x-parameters-adjusted" not in answer.headers


async def test_a_stream(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "gemini/chat.sse")
    answer = await house.chat(MODEL, "Hi", stream=True)
    *pieces, last = events(answer.text)
    assert "".join(piece["completions"][0][1][0] for piece in pieces) == "Hello! 你好."
    assert (last["finish_reason"], last["prompt_tokens"], last["response_tokens"]) == ("stop", 8, 6)
    assert vendor.asked[0].path == f"/v1beta/models/{MODEL}:streamGenerateContent"


async def test_log_probabilities(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "gemini/chat_logprobs.json")
    answer = await house.chat(MODEL, "Hi", logprobs=True, top_logprobs=1)
    assert answer.status_code == 200, answer.text
    assert [token["token"] for token in answer.json()["choices"][0]["logprobs"]["content"]] == ["Hi", "!"]


async def test_embeddings_in_batches(house: House, vendor: FakeVendor) -> None:
    texts = [f"text {number}" for number in range(101)]
    for _ in range(2):  # whichever batch comes first gets what it asks for
        vendor.line.append(lambda: _embed(vendor))
    answer = await house.http.post("/v4/models/gemini-embedding-001/embeddings", json={"texts": texts})
    assert answer.status_code == 200, answer.text
    assert [pair[0] for pair in answer.json()["embeddings"]] == texts
    assert [pair[1][0] for pair in answer.json()["embeddings"]] == [float(number) for number in range(101)]
    assert answer.json()["tokens_used"] == 101
    assert sorted(len(asked.body["requests"]) for asked in vendor.asked) == [1, 100]


async def _embed(vendor: FakeVendor) -> JSONResponse:
    """The answer that fits the newest request."""
    asked = vendor.asked[-1].body["requests"]
    numbers = [int(each["content"]["parts"][0]["text"].split()[1]) for each in asked]
    return JSONResponse(
        {
            "embeddings": [{"values": [number, 0.5]} for number in numbers],
            "usageMetadata": {"promptTokenCount": len(numbers)},
        }
    )


async def test_shorter_vectors_for_an_application_of_openais(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "gemini/embeddings.json")
    body = {"model": "gemini-embedding-001", "input": ["a", "b"], "dimensions": 2}
    answer = await house.http.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    assert [each["embedding"] for each in answer.json()["data"]] == [[0.1, -0.0025], [1, 0]]
    assert {each["outputDimensionality"] for each in vendor.asked[0].body["requests"]} == {2}


async def test_a_blocked_prompt(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "gemini/blocked.json")
    answer = await house.chat(MODEL, "Hi")
    assert (answer.status_code, answer.json()["code"]) == (422, "content_filtered")


def _fault(code: int, status: str, **detail: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "so it is", "status": status, "details": [detail] if detail else []}}


async def test_a_wrong_key_is_not_the_callers(house: House, vendor: FakeVendor) -> None:
    vendor.answer(400, _fault(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"))
    answer = await house.chat(MODEL, "Hi")
    assert (answer.status_code, answer.json()["code"]) == (502, "vendor_credentials_invalid")


async def test_a_limit_tells_in_its_body_when_to_come_back(house: House, vendor: FakeVendor) -> None:
    for _ in range(3):
        vendor.answer(429, _fault(429, "RESOURCE_EXHAUSTED", retryDelay="34.07s"))
    answer = await house.chat(MODEL, "Hi")
    assert (answer.status_code, answer.json()["code"]) == (429, "vendor_rate_limited")
    assert answer.headers["retry-after"] == "35"


async def test_an_error_half_way_is_an_event(house: House, vendor: FakeVendor) -> None:
    breaks_off(vendor, "gemini/chat.sse", f"data: {json.dumps(_fault(503, 'UNAVAILABLE'))}")
    answer = await house.chat(MODEL, "Hi", stream=True)
    assert "event: error" in answer.text
    assert "vendor_busy" in answer.text


async def test_vertex_by_a_service_accounts_token(start: Start, vendor: FakeVendor, tmp_path: Path) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "1",
        "private_key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "client_email": "me@my-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{root(vendor)}/token",
    }
    (tmp_path / "key.json").write_text(json.dumps(account))
    settings = {"base_url": root(vendor), "credentials_file": str(tmp_path / "key.json"), "location": "europe-west1"}
    house = await start({"vertex_ai": settings})
    vendor.answer(200, {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"})
    answers(vendor, "vertex/chat.json")
    await house.model("flash", "VERTEX_AI", model="gemini-3.5-flash")
    answer = await house.chat("flash", "Hi")
    assert answer.status_code == 200, answer.text
    token, chat = vendor.asked
    assert token.path == "/token"
    assert chat.path == (
        "/v1/projects/my-project/locations/europe-west1/publishers/google/models/gemini-3.5-flash:generateContent"
    )
    assert chat.headers["authorization"] == "Bearer ya29.token"
    await house.model("embedder", "VERTEX_AI", "EMBEDDING", model="text-embedding-005")
    answers(vendor, "vertex/embeddings.json")
    answer = await house.http.post("/v4/models/embedder/embeddings", json={"texts": ["a", "b"]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"embeddings": [["a", [0.1, -0.0025]], ["b", [1, 0]]], "tokens_used": 6}
    assert len(vendor.asked) == 3, "one token serves both"
