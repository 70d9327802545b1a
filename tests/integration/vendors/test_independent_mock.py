"""The same calls to every vendor, answered by somebody else's idea of their formats: aimock (npm @copilotkit/aimock),
which its authors compare with the vendors' real servers every day.

Left out where it is not installed: `npm install --prefix .cache/peers @copilotkit/aimock@1.43.0`.
"""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fake_formats import events, root
from fake_vendor import FakeVendor
from openai import AsyncOpenAI
from vendor_house import KEY, House, Start

INSTALLED = Path(__file__).parents[3] / ".cache" / "peers" / "node_modules" / ".bin" / "llmock"
MOCK = str(INSTALLED) if INSTALLED.exists() else shutil.which("llmock")

pytestmark = pytest.mark.skipif(
    MOCK is None or shutil.which("node") is None, reason="aimock is not installed; this file says how"
)

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
"""A dot."""
WHEN = {"name": "get_time", "arguments": {"zone": "CET"}}
FIXTURES = [
    {"match": {"userMessage": "hello"}, "response": {"content": "Hello! How can I help you today, dear friend?"}},
    {"match": {"userMessage": "time", "hasToolResult": False}, "response": {"toolCalls": [WHEN]}},
    {"match": {"userMessage": "time", "hasToolResult": True}, "response": {"content": "It is noon."}},
    {
        "match": {"systemMessage": "Be brief", "userMessage": "in short"},
        "response": {"content": "Yes.", "usage": {"prompt_tokens": 21, "completion_tokens": 3, "total_tokens": 24}},
    },
    {"match": {"inputText": "sky"}, "response": {"embedding": [0.5, -0.25]}},
    {
        "match": {"userMessage": "slowly"},
        "response": {"error": {"message": "slow down", "type": "rate_limit_error"}, "status": 429},
    },
]

VENDORS = {
    "OPENAI": ("gpt-4o", "/v1"),
    "ANTHROPIC": ("claude-haiku-4-5", ""),
    "GOOGLE": ("gemini-3.5-flash", ""),
    "VERTEX_AI": ("gemini-3.5-flash", ""),
    "COHERE": ("command-a-03-2025", ""),
    "BEDROCK": ("amazon.nova-lite-v1:0", ""),
    "FIREWORKS_AI": ("accounts/fireworks/models/llama-v3p3-70b-instruct", "/v1"),
    "LLMENGINE": ("llama", "/v1"),
    "OTHER": ("llama", "/v1"),
}
"""Each vendor's model, and what its format has in its address."""


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The mock's address."""
    assert MOCK is not None
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([MOCK, "-p", str(port), "-f", str(fixtures), "--strict", "--log-level", "warn"])
    url = f"http://127.0.0.1:{port}"
    try:
        while not _listens(url):
            assert process.poll() is None, "the mock ended"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def _listens(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.HTTPError:
        return False
    return True


@pytest.fixture(params=VENDORS)
async def house(request: pytest.FixtureRequest, start: Start, mock: str, vendor: FakeVendor, tmp_path: Path) -> House:
    """A server with one model, ``model``, of one vendor, which is the mock."""
    name: str = request.param
    model, path = VENDORS[name]
    access: dict[str, Any] = {"base_url": mock + path, "api_key": "some-key"}
    if name == "VERTEX_AI":
        (tmp_path / "key.json").write_text(json.dumps(service_account(f"{root(vendor)}/token")))
        access = {"base_url": mock, "credentials_file": str(tmp_path / "key.json")}
        vendor.answer(200, {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"})
    if name == "BEDROCK":
        access = {
            "base_url": mock,
            "region": "us-east-1",
            "access_key_id": "AKIDEXAMPLE",
            "secret_access_key": "secret",
        }
    house = await start({name.lower(): access})
    own = {"base_url": mock + path} if name in ("OTHER", "LLMENGINE") else {}
    await house.model("model", name, model=model, images=True, **own)
    return house


def service_account(token_uri: str) -> dict[str, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "project_id": "my-project",
        "private_key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "client_email": "me@my-project.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }


async def test_the_same_calls_to_every_vendor(house: House) -> None:
    whole = await house.chat("model", "hello", max_tokens=50)
    assert whole.status_code == 200, whole.text
    assert whole.json()["completions"] == [["hello", ["Hello! How can I help you today, dear friend?"]]]
    assert whole.json()["finish_reason"] == "stop"

    streamed = await house.chat("model", "hello", max_tokens=50, stream=True)
    *pieces, last = events(streamed.text)
    assert len(pieces) > 1
    assert "".join(piece["completions"][0][1][0] for piece in pieces) == "Hello! How can I help you today, dear friend?"
    assert last["finish_reason"] == "stop"

    limited = await house.chat("model", "slowly", max_tokens=50)
    assert (limited.status_code, limited.json()["code"]) == (429, "vendor_rate_limited")
    assert int(limited.headers["retry-after"]) >= 1


async def test_the_same_conversation_with_every_vendor_by_openais_client(house: House) -> None:
    """System's words, an image, texts to stop at and an effort; whole and streamed, with counts."""
    asked: Any = {
        "model": "model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "Hello!"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "in short: what is this"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
        ],
        "max_tokens": 50,
        "stop": ["END"],
        "reasoning_effort": "none",
    }
    async with AsyncOpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as client:
        whole = await client.chat.completions.create(**asked)
        assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("Yes.", "stop")
        assert whole.usage is not None
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (21, 3)
        stream = await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        pieces = [piece async for piece in stream]
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "Yes."
    assert pieces[-2].choices[0].finish_reason == "stop"
    assert pieces[-1].usage is not None
    assert (pieces[-1].usage.prompt_tokens, pieces[-1].usage.completion_tokens) == (21, 3)


async def test_the_same_tools_with_every_vendor(house: House) -> None:
    tools = [
        {
            "type": "function",
            "function": {
                "name": "get_time",
                "description": "The time",
                "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
            },
        }
    ]
    talk: list[dict[str, Any]] = [{"role": "user", "content": "what time is it"}]
    model = next(each for each in (await house.http.get("/v4/models")).json()["items"] if each["name"] == "model")
    [deployment] = (await house.http.get(f"/v4/models/{model['id']}/deployments")).json()["items"]
    path = f"/v4/models/{model['id']}/deployments/{deployment['id']}/execute"
    asked = await house.http.post(path, json={"messages": talk, "tools": tools, "max_tokens": 50})
    assert asked.status_code == 200, asked.text
    assert asked.json()["finish_reason"] == "tool_calls"
    [call] = asked.json()["message"]["tool_calls"]
    assert call["function"]["name"] == "get_time"
    assert json.loads(call["function"]["arguments"]) == {"zone": "CET"}
    talk += [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "tool_call_id": call["id"]},
    ]
    told = await house.http.post(path, json={"messages": talk, "tools": tools, "max_tokens": 50})
    assert told.status_code == 200, told.text
    assert told.json()["message"]["content"] == "It is noon."


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("OPENAI", "text-embedding-3-small"),
        ("COHERE", "embed-v4.0"),
        ("FIREWORKS_AI", "nomic-ai/nomic-embed-text-v1.5"),
        ("LLMENGINE", "bge-m3"),
        ("OTHER", "bge-m3"),
    ],
)
async def test_the_same_embeddings_of_every_vendor_that_the_mock_has_some_of(
    start: Start, mock: str, name: str, model: str
) -> None:
    house = await start({name.lower(): {"base_url": mock + VENDORS[name][1], "api_key": "some-key"}})
    await house.model("model", name, "EMBEDDING", model=model)
    answer = await house.http.post("/v4/models/model/embeddings", json={"texts": ["blue sky", "sea"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["embeddings"] == [["blue sky", [0.5, -0.25]], ["sea", [0.5, -0.25]]]


RERANKING = """
import { LLMock } from %s;
const mock = new LLMock({ port: 0 });
mock.onRerank("sky", [{ index: 1, relevance_score: 0.25 }, { index: 0, relevance_score: 0.75 }]);
await mock.start();
console.log(mock.url);
"""


@pytest.fixture
def reranking_mock() -> Iterator[str]:
    """The mock once more, told by its own library what its command cannot be: how chunks are ranked."""
    library = INSTALLED.parents[1] / "@copilotkit" / "aimock" / "dist" / "index.js"
    if not library.exists():
        pytest.skip("aimock is not installed where its library is found; this file says how")
    script = RERANKING % json.dumps(library.as_uri())
    process = subprocess.Popen(["node", "--input-type=module", "-e", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


async def test_rerankings_of_the_vendor_that_the_mock_has_some_of(start: Start, reranking_mock: str) -> None:
    house = await start({"cohere": {"base_url": reranking_mock, "api_key": "some-key"}})
    await house.model("model", "COHERE", "RERANKING", model="rerank-v3.5")
    answer = await house.http.post("/v4/models/model/rerankings", json={"query": "sky", "chunks": ["blue", "sea"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["chunk_scores"] == [0.75, 0.25]
