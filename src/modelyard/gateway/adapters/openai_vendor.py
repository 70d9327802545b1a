"""OpenAI itself, and vendors that speak its format: what workers are sent, with the model's name in it, within what
the vendor's profile says.

Error codes: https://platform.openai.com/docs/guides/error-codes; bodies are ``{"error": {"message", "type", "param",
"code"}}``.
"""

import re
from typing import Any, TypeVar

import msgspec

from modelyard.domain.inference import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    RerankingRequest,
    TextRequest,
)
from modelyard.domain.models import ModelVendor
from modelyard.domain.routes import Route
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import ModelyardError
from modelyard.gateway.adapters.adjusting import NEUTRAL, clamped, refuse, without_temperature
from modelyard.gateway.adapters.faults import explanation
from modelyard.gateway.adapters.openai import OpenAIAdapter, OpenAIStream
from modelyard.gateway.adapters.profiles import NEUTRAL as NEUTRAL_THINKING
from modelyard.gateway.adapters.profiles import PROFILES
from modelyard.gateway.adapters.vendor_faults import Fault, by_status, vendor_error
from modelyard.gateway.adapters.wire import WireRequest

R = TypeVar("R", ChatRequest, CompletionRequest)

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])

_FAULTS = {
    "context_length_exceeded": Fault.TOO_LONG,
    "string_above_max_length": Fault.TOO_LONG,
    "content_filter": Fault.FILTERED,
    "content_policy_violation": Fault.FILTERED,
    "invalid_prompt": Fault.FILTERED,
    "insufficient_quota": Fault.UNPAID,
    "billing_hard_limit_reached": Fault.UNPAID,
    "model_not_found": Fault.UNKNOWN_MODEL,
    "invalid_api_key": Fault.CREDENTIALS,
    "rate_limit_exceeded": Fault.RATE_LIMITED,
}
_TOO_LONG = re.compile(
    r"maximum context length|context length|too long for|exceeds? the model'?s? context", re.IGNORECASE
)


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: Any = None
    code: Any = None


class _Body(msgspec.Struct):
    error: _Error | str | None = None


_body = msgspec.json.Decoder(_Body)


class OpenAIVendorAdapter(OpenAIAdapter):
    """For one vendor; what it does otherwise stands in `profiles`."""

    def __init__(self, vendor: ModelVendor) -> None:
        self._vendor = vendor
        self._profile = PROFILES[vendor]

    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest:
        target, notes = _target(route), list[str]()
        request = self._fitted(request, target, notes)
        wire = super().encode_chat(request, route)
        return _named(wire, target, notes, {"max_tokens": self._profile.most_tokens})

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest:
        target, notes = _target(route), list[str]()
        request = self._fitted(request, target, notes)
        return _named(super().encode_completion(request, route), target, notes)

    def most_texts(self, route: Route) -> int | None:
        return self._profile.most_texts

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        return _named(super().encode_embedding(request, route), _target(route))

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest:
        return _named(super().encode_reranking(request, route), _target(route))

    def stream_decoder(self, request: TextRequest) -> OpenAIStream:
        return _VendorStream(request.top_logprobs or 0, self._vendor)

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        return openai_error(self._vendor, status, body)

    def _fitted(self, request: R, target: VendorTarget, notes: list[str]) -> R:
        refuse(request, self._profile.refused)
        if target.reasoning and request.reasoning_effort != "none":
            request = without_temperature(request, notes)
            refuse(request, self._profile.refused_thinking, {**NEUTRAL, **NEUTRAL_THINKING})
        limit = target.max_output_tokens
        most = request.max_tokens if limit is None else clamped("max_tokens", request.max_tokens, 1, limit, notes)
        return request if most == request.max_tokens else msgspec.structs.replace(request, max_tokens=most)


class _VendorStream(OpenAIStream):
    __slots__ = ("_vendor",)

    def __init__(self, top_logprobs: int, vendor: ModelVendor) -> None:
        super().__init__(top_logprobs)
        self._vendor = vendor

    def _error(self, payload: bytes) -> ModelyardError:
        return openai_error(self._vendor, 500, payload)


def openai_error(vendor: str, status: int, body: bytes) -> ModelyardError:
    """What an answer that is no success means, or an error within a stream (then ``status`` is 500)."""
    text = explanation(body)
    try:
        error = _body.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = None
    if not isinstance(error, _Error):
        return vendor_error(by_status(status), vendor, text)
    fault = _FAULTS.get(str(error.code)) or _FAULTS.get(str(error.type)) or by_status(status)
    if fault is Fault.REFUSED and _TOO_LONG.search(text):
        fault = Fault.TOO_LONG
    return vendor_error(fault, vendor, text, field=_ours(error.param))


_NAMES = {"max_completion_tokens": "max_tokens", "stop": "stop_sequences", "input": "texts"}


def _ours(param: Any) -> str | None:
    """The request's field that a vendor's ``param`` (such as ``messages[0].content``) means."""
    if not isinstance(param, str):
        return None
    name = re.split(r"[.\[]", param, maxsplit=1)[0]
    return _NAMES.get(name, name) or None


def _target(route: Route) -> VendorTarget:
    assert route.vendor is not None
    return route.vendor


def _named(
    wire: WireRequest, target: VendorTarget, notes: list[str] | None = None, names: dict[str, str] | None = None
) -> WireRequest:
    """``wire`` with the model in its body, fields called as in ``names``, and a path that suits the address: OpenAI's
    clients are given one with its version at the end, and so may we be."""
    fields = _fields.decode(wire.body)
    for ours, theirs in (names or {}).items():
        if ours in fields:
            fields[theirs] = fields.pop(ours)
    body = _encode({"model": target.model, **fields})
    return WireRequest(_path(wire.path, target.base_url), body, wire.method, wire.headers, tuple(notes or ()))


def _path(path: str, base_url: str) -> str:
    has_path = "/" in base_url.partition("://")[2]
    return path.removeprefix("/v1") if has_path else path
