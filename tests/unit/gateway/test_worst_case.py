"""No text has more tokens than is reserved for it, and what is sent asks for no longer answer than is reserved."""

from dataclasses import replace

import msgspec
import pytest

from modelyard.domain.history import estimate, tool_tokens
from modelyard.domain.inference import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageUrl,
    Message,
    NativeRequest,
    Part,
    RerankingRequest,
    Tool,
    ToolFunction,
)
from modelyard.domain.routes import Endpoint
from modelyard.domain.usage import Verb
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.gateway.conversation import begin
from modelyard.gateway.metering import Call, estimate_request
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
