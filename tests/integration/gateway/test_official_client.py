"""The official client, unmodified and strict, against our answers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import scale_gp
from gateway_house import Asked, House, StartWorker, chunk
from scale_gp import AsyncSGPClient

from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.testing.gateway import KEY, make_route

ROUTE = make_route()


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncSGPClient]:
    async with AsyncSGPClient(
        base_url=house.base_url,
        api_key=KEY,
        account_id=ROUTE.account_id,
        max_retries=0,
        _strict_response_validation=True,
    ) as made:
        yield made


async def test_chat(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    answer = await client.models.chat_completions.create(
        ROUTE.deployment_id, prompt="Hi", chat_history=[{"role": "system", "content": "Be brief."}], temperature=0.2
    )
    assert answer.completions == [["Hi", ["Hello"]]]
    assert (answer.finish_reason, answer.prompt_tokens, answer.response_tokens) == ("stop", 5, 1)


async def test_streamed_chat(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    stream = await client.models.chat_completions.create("chat", prompt="Hi", chat_history=[], stream=True)
    pieces = [piece async for piece in stream]
    texts: list[Any] = [piece.completions[0][1] for piece in pieces]
    assert "".join(text for (text,) in texts) == "Hello"
    assert (pieces[-1].finish_reason, pieces[-1].response_tokens) == ("stop", 2)


async def test_an_error_within_a_stream_is_raised(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
        await asked.reset()

    house.show(await start_worker(behave))
    stream = await client.models.chat_completions.create("chat", prompt="Hi", chat_history=[], stream=True)
    first = await anext(stream)
    assert first.completions == [["Hi", ["Hel"]]]
    with pytest.raises(scale_gp.APIError, match="upstream_cut_off"):
        await anext(stream)


async def test_completions_and_logprobs(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    token = {"token": " blue", "logprob": -0.1, "bytes": [32], "top_logprobs": [{"token": " red", "logprob": -2.5}]}

    async def behave(asked: Asked) -> None:
        choice = {"index": 0, "text": " blue", "finish_reason": "length", "logprobs": {"content": [token]}}
        await asked.answer({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1}})

    house.show(await start_worker(behave))
    answer = await client.models.completions.create("chat", prompt="The sky is", logprobs=True, top_logprobs=1)
    assert answer.completions == [["The sky is", [" blue"]]]
    assert answer.choices is not None
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert logprobs.content[0].top_logprobs[0].token == " red"


async def test_embeddings_rerankings_and_execute(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    async def behave(asked: Asked) -> None:
        if "texts" in asked.json:
            await asked.answer({"embeddings": [[text, [0.5, 1]] for text in asked.json["texts"]], "tokens_used": 3})
        elif "chunks" in asked.json:
            await asked.answer({"chunk_scores": [1, 0.5], "tokens_used": 4})
        else:
            await asked.answer({"status": "ok", "more": {"x": 1}})

    worker = await start_worker(behave)
    house.show(worker, model_type=ModelType.EMBEDDING, protocol=EndpointProtocol.SGP)
    embedded = await client.models.embeddings.create("chat", texts=["a"])
    assert embedded.embeddings == [["a", [0.5, 1]]]
    house.show(worker, model_type=ModelType.RERANKING, protocol=EndpointProtocol.SGP)
    ranked = await client.models.rerankings.create("chat", query="q", chunks=["a", "b"])
    assert ranked.chunk_scores == [1, 0.5]
    house.show(worker, model_type=ModelType.GENERIC, protocol=EndpointProtocol.SGP)
    result = await client.models.deployments.execute(
        "chat", model_instance_id=ROUTE.model_id, extra_body={"anything": 1}
    )
    assert result == {"status": "ok", "more": {"x": 1}}


@pytest.mark.parametrize(
    ("model", "error"),
    [("nobody", scale_gp.NotFoundError), ("chat", scale_gp.UnprocessableEntityError)],
)
async def test_errors_are_the_clients_own(
    house: House, client: AsyncSGPClient, start_worker: StartWorker, model: str, error: type[scale_gp.APIStatusError]
) -> None:
    house.show(await start_worker())
    with pytest.raises(error) as caught:
        await client.models.chat_completions.create(model, prompt="Hi", chat_history=[], temperature=3)
    assert caught.value.body
    assert caught.value.response.headers["x-request-id"]


async def test_raw_and_streaming_responses(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    raw = await client.models.chat_completions.with_raw_response.create("chat", prompt="Hi", chat_history=[])
    assert raw.headers["x-prompt-tokens"] == "5"
    parsed = await raw.parse()
    assert parsed.completions == [["Hi", ["Hello"]]]
    async with client.models.chat_completions.with_streaming_response.create(
        "chat", prompt="Hi", chat_history=[], stream=True
    ) as response:
        lines = [line async for line in response.iter_lines() if line]
    assert len(lines) == 3
