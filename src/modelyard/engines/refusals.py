"""What engines of our own cannot do, refused in words: nothing in a request is dropped in silence."""

from modelyard.domain.inference import ChatRequest, CompletionRequest
from modelyard.errors import InvalidRequest

_REMEDY = "serve the model with llama-cpp or vllm for that"


def refuse_tools(request: ChatRequest | CompletionRequest, engine: str) -> None:
    """Raise `InvalidRequest` (code unsupported_parameter) where a chat needs tools or a response format: engines
    that only make text can neither offer the one nor keep to the other."""
    if not isinstance(request, ChatRequest):
        return
    if request.tools is not None:
        raise _unsupported("tools", f"the {engine} engine knows no tools; {_REMEDY}")
    if request.response_format is not None and request.response_format.type != "text":
        raise _unsupported("response_format", f"the {engine} engine writes as it likes; {_REMEDY}")
    for index, message in enumerate(request.messages):
        if message.role == "tool" or message.tool_calls:
            raise _unsupported("messages", f"the {engine} engine knows no tools; {_REMEDY}", index)


def _unsupported(field: str, msg: str, *place: int) -> InvalidRequest:
    return InvalidRequest.at("body", field, *place, msg=msg, type="unsupported", code="unsupported_parameter")
