"""A native chat as the body of a Gemini request."""

import mimetypes
from typing import Any
from urllib.parse import urlsplit

import msgspec

from modelyard.domain.inference import ChatRequest, Message, NamedTool, Part
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters import gemini_wire as wire
from modelyard.gateway.adapters.adjusting import clamped, nearest_effort, note_detail, refuse, whole_top_k
from modelyard.gateway.adapters.gemini_calls import call_parts, result_part
from modelyard.gateway.adapters.gemini_models import GeminiProfile, Thinking
from modelyard.gateway.adapters.images import inline_image, remote_image
from modelyard.gateway.adapters.wire import bindings_of, unsupported, wants_logprobs

THINKING_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens, for models that are given a budget rather than a level; the vendor's own table for its OpenAI surface."""
LEVELS = ("minimal", "low", "medium", "high")

_LACKS = {
    "chat_template": "a vendor's model has its own",
    "chat_template_kwargs": "a vendor's model has its own chat template",
}
_JSON = "application/json"
_NOTHING = wire.GenerationConfig()

_encode = msgspec.json.Encoder().encode
_OURS = frozenset(wire.GenerationConfig.__struct_encode_fields__) | {"candidateCount"}


def encode(request: ChatRequest, target: VendorTarget, profile: GeminiProfile) -> tuple[bytes, list[str]]:
    """The body, and notes on what had to be changed."""
    refuse(request, _LACKS)
    if request.parallel_tool_calls is False:
        raise unsupported("parallel_tool_calls", "Gemini cannot be kept from calling several tools at once")
    notes: list[str] = []
    system, contents = _conversation(request.messages, profile, notes)
    body = wire.Body(
        contents=contents,
        system_instruction=wire.Content(system) if system else None,
        tools=_tools(request),
        tool_config=_tool_config(request),
        generation_config=_with_bindings(_config(request, target, profile, notes), request),
    )
    return _encode(body), notes


def _config(
    request: ChatRequest, target: VendorTarget, profile: GeminiProfile, notes: list[str]
) -> wire.GenerationConfig:
    most = target.max_output_tokens
    config = wire.GenerationConfig(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=whole_top_k(request),
        max_output_tokens=clamped("max_tokens", request.max_tokens, 1, most, notes) if most else request.max_tokens,
        stop_sequences=request.stop_sequences or None,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        seed=request.seed,
        thinking_config=_thinking(request, profile, notes),
    )
    if wants_logprobs(request):
        config.response_logprobs = True
        config.logprobs = request.top_logprobs or None
    wanted = request.response_format
    if wanted is not None and wanted.type != "text":
        config.response_mime_type = _JSON
        if wanted.json_schema is not None:
            config.response_json_schema = _schema(wanted.json_schema.schema, wanted.json_schema.description)
    return config


def _schema(schema: dict[str, Any] | None, description: str | None) -> dict[str, Any] | None:
    return {"description": description, **(schema or {})} if description is not None else schema


def _thinking(request: ChatRequest, profile: GeminiProfile, notes: list[str]) -> wire.ThinkingConfig | None:
    effort = request.reasoning_effort
    if effort is None:
        return None
    match profile.thinking:
        case Thinking.LEVEL:
            return wire.ThinkingConfig(True, thinking_level=nearest_effort(effort, LEVELS, notes).upper())
        case Thinking.BUDGET:
            budget = THINKING_BUDGETS[nearest_effort(effort, tuple(THINKING_BUDGETS), notes)]
            return wire.ThinkingConfig(budget > 0, thinking_budget=budget)
        case Thinking.NONE if effort == "none":
            return None
        case Thinking.NONE:
            raise unsupported("reasoning_effort", "this model does not think before it answers")


def _tools(request: ChatRequest) -> list[wire.Tool] | None:
    if not request.tools:
        return None
    functions = [tool.function for tool in request.tools]
    return [wire.Tool([wire.FunctionDeclaration(each.name, each.description, each.parameters) for each in functions])]


def _tool_config(request: ChatRequest) -> wire.ToolConfig | None:
    choice = request.tool_choice
    if not request.tools:
        if choice not in (None, "none", "auto"):
            raise unsupported("tool_choice", "there are no tools to choose from")
        return None
    if isinstance(choice, NamedTool):
        return wire.ToolConfig(wire.FunctionCallingConfig("ANY", [choice.function.name]))
    if choice in ("none", "required"):
        return wire.ToolConfig(wire.FunctionCallingConfig("NONE" if choice == "none" else "ANY"))
    if any(tool.function.strict for tool in request.tools):
        return wire.ToolConfig(wire.FunctionCallingConfig("VALIDATED"))
    return wire.ToolConfig(wire.FunctionCallingConfig("AUTO")) if choice == "auto" else None


def _conversation(
    messages: list[Message], profile: GeminiProfile, notes: list[str]
) -> tuple[list[wire.Part], list[wire.Content]]:
    """What systems say, and contents of alternating roles."""
    system: list[wire.Part] = []
    contents: list[wire.Content] = []
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        if message.role == "system":
            if contents:
                notes.append(f"messages.{index}: system messages go first with this vendor")
            system.append(wire.Part(str(message.content)))
            continue
        role = "model" if message.role == "assistant" else "user"
        parts = _parts(index, message, names, profile, notes)
        if contents and contents[-1].role == role:
            contents[-1].parts.extend(parts)
        else:
            contents.append(wire.Content(parts, role))
    if not contents:
        msg = "this vendor needs a message that is not the system's; put the question into one of role user"
        raise InvalidRequest.at("body", "messages", msg=msg)
    return system, contents


def _parts(
    index: int, message: Message, names: dict[str, str], profile: GeminiProfile, notes: list[str]
) -> list[wire.Part]:
    if message.tool_call_id is not None:
        return [result_part(index, message, names)]
    if not isinstance(message.content, str):
        return [_part(part, f"messages.{index}.content.{place}", notes) for place, part in enumerate(message.content)]
    if not message.tool_calls:
        return [wire.Part(message.content)]
    names.update((call.id, call.function.name) for call in message.tool_calls)
    calls = call_parts(index, message.tool_calls, signed=profile.signs_calls)
    return [wire.Part(message.content), *calls] if message.content else calls


def _part(part: Part, where: str, notes: list[str]) -> wire.Part:
    if part.text is not None:
        return wire.Part(part.text)
    note_detail(part.image_url or part.image_data, where, notes)
    inline = inline_image(part)
    if inline is not None:
        return wire.Part(inline_data=wire.Blob(inline.media_type, inline.data))
    url = remote_image(part)
    # Vertex AI wants to know the type; where the address does not tell, its own words say so.
    return wire.Part(file_data=wire.FileData(url, mimetypes.guess_type(urlsplit(url).path)[0]))


def _with_bindings(config: wire.GenerationConfig, request: ChatRequest) -> Any:
    """Request parameters of the model become further fields of generationConfig, as in ``mediaResolution``."""
    bindings = bindings_of(request)
    for name in bindings:
        if name in _OURS:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself; set it there")
    if bindings:
        return {**msgspec.to_builtins(config), **bindings}
    return None if config == _NOTHING else config
