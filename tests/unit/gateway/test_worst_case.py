"""No text has more tokens than is reserved for it, and what is sent asks for no longer answer than is reserved."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from modelyard.domain.history import estimate, tool_tokens
from modelyard.domain.inference import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    FunctionCall,
    ImageUrl,
    JsonSchema,
    Message,
    NativeRequest,
    Part,
    RerankingRequest,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolFunction,
)
from modelyard.domain.routes import Endpoint
from modelyard.domain.usage import Verb
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.gateway.conversation import begin
from modelyard.gateway.metering import Call, estimate_request
from modelyard.gateway.tokens import Dialect, Tongue
from modelyard.gateway.worst_case import most_prompt_tokens
from modelyard.testing.clock import FakeClock
from modelyard.testing.gateway import ACCOUNT, UsageList, make_caller, make_route

DENSE = "𓀀🜁~\x00ꙮ1^|"
"""Of such text byte-level tokenizers make a token of nearly every byte, three times what is estimated of Latin text."""
TOOL = Tool(ToolFunction("look", "Looks.", {"type": "object", "properties": {"where": {"type": "string"}}}))
CHAT = ChatRequest(messages=[Message("system", "Be brief."), Message("user", DENSE * 20)])
IMAGE = ChatRequest(messages=[Message("user", [Part(image_url=ImageUrl("https://x.example/a.png")), Part(text="?")])])


@pytest.mark.parametrize(
    "request_",
    [
        CHAT,
        msgspec.structs.replace(CHAT, tools=[TOOL]),
        IMAGE,
        CompletionRequest(prompts=[DENSE, "x" * 100, ""]),
        EmbeddingRequest(texts=[DENSE, "1"]),
        RerankingRequest(query=DENSE, chunks=["a", DENSE], instruction=DENSE),
    ],
)
def test_it_is_never_less_than_the_bytes_or_the_estimate(request_: NativeRequest) -> None:
    most = most_prompt_tokens(request_, make_route())
    texts = DENSE * 20 if isinstance(request_, ChatRequest) and request_ is not IMAGE else ""
    assert most >= estimate_request(request_)
    assert most >= len(texts.encode())


def test_tools_and_images_count() -> None:
    plain = most_prompt_tokens(CHAT, make_route())
    assert most_prompt_tokens(msgspec.structs.replace(CHAT, tools=[TOOL]), make_route()) >= plain + tool_tokens([TOOL])
    assert most_prompt_tokens(IMAGE, make_route()) >= estimate(IMAGE.messages)


ANSWERED = [
    Message("user", "Look."),
    Message("assistant", "", tool_calls=[ToolCall("id" * 50, FunctionCall("look", DENSE))]),
    Message("tool", DENSE, tool_call_id="id" * 50),
]
FORMAT = ResponseFormat("json_schema", JsonSchema("x", {"type": "object", "description": DENSE}))
# What is added to a request of empty texts, as it was counted with models or is published.
LLAMA_SYSTEM, CHATML_MESSAGE, BERT_TEXT, ANTHROPIC_TOOLS, ANTHROPIC_IMAGE, GEMINI_IMAGE = 38, 6, 4, 530, 1600, 258


def chat(*messages: Message, **more: Any) -> int:
    return most_prompt_tokens(ChatRequest(messages=list(messages), **more), make_route())


def test_what_templates_engines_and_vendors_add_is_reserved() -> None:
    empty = Message("user", "")
    assert chat(empty) >= LLAMA_SYSTEM + CHATML_MESSAGE
    assert chat(*[empty] * 500) >= LLAMA_SYSTEM + 500 * CHATML_MESSAGE
    assert chat(empty, tools=[TOOL]) - chat(empty) >= ANTHROPIC_TOOLS + len(msgspec.json.encode(TOOL))
    images = Message("user", [Part(image_url=ImageUrl("https://x.example/a.png"))] * 3)
    assert chat(images) - chat(empty) >= 3 * max(ANTHROPIC_IMAGE, GEMINI_IMAGE)
    assert most_prompt_tokens(EmbeddingRequest(texts=[""] * 100), make_route()) >= 100 * BERT_TEXT
    assert most_prompt_tokens(CompletionRequest(prompts=[""] * 100), make_route()) >= 100  # each has a beginning


def test_every_text_that_a_template_may_write_counts() -> None:
    calls = sum(len(text.encode()) for text in ("Look.", "look", DENSE, DENSE, "id" * 50, "id" * 50))
    assert chat(*ANSWERED) - chat(*[Message("user", "")] * 3) >= calls
    hello = Message("user", "Hi")
    assert chat(hello, response_format=FORMAT) - chat(hello) >= len(msgspec.json.encode(FORMAT))
    date = {"date_string": DENSE * 100}
    assert chat(*[hello] * 4, chat_template_kwargs=date) - chat(*[hello] * 4) >= 4 * len(DENSE.encode()) * 100


def test_of_several_texts_each_counts_and_a_query_with_each_chunk() -> None:
    def all_of(request: NativeRequest) -> int:
        return most_prompt_tokens(request, make_route())

    long, size = DENSE * 10, len(DENSE.encode()) * 10
    assert all_of(CompletionRequest(prompts=[long] * 50)) >= 50 * size
    assert all_of(EmbeddingRequest(texts=[long] * 50)) >= 50 * size
    assert all_of(RerankingRequest(query=long, chunks=[long] * 50)) >= 50 * 2 * size
    assert all_of(RerankingRequest(query=long, chunks=[long] * 50, instruction=long)) >= 50 * 3 * size


def test_a_conversation_is_cut_to_the_context_window() -> None:
    assert most_prompt_tokens(CHAT, make_route(context_window=100)) == 100


def test_a_template_of_the_call_s_own_may_fill_the_window() -> None:
    own = ChatRequest(messages=[Message("user", "Hi")], chat_template="{% for i in range(99999) %}x{% endfor %}")
    assert most_prompt_tokens(own, make_route(context_window=5000)) == 5000


def sent(request: ChatRequest | CompletionRequest, most: int | None, window: int | None) -> WireRequest:
    route = make_route(context_window=window)
    call = Call(UsageList(), FakeClock(), make_caller(), ACCOUNT, route, Verb.CHAT_COMPLETION, "r")
    call.admitted = replace(call.admitted, most_response=most)
    wire = begin(None, call, request, SgpAdapter()).prepare(Endpoint("w", "http://w"), route)  # type: ignore[arg-type]
    assert isinstance(wire, WireRequest)
    return wire


SHORT = ChatRequest(messages=[Message("user", "How are you?")])


@pytest.mark.parametrize(
    ("request_", "most", "window", "asked"),
    [
        (SHORT, 256, None, 256),
        (SHORT, None, None, None),  # nobody counts tokens
        (msgspec.structs.replace(SHORT, max_tokens=999), 256, None, 999),  # that much is reserved then
        (SHORT, 256, 100, 100 - estimate(SHORT.messages)),
        (CompletionRequest(prompts=["Once"]), 256, None, 256),
    ],
)
def test_an_answer_is_no_longer_than_what_is_reserved(
    request_: ChatRequest, most: int | None, window: int | None, asked: int | None
) -> None:
    wire = sent(request_, most, window)
    assert msgspec.json.decode(wire.body).get("max_tokens") == asked
    assert any("max_tokens" in each for each in wire.adjusted) == (request_.max_tokens != asked)


class LlamaCpp:
    """A `TokenCounter` whose workers are llama.cpp's servers."""

    def known(self, endpoint: Endpoint) -> Tongue | None:
        return None

    async def tongue(self, endpoint: Endpoint) -> Tongue:
        return Tongue(Dialect.LLAMA_CPP)

    async def rendered(self, tongue: Tongue, request: ChatRequest) -> str:
        return "How are you?"


async def test_nor_is_one_behind_a_template_of_the_call_s_own() -> None:
    route = make_route()
    call = Call(UsageList(), FakeClock(), make_caller(), ACCOUNT, route, Verb.CHAT_COMPLETION, "r")
    call.admitted = replace(call.admitted, most_response=256)
    own = msgspec.structs.replace(SHORT, chat_template="{{ messages[0].content }}")
    prepared = begin(LlamaCpp(), call, own, OpenAIAdapter()).prepare(Endpoint("w", "http://w"), route)  # type: ignore[arg-type]
    assert not isinstance(prepared, WireRequest)
    wire = await prepared
    assert (wire.path, msgspec.json.decode(wire.body)["max_tokens"]) == ("/v1/completions", 256)
