"""What the bodies of /v1 mean natively: one native request for each choice of the answer."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from modelyard.domain.inference import Bindings, ChatRequest, EmbeddingRequest, NamedTool, RerankingRequest, TextRequest
from modelyard.domain.routes import Route
from modelyard.domain.templates import EndpointProtocol
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters.profiles import PROFILES
from modelyard.http.inference import bodies as v4
from modelyard.http.inference.reading import decode
from modelyard.http.openai.bodies import ChatBody, CompletionBody, Document, EmbeddingBody, RerankBody, TextBody
from modelyard.http.openai.messages import native_messages
from modelyard.http.openai.refusals import REFUSED, refuse, unsupported

B = TypeVar("B", bound=TextBody | EmbeddingBody | RerankBody)
Extras = dict[str, Any]
"""Fields of a body that its template declares as request parameters."""

MAX_CHOICES = 2048


def read(decoder: "msgspec.json.Decoder[B]", kind: type[B], body: bytes, route: Route) -> tuple[B, Extras]:
    """``body`` checked, less the fields that the model's template declares: they come beside it."""
    try:
        read_body, extras = decode(decoder, body), {}
    except InvalidRequest as error:
        declared = {parameter.name for parameter in route.request_schema.parameters} - set(kind.__struct_fields__)
        if not declared or error.errors[0].type != "unknown":
            raise
        whole = msgspec.json.decode(body)
        extras = {name: whole.pop(name) for name in declared & whole.keys()}
        read_body = decode(decoder, msgspec.json.encode(whole))
    refuse(read_body, _own(route, read_body))
    return read_body, extras


def chat_requests(route: Route, body: ChatBody, extras: Extras) -> list[TextRequest]:
    messages = native_messages(body.messages)
    v4.check_images(route, messages, "messages")
    tools = _tools(body)
    further = _further(route, body) | _own(route, body)
    wants_text = body.response_format is None or body.response_format.type == "text"
    request = ChatRequest(
        messages=messages,
        tools=body.tools or None,
        tool_choice=body.tool_choice if tools else None,
        parallel_tool_calls=body.parallel_tool_calls if tools else None,
        response_format=None if wants_text else body.response_format,
        seed=body.seed,
        max_tokens=_max_tokens(body),
        logprobs=body.logprobs,
        top_logprobs=body.top_logprobs,
        reasoning_effort=body.reasoning_effort,
        chat_template=body.chat_template,
        chat_template_kwargs=body.chat_template_kwargs,
        model_request_parameters=_bindings(route, body.model_request_parameters, extras, further),
        **_sampling(body),
    )
    return _copies(request, body.n or 1)


def completion_requests(route: Route, body: CompletionBody, extras: Extras) -> list[TextRequest]:
    prompts = _texts("prompt", body.prompt)
    copies = body.n or 1
    if len(prompts) * copies > MAX_CHOICES:
        raise unsupported(
            "prompt", f"at most {MAX_CHOICES} choices in one call: send fewer prompts, or ask for fewer n"
        )
    settings = {
        **_sampling(body),
        "max_tokens": body.max_tokens,
        "logprobs": None if body.logprobs is None else True,
        "top_logprobs": body.logprobs,
    }
    requests = [v4.native_completion(route, v4.CompletionBody(prompt=prompt, **settings)) for prompt in prompts]
    further, own = _further(route, body), {}
    if isinstance(requests[0], ChatRequest):
        own = {"seed": body.seed}
    elif body.seed is not None:
        further["seed"] = body.seed
    bindings = _bindings(route, body.model_request_parameters, extras, further)
    replaced = (msgspec.structs.replace(each, model_request_parameters=bindings, **own) for each in requests)
    return [copy for request in replaced for copy in _copies(request, copies)]


def embedding_request(route: Route, body: EmbeddingBody, extras: Extras) -> EmbeddingRequest:
    """Who speaks this protocol or knows the parameter is told the dimensions; whether they kept to them is seen
    afterwards."""
    knows = _speaks_it(route) or any(each.name == "dimensions" for each in route.request_schema.parameters)
    told = {} if body.dimensions is None or not knows else {"dimensions": body.dimensions}
    bindings = _bindings(route, body.model_request_parameters, extras, told)
    return EmbeddingRequest(_texts("input", body.input), bindings)


def rerank_request(route: Route, body: RerankBody, extras: Extras) -> RerankingRequest:
    documents = [document.text if isinstance(document, Document) else document for document in body.documents]
    bindings = _bindings(route, body.model_request_parameters, extras, _own(route, body))
    return RerankingRequest(body.query, documents, body.instruction, bindings)


def check_stream_options(body: TextBody) -> None:
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest.at("body", "stream_options", msg="is only allowed together with stream: true")


def _tools(body: ChatBody) -> bool:
    """Whether tools are offered; raises `InvalidRequest` for a choice among tools that are not there."""
    names = {tool.function.name for tool in body.tools or ()}
    if isinstance(body.tool_choice, NamedTool) and body.tool_choice.function.name not in names:
        msg = f"there is no tool '{body.tool_choice.function.name}' in tools"
        raise InvalidRequest.at("body", "tool_choice", msg=msg)
    if body.tool_choice == "required" and not names:
        raise InvalidRequest.at("body", "tool_choice", msg="is 'required', but there are no tools")
    return bool(names)


def _max_tokens(body: ChatBody) -> int | None:
    new, old = body.max_completion_tokens, body.max_tokens
    if new is not None and old is not None and new != old:
        raise InvalidRequest.at("body", "max_tokens", msg="contradicts max_completion_tokens; send only that")
    return old if new is None else new


def _sampling(body: TextBody) -> dict[str, Any]:
    stop = [body.stop] if isinstance(body.stop, str) else body.stop
    return {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": None if body.top_k is None or body.top_k < 0 else body.top_k,  # vLLM's -1: all of them
        "stop_sequences": stop or None,
        "frequency_penalty": body.frequency_penalty,
        "presence_penalty": body.presence_penalty,
        "stream": body.stream or None,
    }


def _further(route: Route, body: TextBody) -> Extras:
    """Sampling fields that only servers of this protocol know. llama.cpp calls the last one otherwise."""
    penalty = body.repetition_penalty
    if penalty is None and body.min_p is None:
        return {}
    given = {"min_p": body.min_p, "repetition_penalty": penalty}
    if route.vendor is None:
        given["repeat_penalty"] = penalty
    return {name: value for name, value in given.items() if value is not None}


def _own(route: Route, body: TextBody | EmbeddingBody | RerankBody) -> Extras:
    """What this model has a meaning for and others have not: fields, refused elsewhere, that its request parameters
    declare, and OpenAI's own of its own chats. Others that might answer instead would refuse it, so it is told only
    where there are none."""
    if route.fallbacks:
        return {}
    names = {parameter.name for parameter in route.request_schema.parameters} & REFUSED
    profile = PROFILES.get(route.vendor.vendor) if route.vendor is not None else None
    if profile is not None and isinstance(body, ChatBody):
        names |= set(profile.own)
    return {name: value for name in sorted(names) if (value := getattr(body, name, None)) is not None}


def _bindings(route: Route, given: Bindings | None, extras: Extras, further: Extras) -> Bindings | None:
    """Request parameters: what the template declares, checked; and what the protocol itself knows."""
    if given is None and not extras and not further and not route.request_schema.parameters:
        return None
    declared = {parameter.name for parameter in route.request_schema.parameters}
    bindings = {**(given.bindings if given is not None else {}), **extras}
    bindings |= {name: value for name, value in further.items() if name in declared}
    v4.check_bindings(route, Bindings(bindings) if bindings else None)
    if further and not _speaks_it(route):
        for name in further.keys() - declared - {"repeat_penalty"}:
            raise unsupported(name, f"'{route.model_name}' knows no such setting, and its template declares none")
        further = {}
    whole = {**further, **bindings}
    return Bindings(whole) if whole else None


def _speaks_it(route: Route) -> bool:
    """Whether an OpenAI-compatible server answers, which takes further fields or refuses them itself."""
    if route.vendor is not None:
        return route.vendor.vendor in PROFILES
    return route.protocol is EndpointProtocol.VLLM


def _copies(request: TextRequest, copies: int) -> list[TextRequest]:
    """As many of the same; each has a seed of its own, or they would all be answered alike."""
    if copies == 1:
        return [request]
    return [_reseeded(request, number) for number in range(copies)]


def _reseeded(request: TextRequest, number: int) -> TextRequest:
    if isinstance(request, ChatRequest):
        return request if request.seed is None else msgspec.structs.replace(request, seed=request.seed + number)
    bindings: Mapping[str, Any] = request.model_request_parameters.bindings if request.model_request_parameters else {}
    seed = bindings.get("seed")
    if not isinstance(seed, int):
        return request
    return msgspec.structs.replace(request, model_request_parameters=Bindings({**bindings, "seed": seed + number}))


def _texts(field: str, given: str | Sequence[Any]) -> list[str]:
    if isinstance(given, str):
        return [given]
    if not given:
        raise InvalidRequest.at("body", field, msg="is empty")
    for index, text in enumerate(given):
        if not isinstance(text, str):
            if isinstance(text, list | int):
                raise unsupported(field, "token ids differ from model to model; send texts", index)
            raise InvalidRequest.at("body", field, index, msg="must be a text", type="type_error")
    return list(given)
