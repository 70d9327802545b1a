"""Counting a conversation's tokens exactly: by the worker that will read it, with its own chat template.

Two dialects are known. llama.cpp's server applies its template (/apply-template) and tokenizes text
(/tokenize); vLLM's /tokenize takes messages and answers a count, and so may a worker that speaks SGP. Which
one a worker speaks is found out once. A worker that speaks neither has its conversations estimated.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from modelyard.domain.history import estimate, image_tokens, tool_tokens
from modelyard.domain.inference import ChatRequest, Message
from modelyard.domain.routes import Endpoint
from modelyard.errors import UpstreamError
from modelyard.gateway.adapters.faults import decode_error
from modelyard.gateway.adapters.wire import WireRequest, decoded
from modelyard.gateway.chat_templates import TemplateProcess
from modelyard.gateway.upstream import Upstream

_encode = msgspec.json.Encoder().encode
_MAX_KNOWN = 4096
_TROUBLE = (408, 429, 500, 502, 503, 504)

T = TypeVar("T")


class Dialect(Enum):
    LLAMA_CPP = "llama.cpp"
    MESSAGES = "vllm"
    NONE = "none"


class _Props(Struct):
    chat_template: str
    bos_token: str = ""
    eos_token: str = ""
    chat_template_caps: dict[str, bool] = {}


class _Prompt(Struct):
    prompt: str


class _Tokens(Struct):
    tokens: list[int] | None = None
    count: int | None = None


_props = msgspec.json.Decoder(_Props)
_prompt = msgspec.json.Decoder(_Prompt)
_tokens = msgspec.json.Decoder(_Tokens)


@dataclass(frozen=True, slots=True)
class Tongue:
    """What is known of one worker: its dialect, and for llama.cpp its special tokens."""

    dialect: Dialect
    bos_token: str = ""
    eos_token: str = ""
    adds_bos: bool = False
    writes_tools: bool = True
    """Whether its chat template tells the model of tools; llama.cpp finds that out by trying."""


class TokenCounter:
    def __init__(self, upstream: Upstream, templates: TemplateProcess) -> None:
        self._upstream = upstream
        self._templates = templates
        self._tongues: OrderedDict[str, Tongue] = OrderedDict()

    def known(self, endpoint: Endpoint) -> Tongue | None:
        """How the worker at ``endpoint`` counts, if it was asked before."""
        return self._tongues.get(endpoint.worker_id)

    async def tongue(self, endpoint: Endpoint) -> Tongue:
        """How the worker at ``endpoint`` counts."""
        known = self._tongues.get(endpoint.worker_id)
        if known is not None:
            return known
        asked = await self._ask(endpoint)
        if asked is None:
            return Tongue(Dialect.NONE)
        self._tongues[endpoint.worker_id] = asked
        while len(self._tongues) > _MAX_KNOWN:
            self._tongues.popitem(last=False)
        return asked

    async def count(self, endpoint: Endpoint, request: ChatRequest, messages: list[Message]) -> int:
        """Tokens of ``messages`` under ``request``'s template settings: exact, but for images, and for workers
        that cannot count."""
        tongue = await self.tongue(endpoint)
        if tongue.dialect is Dialect.NONE:
            return estimate(messages) + tool_tokens(request.tools)
        plain = [_plain(message) for message in messages]
        images = image_tokens(messages)
        if tongue.dialect is Dialect.LLAMA_CPP:
            prompt = await self._applied(endpoint, tongue, request, plain)
            return await self._tokenized(endpoint, prompt) + images
        body: dict[str, Any] = {"messages": plain, "add_generation_prompt": True}
        body |= _template_settings(request)
        answer = decoded(_tokens, await self._post(endpoint, "/tokenize", body))
        return _length(answer) + images

    async def rendered(self, tongue: Tongue, request: ChatRequest) -> str:
        """The prompt that ``request``'s own chat template makes of its messages."""
        return await self._render(tongue, request, [_plain(message) for message in request.messages])

    async def _applied(
        self, endpoint: Endpoint, tongue: Tongue, request: ChatRequest, messages: list[dict[str, Any]]
    ) -> str:
        if request.chat_template is not None:
            return await self._render(tongue, request, messages)
        body: dict[str, Any] = {"messages": messages, "tools": request.tools, "tool_choice": request.tool_choice}
        body |= {"chat_template_kwargs": request.chat_template_kwargs}
        body = {name: value for name, value in body.items() if value is not None}
        return decoded(_prompt, await self._post(endpoint, "/apply-template", body)).prompt

    async def _render(self, tongue: Tongue, request: ChatRequest, messages: list[dict[str, Any]]) -> str:
        assert request.chat_template is not None
        variables = {
            "bos_token": tongue.bos_token,
            "eos_token": tongue.eos_token,
            "add_generation_prompt": True,
            **(request.chat_template_kwargs or {}),
            "tools": None,  # see `OpenAIAdapter.encode_rendered`
            "messages": messages,
        }
        prompt = await self._templates.render(request.chat_template, variables)
        # The tokenizer writes the first token itself; twice would be what no model was trained on.
        return prompt.removeprefix(tongue.bos_token) if tongue.adds_bos and tongue.bos_token else prompt

    async def _tokenized(self, endpoint: Endpoint, prompt: str) -> int:
        body = {"content": prompt, "add_special": True, "parse_special": True}
        return _length(decoded(_tokens, await self._post(endpoint, "/tokenize", body)))

    async def _ask(self, endpoint: Endpoint) -> Tongue | None:
        """None where the worker is in trouble at the moment, so that it is asked again next time."""
        status, body = await self._exchange(endpoint, WireRequest("/props", b"", method="GET"))
        if status == 200 and (props := _read(_props, body)) is not None:
            adds_bos = await self._tokenized(endpoint, "") > 0
            writes_tools = props.chat_template_caps.get("supports_tools", True)
            return Tongue(Dialect.LLAMA_CPP, props.bos_token, props.eos_token, adds_bos, writes_tools)
        if status in _TROUBLE:
            return None
        probe = _encode({"messages": [{"role": "user", "content": "x"}], "add_generation_prompt": True})
        status, body = await self._exchange(endpoint, WireRequest("/tokenize", probe))
        if status in _TROUBLE:
            return None
        counted = _read(_tokens, body) if status == 200 else None
        return Tongue(Dialect.NONE if counted is None or counted.count is None else Dialect.MESSAGES)

    async def _post(self, endpoint: Endpoint, path: str, body: Any) -> bytes:
        status, answer = await self._exchange(endpoint, WireRequest(path, _encode(body)))
        if status != 200:
            raise decode_error(status, answer)
        return answer

    async def _exchange(self, endpoint: Endpoint, request: WireRequest) -> tuple[int, bytes]:
        answer = await self._upstream.send(endpoint.address, request)
        return answer.status, await answer.read()


def _read(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T | None:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _length(tokens: _Tokens) -> int:
    if tokens.count is not None:
        return tokens.count
    if tokens.tokens is not None:
        return len(tokens.tokens)
    raise UpstreamError("The worker's /tokenize tells no count.")


def _template_settings(request: ChatRequest) -> dict[str, Any]:
    settings = {
        "chat_template": request.chat_template,
        "chat_template_kwargs": request.chat_template_kwargs,
        "tools": request.tools,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _plain(message: Message) -> dict[str, Any]:
    """A message as templates know it, with its text parts only; images are counted apart."""
    content = message.content
    if not isinstance(content, str):
        content = "\n".join(part.text for part in content if part.text is not None)
    calls = {"tool_calls": msgspec.to_builtins(message.tool_calls)} if message.tool_calls else {}
    answers = {"tool_call_id": message.tool_call_id} if message.tool_call_id is not None else {}
    return {"role": message.role, "content": content, **calls, **answers}
