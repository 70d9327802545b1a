"""A native chat request as a body of Cohere's /v2/chat.

What is not as it stands: ``top_p`` and ``top_k`` are ``p`` and ``k``; ``reasoning_effort`` becomes a budget of tokens
to think with; a JSON Schema always binds, so ``strict: false`` makes no difference; where one tool has to be called, it
is the only one that is sent, and has to be called.
"""

from typing import Any

from modelyard.domain.inference import (
    ChatRequest,
    JsonSchema,
    Message,
    NamedTool,
    Part,
    ResponseFormat,
    Tool,
    ToolFunction,
)
from modelyard.domain.routes import Route
from modelyard.gateway.adapters import cohere_wire as wire
from modelyard.gateway.adapters.adjusting import clamped, refuse, whole_top_k
from modelyard.gateway.adapters.images import data_url, inline_image, remote_image
from modelyard.gateway.adapters.wire import unsupported, wants_logprobs

RESERVED = frozenset(wire.ChatBody.__struct_fields__) | {"documents"}
"""Fields that a template's own request parameters may not set."""

_LACKS = {
    "top_logprobs": "Cohere tells no alternatives; ask for logprobs alone",
    "chat_template": "Cohere's models have a chat template of their own",
    "chat_template_kwargs": "Cohere's models have a chat template of their own",
}


def chat_body(request: ChatRequest, route: Route, model: str, notes: list[str]) -> wire.ChatBody:
    """The body; ``notes`` gets what had to be changed. Raises `InvalidRequest` naming what Cohere lacks."""
    logprobs = wants_logprobs(request)
    refuse(request, _LACKS)
    if request.seed is not None and request.seed < 0:
        raise unsupported("seed", "must not be negative for this model")
    body = wire.ChatBody(
        model=model, messages=[_message(item, route) for item in request.messages], stream=bool(request.stream)
    )
    _sample(body, request, route, notes)
    body.logprobs = logprobs or None
    body.seed = request.seed
    body.response_format = _format(request.response_format)
    _give_tools(body, request, notes)
    if request.reasoning_effort == "none":
        body.thinking = wire.Thinking("disabled")
    elif request.reasoning_effort is not None:
        budget = wire.THINKING_BUDGETS[request.reasoning_effort]
        body.thinking = wire.Thinking("enabled", budget)
        notes.append(f"reasoning_effort: {request.reasoning_effort} was sent as at most {budget} tokens of thinking")
    return body


def _sample(body: wire.ChatBody, request: ChatRequest, route: Route, notes: list[str]) -> None:
    most = route.vendor.max_output_tokens if route.vendor is not None else None
    body.temperature = request.temperature
    body.p = clamped("top_p", request.top_p, *wire.P_RANGE, notes)
    body.k = clamped("top_k", whole_top_k(request), 0, wire.MAX_K, notes)
    body.max_tokens = request.max_tokens if most is None else clamped("max_tokens", request.max_tokens, 1, most, notes)
    body.stop_sequences = request.stop_sequences or None
    body.frequency_penalty = clamped("frequency_penalty", request.frequency_penalty, *wire.PENALTY_RANGE, notes)
    body.presence_penalty = clamped("presence_penalty", request.presence_penalty, *wire.PENALTY_RANGE, notes)


def _message(message: Message, route: Route) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role}
    content = message.content
    if not isinstance(content, str):
        sent["content"] = [_part(part, route) for part in content]
    elif content or not message.tool_calls:
        sent["content"] = content
    if message.tool_calls:
        sent["tool_calls"] = message.tool_calls
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _part(part: Part, route: Route) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    inline = inline_image(part)
    if inline is not None:
        url, detail = data_url(inline), inline.detail
    elif route.vendor is None:
        # It would fetch from within our own network what callers only name.
        raise unsupported("messages", "this model's worker fetches no images; send them inline")
    else:
        assert part.image_url is not None
        url, detail = remote_image(part), part.image_url.detail
    image = {"url": url} if detail is None else {"url": url, "detail": detail}
    return {"type": "image_url", "image_url": image}


def _format(asked: ResponseFormat | None) -> wire.JsonFormat | None:
    if asked is None or asked.type == "text":
        return None
    return wire.JsonFormat("json_object", None if asked.json_schema is None else _schema(asked.json_schema))


def _schema(named: JsonSchema) -> dict[str, Any] | None:
    """The schema, with the description where JSON Schema has a place for it."""
    if named.description is None:
        return named.schema
    return {"description": named.description, **(named.schema or {"type": "object"})}


def _give_tools(body: wire.ChatBody, request: ChatRequest, notes: list[str]) -> None:
    if request.parallel_tool_calls is False:
        raise unsupported("parallel_tool_calls", "Cohere cannot be kept from calling several tools at once")
    tools = request.tools or []
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        name = choice.function.name
        tools = [tool for tool in tools if tool.function.name == name]
        if not tools:
            raise unsupported("tool_choice", f"there is no tool named '{name}' among the tools")
        body.tool_choice = "REQUIRED"
        if len(tools) < len(request.tools or []):
            notes.append("tool_choice: the other tools were not sent, so that this one is called")
    elif choice in ("required", "none") and tools:
        body.tool_choice = choice.upper()
    elif choice == "required":
        raise unsupported("tool_choice", "needs tools")
    if tools:
        body.tools = [_tool(tool.function) for tool in tools]
        body.strict_tools = _strictness(tools)


def _tool(function: ToolFunction) -> dict[str, Any]:
    sent: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        sent["description"] = function.description
    sent["parameters"] = function.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": sent}


def _strictness(tools: list[Tool]) -> bool | None:
    """Cohere is strict with all tools or with none."""
    strict = [bool(tool.function.strict) for tool in tools]
    if any(strict) and not all(strict):
        raise unsupported("tools", "strict has to be the same for all tools of this model")
    return True if all(strict) else None
