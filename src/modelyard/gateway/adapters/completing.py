"""Plain completion by vendors that only chat: the prompt becomes a user's message, the answer's text the completion."""

from modelyard.domain.inference import (
    ChatRequest,
    ChatResult,
    CompletionRequest,
    CompletionResult,
    Message,
    Sampling,
)
from modelyard.gateway.adapters.wire import unsupported

_SHARED = Sampling.__struct_fields__


def as_chat(request: CompletionRequest) -> ChatRequest:
    """The chat that asks for the one completion of ``request``."""
    if len(request.prompts) != 1:
        raise unsupported("prompts", "one prompt a call")
    shared = {name: getattr(request, name) for name in _SHARED}
    return ChatRequest(messages=[Message("user", request.prompts[0])], **shared)


def as_completion(request: CompletionRequest, result: ChatResult) -> CompletionResult:
    """What a chat answered, as the completion of ``request``."""
    return CompletionResult(
        [(request.prompts[0], [result.message.content])],
        result.finish_reason,
        result.prompt_tokens,
        result.response_tokens,
        result.logprobs,
        result.cached_tokens,
        result.reasoning_tokens,
    )
