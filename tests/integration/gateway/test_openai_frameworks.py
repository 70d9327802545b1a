"""LangChain's OpenAI classes and LiteLLM as a client, unmodified, against /v1. ``make clients`` installs both."""

import json
import os
from typing import Any

import pytest
from gateway_house import Asked, House, StartWorker
from openai_answers import USAGE, chat_with_tools, scores, vectors
from pydantic import BaseModel

from modelyard.domain.templates import ModelType
from modelyard.testing.gateway import KEY

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing it asks the internet for prices

langchain_messages = pytest.importorskip("langchain_core.messages", reason="make clients installs it")
langchain_openai = pytest.importorskip("langchain_openai", reason="make clients installs it")
litellm = pytest.importorskip("litellm", reason="make clients installs it")

ASK: Any = [{"role": "user", "content": "How is the weather?"}]


class weather(BaseModel):  # the tool's name
    """Tells it"""

    city: str


@pytest.fixture
def langchain(house: House) -> Any:
    return langchain_openai.ChatOpenAI(model="chat", base_url=f"{house.base_url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture
def lite(house: House) -> dict[str, Any]:
    return {"model": "openai/chat", "api_base": f"{house.base_url}/v1", "api_key": KEY, "max_retries": 0}


async def test_langchain_chats_and_streams(house: House, start_worker: StartWorker, langchain: Any) -> None:
    house.show(await start_worker())
    answer = await langchain.ainvoke("Hi")
    assert answer.content == "Hello"
    assert answer.usage_metadata["total_tokens"] == 6
    pieces = [piece async for piece in langchain.astream("Hi", stream_usage=True)]
    assert "".join(piece.content for piece in pieces) == "Hello"
    assert sum(piece.usage_metadata["output_tokens"] for piece in pieces if piece.usage_metadata) == 2


async def test_langchain_calls_tools(house: House, start_worker: StartWorker, langchain: Any) -> None:
    worker = await start_worker(chat_with_tools)
    house.show(worker)
    bound = langchain.bind_tools([weather])
    asked = await bound.ainvoke("How is the weather?")
    assert [(call["name"], call["args"], call["id"]) for call in asked.tool_calls] == [
        ("weather", {"city": "Oslo"}, "call_1")
    ]
    answered = langchain_messages.ToolMessage("rain", tool_call_id="call_1")
    told = await bound.ainvoke([langchain_messages.HumanMessage("?"), asked, answered])
    assert told.content == "It is rain"
    streamed = None
    async for piece in bound.astream("How is the weather?"):
        streamed = piece if streamed is None else streamed + piece
    assert streamed is not None
    assert streamed.tool_calls[0]["args"] == {"city": "Oslo"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_langchain_gives_objects(house: House, start_worker: StartWorker, langchain: Any, method: str) -> None:
    async def behave(asked: Asked) -> None:
        if asked.json.get("tools"):
            await chat_with_tools(asked)
            return
        assert asked.json["response_format"]["type"] == ("json_object" if method == "json_mode" else "json_schema")
        text = json.dumps({"city": "Oslo"})
        await asked.answer({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": USAGE})

    house.show(await start_worker(behave))
    assert await langchain.with_structured_output(weather, method=method).ainvoke("?") == weather(city="Oslo")


async def test_langchain_embeds(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(vectors), model_type=ModelType.EMBEDDING)
    embeddings = langchain_openai.OpenAIEmbeddings(
        model="chat", base_url=f"{house.base_url}/v1", api_key=KEY, check_embedding_ctx_length=False
    )
    assert await embeddings.aembed_documents(["a", "b"]) == [[0.5, -1.25, 3.0], [1.5, -1.25, 3.0]]


async def test_litellm_chats_and_streams(house: House, start_worker: StartWorker, lite: dict[str, Any]) -> None:
    house.show(await start_worker())
    answer = await litellm.acompletion(messages=ASK, **lite)
    assert answer.choices[0].message.content == "Hello"
    assert answer.usage.total_tokens == 6
    stream = await litellm.acompletion(messages=ASK, stream=True, stream_options={"include_usage": True}, **lite)
    pieces = [piece async for piece in stream]
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "Hello"


async def test_litellm_calls_tools(house: House, start_worker: StartWorker, lite: dict[str, Any]) -> None:
    house.show(await start_worker(chat_with_tools))
    tool = {"type": "function", "function": {"name": "weather", "parameters": weather.model_json_schema()}}
    answer = await litellm.acompletion(messages=ASK, tools=[tool], tool_choice="auto", **lite)
    message = answer.choices[0].message
    assert message.tool_calls[0].function.name == "weather"
    history = [*ASK, message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}]
    told = await litellm.acompletion(messages=history, tools=[tool], **lite)
    assert told.choices[0].message.content == "It is rain"


async def test_litellm_embeds_and_completes(house: House, start_worker: StartWorker, lite: dict[str, Any]) -> None:
    house.show(await start_worker(vectors), model_type=ModelType.EMBEDDING)
    answer = await litellm.aembedding(input=["a", "b"], **lite)
    assert [item["embedding"] for item in answer.data] == [[0.5, -1.25, 3.0], [1.5, -1.25, 3.0]]


async def test_litellm_ranks(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(scores), model_type=ModelType.RERANKING)
    answer = await litellm.arerank(
        model="hosted_vllm/chat", query="q", documents=["a", "longer"], api_base=f"{house.base_url}/v1", api_key=KEY
    )
    assert [result["index"] for result in answer.results] == [1, 0]


async def test_litellm_knows_the_errors(house: House, start_worker: StartWorker, lite: dict[str, Any]) -> None:
    house.show(await start_worker())
    with pytest.raises(litellm.NotFoundError):
        await litellm.acompletion(messages=ASK, **{**lite, "model": "openai/none"})
    with pytest.raises(litellm.BadRequestError):
        await litellm.acompletion(messages=ASK, temperature=3, **lite)
    with pytest.raises(litellm.AuthenticationError):
        await litellm.acompletion(messages=ASK, **{**lite, "api_key": "wrong"})
