"""The most tokens that a request's input can have, for reservations under limits: no estimate, which a text of another
kind proves wrong, but a bound.

A tokenizer that works on bytes makes at most one token of each; what a chat template, an engine or a vendor adds of
its own is far below the constants here.
"""

from collections.abc import Iterable

import msgspec

from modelyard.domain.history import text_bound, texts_of
from modelyard.domain.inference import ChatRequest, CompletionRequest, EmbeddingRequest, NativeRequest
from modelyard.domain.routes import Route

TEXT_TOKENS = 16
"""Around one text or message. Templates add up to 6 tokens to a message, encoders up to 4 to a text."""
TEMPLATE_TOKENS = 64
"""In front of a conversation: a template's own system message (Llama 3.2's, with the date, has 38)."""
TOOL_TOKENS = 640
"""Around a description of tools: templates add up to 180, Anthropic's models up to 530.
https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview#pricing"""
IMAGE_TOKENS = 4096
"""One image. Few models make more of one: 258 to 1600 tokens are usual."""

_encode = msgspec.json.Encoder().encode


def most_prompt_tokens(request: NativeRequest, route: Route) -> int:
    """What is sent on to ``route`` of it: a conversation is cut to its context window."""
    window = route.context_window
    if isinstance(request, ChatRequest):
        # A template of the call's own can write a text as often as it likes.
        most = _conversation(request) if request.chat_template is None or window is None else window
        return most if window is None else min(most, window)
    if isinstance(request, CompletionRequest):
        return _texts(request.prompts)
    if isinstance(request, EmbeddingRequest):
        return _texts(request.texts)
    around = text_bound(request.query) + text_bound(request.instruction or "")
    return _texts(request.chunks) + around * len(request.chunks)


def _conversation(request: ChatRequest) -> int:
    most = TEMPLATE_TOKENS
    for message in request.messages:
        texts = texts_of(message)
        most += TEXT_TOKENS + sum(map(text_bound, texts))
        # Some templates write the ids of calls, too, which are the caller's own texts.
        ids = (message.tool_call_id or "", *(call.id for call in message.tool_calls or ()))
        most += sum(map(text_bound, ids))
        if not isinstance(message.content, str):
            most += IMAGE_TOKENS * sum(part.text is None for part in message.content)
    if request.tools:
        most += TOOL_TOKENS + len(_encode(request.tools))
    if request.response_format is not None:
        most += len(_encode(request.response_format))
    if request.chat_template_kwargs:
        # Templates write such a text once (a date, documents), or with each message.
        most += len(_encode(request.chat_template_kwargs)) * (len(request.messages) + 1)
    return most


def _texts(texts: Iterable[str]) -> int:
    return sum(TEXT_TOKENS + text_bound(text) for text in texts)
