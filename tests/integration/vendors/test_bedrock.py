"""Bedrock's models through a whole server: what arrives there is signed as AWS checks it, and what comes back is read.

The fake answers with what stands in ``tests/contract/adapters/published/bedrock``. It checks a signature as AWS does,
over the request as it arrived; ``tests/unit/gateway/test_sigv4.py`` shows that botocore's own client signs the same.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from amazon_frames import exception, frames
from fake_vendor import FakeVendor, serving
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from vendor_house import House, Start

from modelyard.gateway.adapters.wire import WireRequest
from modelyard.gateway.vendors.sigv4 import AwsCredentials, signed

PUBLISHED = Path(__file__).parents[2] / "contract" / "adapters" / "published" / "bedrock"
KEY = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token")
SETTINGS = {
    "region": "eu-west-1",
    "access_key_id": KEY.access_key_id,
    "secret_access_key": KEY.secret_access_key,
    "session_token": KEY.session_token,
}
BEARER = {"region": "eu-west-1", "bearer_token": "bedrock-api-key-1"}
REFUSED = {"message": "The security token included in the request is invalid."}


class FakeBedrock(FakeVendor):
    """Answers whoever proves who they are: a stream, a chat, or embeddings, as the path says."""

    broken = False

    async def serve(self, request: Request) -> Response:
        if not await self._proven(request):
            return JSONResponse(REFUSED, 403, {"x-amzn-errortype": "UnrecognizedClientException"})
        return await super().serve(request)

    async def _proven(self, request: Request) -> bool:
        proof = request.headers["authorization"]
        if proof.startswith("Bearer "):
            return proof == f"Bearer {BEARER['bearer_token']}"
        when = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        wire = WireRequest(request.scope["raw_path"].decode(), await request.body())
        address = f"http://{request.headers['host']}"
        return proof == dict(signed(wire, address, "eu-west-1", KEY, when).headers)["authorization"]

    def _sensible(self, path: str, body: Any) -> Response:
        if path.endswith("/converse-stream"):
            return StreamingResponse(self._frames(), media_type="application/vnd.amazon.eventstream")
        if path.endswith("/converse"):
            return Response((PUBLISHED / "chat.json").read_bytes(), media_type="application/json")
        if "titan" in path:
            return JSONResponse({"embedding": [float(len(body["inputText"]))], "inputTextTokenCount": 2})
        return Response((PUBLISHED / "rerankings.json").read_bytes(), media_type="application/json")

    async def _frames(self) -> AsyncIterator[bytes]:
        messages = frames(PUBLISHED / "chat.events")
        for message in messages[:3] if self.broken else messages:
            yield message
        if self.broken:
            await asyncio.sleep(0.1)  # so that it does not come with what was before it
            yield exception("modelStreamErrorException", "out of luck")


@pytest.fixture
async def bedrock() -> AsyncIterator[FakeBedrock]:
    async with contextlib.AsyncExitStack() as stack:
        fake = FakeBedrock()
        await stack.enter_async_context(serving(fake))
        fake.url = fake.url.removesuffix("/v1")
        yield fake


async def house_of(start: Start, bedrock: FakeBedrock, **settings: str) -> House:
    return await start({"bedrock": {"base_url": bedrock.url, **(settings or SETTINGS)}})


async def test_a_chat_whole_and_streamed(start: Start, bedrock: FakeBedrock) -> None:
    house = await house_of(start, bedrock)
    whole = await house.chat("bedrock-nova-lite", temperature=1.5)
    assert whole.status_code == 200, whole.text
    assert whole.json()["completions"] == [["Hi", ["Hi! Grüße – 你好 👋"]]]
    assert (whole.json()["prompt_tokens"], whole.json()["response_tokens"]) == (13, 9)
    assert "temperature" in whole.headers["x-parameters-adjusted"]
    asked = bedrock.asked[0]
    assert asked.path == "/model/amazon.nova-lite-v1:0/converse"
    assert asked.headers["x-amz-security-token"] == KEY.session_token
    assert asked.body["inferenceConfig"]["temperature"] == 1
    streamed = await house.chat("bedrock-nova-lite", stream=True)
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert [event["completions"][0][1][0] for event in events] == ["Hi", "! Grüße", " – 你好", " 👋", ""]
    assert (events[-1]["finish_reason"], events[-1]["response_tokens"]) == ("stop", 9)


async def test_a_bedrock_api_key_needs_no_signature(start: Start, bedrock: FakeBedrock) -> None:
    house = await house_of(start, bedrock, **BEARER)
    assert (await house.chat("bedrock-nova-lite")).status_code == 200
    assert bedrock.asked[0].headers["authorization"] == "Bearer bedrock-api-key-1"


async def test_an_arn_is_signed_as_it_is_sent(start: Start, bedrock: FakeBedrock) -> None:
    house = await house_of(start, bedrock)
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
    await house.model("profiled", "BEDROCK", model=arn, base_model="amazon.nova-lite-v1:0")
    answer = await house.chat("profiled", top_k=5)
    assert answer.status_code == 200, answer.text
    assert bedrock.asked[0].path == f"/model/{arn}/converse"
    assert bedrock.asked[0].body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}


async def test_titan_is_asked_for_one_text_at_a_time(start: Start, bedrock: FakeBedrock) -> None:
    house = await house_of(start, bedrock)
    texts = ["a" * number for number in range(1, 21)]
    answer = await house.http.post("/v4/models/bedrock-titan-embed-text-v2/embeddings", json={"texts": texts})
    assert answer.json()["embeddings"] == [[text, [float(len(text))]] for text in texts]
    assert answer.json()["tokens_used"] == 40
    assert len(bedrock.asked) == 20


async def test_rerankings(start: Start, bedrock: FakeBedrock) -> None:
    house = await house_of(start, bedrock)
    await house.model("reranker", "BEDROCK", "RERANKING", model="cohere.rerank-v3-5:0")
    answer = await house.http.post("/v4/models/reranker/rerankings", json={"query": "q", "chunks": ["a", "b"]})
    assert answer.json()["chunk_scores"] == [0.25, 0.9375]


async def test_wrong_credentials_are_the_servers_and_not_the_callers(start: Start, bedrock: FakeBedrock) -> None:
    house = await house_of(start, bedrock, **{**SETTINGS, "secret_access_key": "another"})
    answer = await house.chat("bedrock-nova-lite")
    assert (answer.status_code, answer.json()["code"]) == (502, "vendor_credentials_invalid")
    assert bedrock.asked == []


async def test_an_exception_within_a_stream(start: Start, bedrock: FakeBedrock) -> None:
    bedrock.broken = True
    house = await house_of(start, bedrock)
    answer = await house.chat("bedrock-nova-lite", stream=True)
    assert "event: error" in answer.text
    assert json.loads(answer.text.rsplit("data: ", 1)[1])["code"] == "vendor_failed"
