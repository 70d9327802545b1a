"""What a worker's error answer means, whichever of the usual shapes it has.

Shapes: OpenAI, vLLM and llama.cpp answer ``{"error": {"message", "type", …}}``, FastAPI and our own workers
``{"detail": …}``, older vLLM ``{"message": …}``.
"""

import re
from typing import Any

import msgspec

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.errors import FieldError, InvalidRequest, ModelyardError, Unavailable, UpstreamError, UpstreamTimeout

_MAX_TEXT = 2000
_HTML = re.compile(r"\s*(<!doctype html|<html|<head|<body)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)

_CONTEXT_WORDS = (
    "exceed_context_size",
    "context_length_exceeded",
    "maximum context length",
    "context size",
    "context_overflow",
)
"""How llama.cpp (a type), OpenAI (a code), vLLM (in its message) and our own workers (a code) say that a prompt is
too long."""


def decode_error(status: int, body: bytes) -> ModelyardError:
    """The error behind a worker's answer of ``status``, in its own words. A chat template that raises refuses the
    conversation; llama.cpp calls that an error of the server's."""
    fault = _fault(body)
    text = explanation(body)
    if status in (400, 413, 422, 501) or "jinja exception" in text.lower():
        return _refused(fault, text)
    if status in (429, 503):
        return Unavailable(f"The worker cannot take the call now: {text}", code="worker_busy", retry_after=1)
    if status in (408, 504):
        return UpstreamTimeout(f"The worker gave up: {text}")
    if status in (404, 405):
        hint = "Check predict_route and endpoint_protocol of the model's template."
        return UpstreamError(f"The worker has no such route (status {status}): {text}", hint=hint)
    return UpstreamError(f"The worker answered with status {status}: {text}")


def stream_error(payload: bytes) -> ModelyardError:
    """The error in an event of a stream; a status stands in its ``code`` where there is one."""
    fault = _fault(payload)
    inner = fault.get("error", fault) if isinstance(fault, dict) else fault
    status = inner.get("code") if isinstance(inner, dict) else None
    return decode_error(status if isinstance(status, int) and 400 <= status < 600 else 500, payload)


def explanation(body: bytes) -> str:
    """What an error's body says in words, whichever shape it has; of a web page only its title."""
    text = _message(_fault(body))
    if text is None and (page := _page(body)):
        return page
    return text or _plain(body) or "no explanation"


def _page(body: bytes) -> str | None:
    """Proxies and load balancers in between answer HTML, which nobody wants to read in a JSON error."""
    start = body[:_MAX_TEXT].decode("utf-8", "replace")
    if _HTML.match(start) is None:
        return None
    title = _TITLE.search(start)
    return f"a web page, titled '{' '.join(title[1].split())}'" if title else "a web page"


def _fault(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _message(fault: Any) -> str | None:
    if isinstance(fault, str):
        return fault[:_MAX_TEXT]
    if isinstance(fault, list):
        return "; ".join(filter(None, map(_message, fault[:5]))) or None
    if not isinstance(fault, dict):
        return None
    for key in ("error", "detail", "message", "msg"):
        if found := _message(fault.get(key)):
            return found
    return None


def _plain(body: bytes) -> str:
    return body[:_MAX_TEXT].decode("utf-8", "replace").strip()


def _refused(fault: Any, text: str) -> InvalidRequest:
    words = f"{fault} {text}".lower()
    if any(word in words for word in _CONTEXT_WORDS):
        error = FieldError(("body",), text, CONTEXT_LENGTH_EXCEEDED)
        return InvalidRequest([error], code=CONTEXT_LENGTH_EXCEEDED)
    fields = [found for item in _details(fault) if (found := _field(item))]
    whole = FieldError(("body",), f"the model's worker refused this: {text}", "refused_by_worker")
    return InvalidRequest(fields or [whole], code="refused_by_worker")


def _details(fault: Any) -> list[Any]:
    """FastAPI names the fields at fault in ``detail``, our own workers beside their words about them."""
    if not isinstance(fault, dict):
        return []
    if isinstance(detail := fault.get("detail"), list):
        return detail
    told = fault.get("errors")
    return (
        [item for item in told if isinstance(item, dict) and item.get("loc") != ["body"]]
        if isinstance(told, list)
        else []
    )


def _field(item: Any) -> FieldError | None:
    if not isinstance(item, dict) or not isinstance(item.get("msg"), str):
        return None
    raw = item.get("loc")
    loc = tuple(part for part in raw if isinstance(part, str | int)) if isinstance(raw, list) else ()
    return FieldError(loc or ("body",), item["msg"], str(item.get("type", "refused_by_worker")))
