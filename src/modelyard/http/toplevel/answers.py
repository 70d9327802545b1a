"""The answers of the top-level calls: the official client's ``chat_completions_response`` and
``completions_response``. Streamed pieces are those of the other calls (`modelyard.http.inference.answers`)."""

from typing import Any

import msgspec
from msgspec import Struct

from modelyard.domain.inference import AssistantMessage, ChatResult, CompletionResult

_encode = msgspec.json.Encoder().encode


class TokenUsage(Struct, frozen=True):
    prompt: int
    completion: int
    total: int


class ChatCompletion(Struct, frozen=True):
    message: AssistantMessage
    finish_reason: str | None


class ChatCompletionAnswer(Struct, frozen=True):
    chat_completion: ChatCompletion
    token_usage: TokenUsage | None
    """Null where the model's server does not tell."""


class TextCompletion(Struct, frozen=True):
    text: str
    finish_reason: str | None
    response_metadata: dict[str, Any] | None = None


class TextCompletionAnswer(Struct, frozen=True):
    completion: TextCompletion
    token_usage: TokenUsage | None


def chat_answer(result: ChatResult) -> bytes:
    message = AssistantMessage(result.message.content)
    return _encode(ChatCompletionAnswer(ChatCompletion(message, result.finish_reason), _usage(result)))


def completion_answer(result: ChatResult | CompletionResult) -> bytes:
    text = result.message.content if isinstance(result, ChatResult) else "".join(result.completions[0][1])
    return _encode(TextCompletionAnswer(TextCompletion(text, result.finish_reason), _usage(result)))


def _usage(result: ChatResult | CompletionResult) -> TokenUsage | None:
    prompt, response = result.prompt_tokens, result.response_tokens
    if prompt is None or response is None:
        return None
    return TokenUsage(prompt, response, prompt + response)
