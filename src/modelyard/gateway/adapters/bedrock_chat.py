"""A native chat request as a body of Bedrock's Converse.

Roles alternate there: messages of one role that follow each other become one turn, results of tools are turns of the
user, and what systems say goes first. What Converse itself lacks goes to ``additionalModelRequestFields`` where the
model's family has a place for it (`bedrock_models`), and so do a model's own request parameters.
"""

import hashlib
import re
from typing import Any

import msgspec

from modelyard.domain.inference import ChatRequest, JsonSchema, Message, NamedTool, Part, ToolCall, ToolFunction
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters import bedrock_wire as wire
from modelyard.gateway.adapters.adjusting import (
    clamped,
    nearest_effort,
    note_detail,
    refuse,
    whole_top_k,
    without_temperature,
)
from modelyard.gateway.adapters.arguments import arguments_of
from modelyard.gateway.adapters.bedrock_models import BedrockProfile, Reasoning, base_of, profile_of
from modelyard.gateway.adapters.images import inline_image
from modelyard.gateway.adapters.wire import bindings_of, unsupported, wants_logprobs

THINKING_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32768}
"""Tokens, for models that are given a budget rather than an effort."""
_LEAST_BUDGET = 1024

_LACKS = {
    "logprobs": "models on Bedrock tell no log probabilities",
    "top_logprobs": "models on Bedrock tell no log probabilities",
    "chat_template": "a vendor's model has its own",
    "chat_template_kwargs": "a vendor's model has its own chat template",
}
_NO_SAMPLING = {"top_p": "this model takes no sampling parameters; leave it out, or use reasoning_effort"}
_USUAL = {"top_p": 1}
_FAMILIES_ONLY = ("top_k", "frequency_penalty", "presence_penalty", "seed")
"""What only some models take."""

_SILENT_UNLESS_ASKED = (Reasoning.NONE, Reasoning.BUDGET, Reasoning.NOVA)
"""Of what does not think unless it is told to."""

_IDS = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_encode = msgspec.json.Encoder().encode


def chat_body(request: ChatRequest, target: VendorTarget, notes: list[str]) -> bytes:
    """The body; ``notes`` gets what had to be changed. Raises `InvalidRequest` naming what the model lacks."""
    wants_logprobs(request)
    refuse(request, _LACKS)
    profile = profile_of(base_of(target))
    if not profile.sampling:
        request = without_temperature(request, notes)
        refuse(request, _NO_SAMPLING, _USUAL)
    system, turns = _conversation(request.messages, notes)
    body = wire.Body(
        messages=turns,
        system=system or None,
        inference_config=_inference(request, target, notes),
        tool_config=_tool_config(request, notes),
        output_config=_format(request),
    )
    further = _further(request, profile)
    _reason(body, further, request, profile, notes)
    for name, value in bindings_of(request).items():
        if name in further:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself; set it there")
        further[name] = value
    body.additional_model_request_fields = further or None
    return _encode(body)


def _inference(request: ChatRequest, target: VendorTarget, notes: list[str]) -> wire.InferenceConfig | None:
    most = target.max_output_tokens
    config = wire.InferenceConfig(
        request.max_tokens if most is None else clamped("max_tokens", request.max_tokens, 1, most, notes),
        clamped("temperature", request.temperature, 0, 1, notes),
        request.top_p,
        request.stop_sequences or None,
    )
    return config if config != wire.InferenceConfig() else None


def _further(request: ChatRequest, profile: BedrockProfile) -> dict[str, Any]:
    """``additionalModelRequestFields`` for what this model's family takes."""
    refuse(request, {name: "this model does not take it" for name in _FAMILIES_ONLY if name not in profile.places})
    further: dict[str, Any] = {}
    for name, place in profile.places.items():
        value = whole_top_k(request) if name == "top_k" else getattr(request, name)
        if value is not None:
            _put(further, place, value)
    return further


def _put(fields: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        fields = fields.setdefault(name, {})
    fields[place[-1]] = value


def _reason(
    body: wire.Body, further: dict[str, Any], request: ChatRequest, profile: BedrockProfile, notes: list[str]
) -> None:
    asked = request.reasoning_effort
    if asked is None or (asked == "none" and profile.reasoning in _SILENT_UNLESS_ASKED):
        return
    if profile.reasoning is Reasoning.NONE:
        raise unsupported("reasoning_effort", "this model cannot be told how much to think")
    if profile.reasoning is Reasoning.BUDGET:
        _give_budget(body, further, request, notes)
        return
    effort = nearest_effort(asked, profile.efforts, notes)
    match profile.reasoning:
        case Reasoning.FIELD:
            further["reasoning_effort"] = effort
        case Reasoning.NOVA:
            further["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": effort}
        case Reasoning.ADAPTIVE if effort == "none":
            further["thinking"] = {"type": "disabled"}
        case Reasoning.ADAPTIVE:
            further["thinking"] = {"type": "adaptive"}
            body.output_config = body.output_config or wire.OutputConfig()
            body.output_config.effort = effort


def _give_budget(body: wire.Body, further: dict[str, Any], request: ChatRequest, notes: list[str]) -> None:
    if request.messages[-1].role == "tool":
        # Such a turn would have to begin with the model's own signed thoughts, which no client gives back to us.
        notes.append("reasoning_effort: this model does not think in turns that answer tool calls")
        return
    wanted = THINKING_BUDGETS[request.reasoning_effort or "low"]
    most = body.inference_config.max_tokens if body.inference_config is not None else None
    budget = wanted if most is None else min(wanted, most - 1)
    if budget < _LEAST_BUDGET:
        raise unsupported("reasoning_effort", f"needs max_tokens above {_LEAST_BUDGET} with this model")
    notes.append(f"reasoning_effort: {request.reasoning_effort} was sent as at most {budget} tokens of thinking")
    further["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _conversation(messages: list[Message], notes: list[str]) -> tuple[list[Any], list[wire.Turn]]:
    """What systems say, and turns of alternating roles."""
    system: list[Any] = []
    turns: list[wire.Turn] = []
    for index, message in enumerate(messages):
        if message.role == "system":
            if turns:
                notes.append(f"messages.{index}: system messages go first with this vendor")
            system.append({"text": message.content})
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
    return system, turns


def _blocks(index: int, message: Message, notes: list[str]) -> list[Any]:
    content = message.content
    if message.tool_call_id is not None:
        return [
            {"toolResult": {"toolUseId": _id(message.tool_call_id), "content": [{"text": content}] if content else []}}
        ]
    if not isinstance(content, str):
        return [_part(index, place, part, notes) for place, part in enumerate(content)]
    calls = [_tool_use(index, number, call) for number, call in enumerate(message.tool_calls or ())]
    return calls if calls and not content else [{"text": content}, *calls]  # empty texts are refused there


def _part(index: int, place: int, part: Part, notes: list[str]) -> dict[str, Any]:
    if part.text is not None:
        return {"text": part.text}
    where = ("body", "messages", index, "content", place)
    image = inline_image(part)
    if image is None:
        msg = "Bedrock fetches no images; send it inline, as image_data or as a data URL"
        raise InvalidRequest.at(*where, msg=msg, type="unsupported", code="unsupported_parameter")
    kind = wire.FORMATS.get(image.media_type.lower())
    if kind is None:
        msg = f"Bedrock takes images of the types {', '.join(sorted(set(wire.FORMATS.values())))}"
        raise InvalidRequest.at(*where, msg=msg, type="unsupported", code="unsupported_parameter")
    note_detail(image, f"messages.{index}.content.{place}", notes)
    return {"image": {"format": kind, "source": {"bytes": image.data}}}


def _tool_use(index: int, number: int, call: ToolCall) -> dict[str, Any]:
    used = {"toolUseId": _id(call.id), "name": call.function.name, "input": arguments_of(call, index, number)}
    return {"toolUse": used}


def _id(id: str) -> str:
    """``id`` in the letters that Bedrock takes, the same for a call and its result. Calls that another vendor's model
    made may have others in it."""
    return id if _IDS.fullmatch(id) else f"tooluse_{hashlib.sha256(id.encode()).hexdigest()[:32]}"


def _tool_config(request: ChatRequest, notes: list[str]) -> wire.ToolConfig | None:
    tools, choice = request.tools, request.tool_choice
    if not tools:
        if choice not in (None, "none", "auto"):
            raise unsupported("tool_choice", "there are no tools to choose from")
        return None
    if request.parallel_tool_calls is False:
        raise unsupported("parallel_tool_calls", "models on Bedrock cannot be kept from calling several tools at once")
    config = wire.ToolConfig([{"toolSpec": _tool(tool.function)} for tool in tools])
    if choice == "none":
        if any(message.tool_calls or message.tool_call_id for message in request.messages):
            raise unsupported("tool_choice", "none cannot be said to Bedrock once the conversation has tool calls")
        notes.append("tool_choice: none was sent by leaving out the tools")
        return None
    if isinstance(choice, NamedTool):
        config.tool_choice = {"tool": {"name": choice.function.name}}
    elif choice == "required":
        config.tool_choice = {"any": {}}
    return config


def _tool(function: ToolFunction) -> dict[str, Any]:
    schema = function.parameters or {"type": "object", "properties": {}}
    sent: dict[str, Any] = {"name": function.name, "inputSchema": {"json": schema}}
    if function.description:
        sent["description"] = function.description
    if function.strict is not None:
        sent["strict"] = function.strict
    return sent


def _format(request: ChatRequest) -> wire.OutputConfig | None:
    asked = request.response_format
    if asked is None or asked.type == "text":
        return None
    named = asked.json_schema
    if named is None or named.schema is None:
        raise unsupported("response_format", "models on Bedrock write JSON to a schema only; give json_schema")
    return wire.OutputConfig({"type": "json_schema", "structure": {"jsonSchema": _schema(named)}})


def _schema(named: JsonSchema) -> dict[str, Any]:
    """The schema itself goes as a text."""
    sent = {"schema": _encode(named.schema).decode(), "name": named.name}
    return sent if named.description is None else {**sent, "description": named.description}
