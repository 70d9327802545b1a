"""Vendors' models through /v1, by the official openai client: one application for all of them."""

import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from fake_vendor import FakeVendor
from openai import AsyncOpenAI
from vendor_house import KEY, House, Start

ASK: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
async def house(start: Start, vendor: FakeVendor) -> House:
    return await start({"other": {"base_url": vendor.url, "models": "llama, bge=EMBEDDING, plain=COMPLETION"}})


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


async def test_a_vendors_model_is_listed_and_called_by_its_name(client: AsyncOpenAI, vendor: FakeVendor) -> None:
    listed = (await client.models.list()).data
    assert {model.id: model.owned_by for model in listed} == {"llama": "other", "bge": "other", "plain": "other"}
    assert all(abs(model.created - time.time()) < 3600 for model in listed)
    answer = await client.chat.completions.create(model="llama", messages=ASK, seed=3, extra_body={"min_p": 0.1})
    assert answer.choices[0].message.content == "Hello there"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 2)
    assert vendor.asked[-1].body == {"model": "llama", "messages": ASK, "seed": 3, "min_p": 0.1}


async def test_a_vendors_prompt_counts_as_often_as_it_was_sent(client: AsyncOpenAI, house: House) -> None:
    answer = await client.chat.completions.create(model="llama", messages=ASK, n=2)
    assert len(answer.choices) == 2
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (22, 4)


async def test_completions_tell_what_was_cached_too(client: AsyncOpenAI, house: House, vendor: FakeVendor) -> None:
    answer = await client.completions.create(model="plain", prompt=["a", "b"])
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 8
    assert answer.usage.completion_tokens_details.reasoning_tokens == 2
    model = next(each for each in (await house.http.get("/v4/models")).json()["items"] if each["name"] == "plain")
    [deployment] = (await house.http.get(f"/v4/models/{model['id']}/deployments")).json()["items"]
    path = f"/v4/models/{model['id']}/deployments/{deployment['id']}/execute"
    native = (await house.http.post(path, json={"prompts": ["a", "b"]})).json()
    assert (native["cached_tokens"], native["reasoning_tokens"]) == (8, 2)
    refused = await house.http.post(path, json={"prompts": ["a", "b"], "logprobs": True})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "logprobs"])


async def test_a_stream_and_vectors(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="llama", messages=ASK, stream=True)
    assert "".join([piece.choices[0].delta.content or "" async for piece in stream]) == "Hellothere"
    vectors = await client.embeddings.create(model="bge", input=["a", "bcd"])
    assert [item.embedding for item in vectors.data] == [[1.0, 1.0], [3.0, 1.0]]


async def test_what_only_openai_has_a_meaning_for_is_told_to_its_models(start: Start, vendor: FakeVendor) -> None:
    access = {"api_key": "sk-1", "base_url": vendor.url}
    house = await start({"openai": access, "other": {"base_url": vendor.url, "models": "llama"}})
    own: Any = {
        "verbosity": "low",
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "safety_identifier": "someone",
        "logit_bias": {"50256": -100},
    }
    async with AsyncOpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as client:
        await client.chat.completions.create(model="gpt-5", messages=ASK, **own)
        assert vendor.asked[-1].body == {"model": "gpt-5", "messages": ASK, **own}
        with pytest.raises(openai.BadRequestError, match="verbosity"):
            await client.chat.completions.create(model="llama", messages=ASK, verbosity="low")
        with pytest.raises(openai.BadRequestError, match="verbosity"):
            await client.chat.completions.create(model="gpt-5", messages=ASK, verbosity=5)  # type: ignore[call-overload]
        await client.chat.completions.create(model="llama", messages=ASK, service_tier="flex")
        assert vendor.asked[-1].body == {"model": "llama", "messages": ASK}


async def test_a_vendors_refusal_is_the_clients_own_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Did you mean 'llama'"):
        await client.chat.completions.create(model="lama", messages=ASK)
