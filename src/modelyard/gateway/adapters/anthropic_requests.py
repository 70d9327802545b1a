"""A native chat as the body of an Anthropic request."""

import hashlib
import re
from typing import Any

import msgspec

from modelyard.domain.inference import ChatRequest, Message, NamedTool, Part, ToolCall
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters import anthropic_wire as wire
from modelyard.gateway.adapters.adjusting import (
    clamped,
    nearest_effort,
    note_detail,
    refuse,
    whole_top_k,
    without_temperature,
)
from modelyard.gateway.adapters.anthropic_models import AnthropicProfile, Thinking
from modelyard.gateway.adapters.arguments import arguments_of
from modelyard.gateway.adapters.images import inline_image, remote_image
from modelyard.gateway.adapters.wire import bindings_of, unsupported, wants_logprobs

DEFAULT_MAX_TOKENS = 4096
"""Sent where neither the call nor the model says how long an answer may be: this vendor wants to know."""

THINKING_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32768}
"""Tokens, for models that are given a budget rather than an effort."""

_LEAST_BUDGET = 1024  # the vendor's

_LACKS = {
    "frequency_penalty": "Anthropic's models have no penalties",
    "presence_penalty": "Anthropic's models have no penalties",
    "logprobs": "Anthropic's models tell no log probabilities",
    "top_logprobs": "Anthropic's models tell no log probabilities",
    "seed": "Anthropic's models take no seed",
    "chat_template": "a vendor's model has its own",
    "chat_template_kwargs": "a vendor's model has its own chat template",
}
_NO_SAMPLING = dict.fromkeys(
    ("top_p", "top_k"),
    "this model takes no sampling parameters; leave it out, or use reasoning_effort",
)
_NOT_WHILE_THINKING = dict.fromkeys(("temperature", "top_k"), "cannot be changed together with reasoning_effort")
_USUAL = {"temperature": 1, "top_p": 1}
"""What models do without being told."""
_LEAST_TOP_P = 0.95  # the vendor's, while a model thinks

_IDS = re.compile(r"[A-Za-z0-9_-]{1,64}")

_encode = msgspec.json.Encoder().encode
_OURS = frozenset(wire.Body.__struct_fields__)


def encode(request: ChatRequest, target: VendorTarget, profile: AnthropicProfile) -> tuple[bytes, list[str]]:
    """The body, and notes on what had to be changed."""
    wants_logprobs(request)
    refuse(request, _LACKS)
    notes: list[str] = []
    system, turns = _conversation(request.messages, notes)
    body = wire.Body(
        model=target.model,
        max_tokens=_max_tokens(request, target, profile, notes),
        messages=turns,
        system=system,
        stop_sequences=request.stop_sequences or None,
        tools=_tools(request),
        tool_choice=_tool_choice(request, profile),
        stream=bool(request.stream),
    )
    _think(body, request, profile, notes)
    _sample(body, request, profile, notes)
    _format(body, request)
    return _with_bindings(body, request), notes


def _max_tokens(request: ChatRequest, target: VendorTarget, profile: AnthropicProfile, notes: list[str]) -> int:
    most = target.max_output_tokens
    if request.max_tokens is not None:
        limit = most or request.max_tokens
        return clamped("max_tokens", request.max_tokens, 1, limit, notes) or limit
    budget = THINKING_BUDGETS.get(request.reasoning_effort or "none", 0) if profile.thinking is Thinking.BUDGET else 0
    chosen = most or DEFAULT_MAX_TOKENS + budget
    notes.append(f"max_tokens: this vendor needs it, {chosen} was sent")
    return chosen


def _think(body: wire.Body, request: ChatRequest, profile: AnthropicProfile, notes: list[str]) -> None:
    effort = request.reasoning_effort
    if effort is None:
        return
    if effort == "none" and not profile.always_thinks:
        body.thinking = wire.Thinking("disabled")
        return
    if profile.thinking is Thinking.ADAPTIVE:
        # Newer models keep their thoughts to themselves unless they are asked.
        body.thinking = wire.Thinking("adaptive", display="summarized")
        body.output_config = wire.OutputConfig(nearest_effort(effort, profile.efforts, notes))
    elif any(message.role == "tool" for message in request.messages[-1:]):
        # Such a turn would have to begin with the model's own signed thoughts, which no client gives back to us.
        notes.append("reasoning_effort: this model does not think in turns that answer tool calls")
        return
    else:
        budget = min(THINKING_BUDGETS[effort], body.max_tokens - 1)
        if budget < _LEAST_BUDGET:
            raise unsupported("reasoning_effort", f"needs max_tokens above {_LEAST_BUDGET} with this model")
        if budget < THINKING_BUDGETS[effort]:
            notes.append(f"reasoning_effort: max_tokens leaves room for {budget} tokens of thinking")
        body.thinking = wire.Thinking("enabled", budget)
    if body.tool_choice is not None and body.tool_choice.type in ("any", "tool"):
        raise unsupported("tool_choice", "no tool can be demanded together with reasoning_effort; use auto")


def _sample(body: wire.Body, request: ChatRequest, profile: AnthropicProfile, notes: list[str]) -> None:
    if not profile.sampling:
        without_temperature(request, notes)
        refuse(request, _NO_SAMPLING, _USUAL)
        return
    least_top_p = 0.0
    if body.thinking is not None and body.thinking.type != "disabled":
        refuse(request, _NOT_WHILE_THINKING, _USUAL)
        least_top_p = _LEAST_TOP_P
    if profile.one_sampler and request.temperature is not None and request.top_p is not None:
        raise unsupported("top_p", "this model takes temperature or top_p, not both")
    body.temperature = clamped("temperature", request.temperature, 0, 1, notes)
    body.top_p = clamped("top_p", request.top_p, least_top_p, 1, notes)
    body.top_k = whole_top_k(request)


def _format(body: wire.Body, request: ChatRequest) -> None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return
    asked = wanted.json_schema
    if asked is None or asked.schema is None:
        raise unsupported("response_format", "Anthropic's models write JSON to a schema only; give json_schema")
    schema = asked.schema
    if asked.description is not None:
        schema = {"description": asked.description, **schema}
    body.output_config = body.output_config or wire.OutputConfig()
    body.output_config.format = wire.OutputFormat(schema)


def _tools(request: ChatRequest) -> list[wire.Tool] | None:
    if not request.tools:
        return None
    functions = [tool.function for tool in request.tools]
    nothing: dict[str, Any] = {"type": "object", "properties": {}}
    return [wire.Tool(each.name, each.parameters or nothing, each.description, each.strict) for each in functions]


def _tool_choice(request: ChatRequest, profile: AnthropicProfile) -> wire.ToolChoice | None:
    choice, one = request.tool_choice, request.parallel_tool_calls is False
    if not request.tools:
        if choice not in (None, "none", "auto"):
            raise unsupported("tool_choice", "there are no tools to choose from")
        return None
    if choice is None:
        return wire.ToolChoice("auto", None, one) if one else None
    if choice == "none":
        return wire.ToolChoice("none")
    if choice == "auto":
        return wire.ToolChoice("auto", None, one)
    if not profile.forced_tools:
        raise unsupported("tool_choice", "this model cannot be made to call a tool; use auto")
    if isinstance(choice, NamedTool):
        return wire.ToolChoice("tool", choice.function.name, one)
    return wire.ToolChoice("any", None, one)


def _conversation(messages: list[Message], notes: list[str]) -> tuple[str | None, list[wire.Turn]]:
    """What systems say, and turns of alternating roles."""
    system: list[str] = []
    turns: list[wire.Turn] = []
    for index, message in enumerate(messages):
        if message.role == "system":
            if turns:
                notes.append(f"messages.{index}: system messages go first with this vendor")
            system.append(str(message.content))
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(index, message, notes)
        if turns and turns[-1].role == role:
            turns[-1].content.extend(blocks)
        else:
            turns.append(wire.Turn(role, blocks))
    if not turns:
        msg = "this vendor needs a message that is not the system's; put the question into one of role user"
        raise InvalidRequest.at("body", "messages", msg=msg)
    return "\n\n".join(system) or None, turns


def _blocks(index: int, message: Message, notes: list[str]) -> list[wire.Block]:
    if message.tool_call_id is not None:
        return [wire.ToolResult(_id(message.tool_call_id), str(message.content))]
    if not isinstance(message.content, str):
        return [_part(part, f"messages.{index}.content.{place}", notes) for place, part in enumerate(message.content)]
    calls = [_tool_use(index, number, call) for number, call in enumerate(message.tool_calls or ())]
    if calls and not message.content:  # empty texts are refused there
        return calls
    return [wire.Text(message.content), *calls]


def _part(part: Part, where: str, notes: list[str]) -> wire.Block:
    if part.text is not None:
        return wire.Text(part.text)
    note_detail(part.image_url or part.image_data, where, notes)
    inline = inline_image(part)
    if inline is not None:
        return wire.Image(wire.Base64Source(inline.media_type, inline.data))
    return wire.Image(wire.UrlSource(remote_image(part)))


def _tool_use(index: int, number: int, call: ToolCall) -> wire.Block:
    return wire.ToolUse(_id(call.id), call.function.name, arguments_of(call, index, number))


def _id(id: str) -> str:
    """``id`` in the letters that this vendor takes, the same for a call and its result. Calls that another vendor's
    model made may have others in it."""
    return id if _IDS.fullmatch(id) else f"toolu_{hashlib.sha256(id.encode()).hexdigest()[:32]}"


def _with_bindings(body: wire.Body, request: ChatRequest) -> bytes:
    """Request parameters of the model become further fields, as in ``service_tier``."""
    encoded = _encode(body)
    bindings = bindings_of(request)
    for name in bindings:
        if name in _OURS:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself; set it there")
    return _encode({**msgspec.json.decode(encoded), **bindings}) if bindings else encoded
