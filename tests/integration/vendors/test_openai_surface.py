"""Vendors' models through /v1, by the official openai client: one application for all of them."""

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
    return await start({"other": {"base_url": vendor.url, "models": "llama, bge=EMBEDDING"}})


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


async def test_a_vendors_model_is_listed_and_called_by_its_name(client: AsyncOpenAI, vendor: FakeVendor) -> None:
    models = {model.id: model.owned_by for model in (await client.models.list()).data}
    assert models == {"llama": "other", "bge": "other"}
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


async def test_a_stream_and_vectors(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="llama", messages=ASK, stream=True)
    assert "".join([piece.choices[0].delta.content or "" async for piece in stream]) == "Hellothere"
    vectors = await client.embeddings.create(model="bge", input=["a", "bcd"])
    assert [item.embedding for item in vectors.data] == [[1.0, 1.0], [3.0, 1.0]]


async def test_a_vendors_refusal_is_the_clients_own_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Did you mean 'llama'"):
        await client.chat.completions.create(model="lama", messages=ASK)
