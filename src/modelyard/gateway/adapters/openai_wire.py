"""The OpenAI-compatible format as structs: as much of it as chat, completions, embeddings and rerank need.

As spoken by vLLM (https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html) and llama.cpp's server
(https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md), tolerant of what else is in there.
"""

from typing import Any

import msgspec
from msgspec import Struct

from modelyard.domain.inference import ResponseFormat, TokenLogprob, TopLogprob


class StreamOptions(Struct, frozen=True):
    include_usage: bool


class TextBody(Struct, kw_only=True, omit_defaults=True):
    """The body of /v1/chat/completions (``messages``) and of /v1/completions (``prompt``)."""

    messages: list[Any] | None = None
    prompt: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None


class PromptDetails(Struct):
    cached_tokens: int | None = None


class CompletionDetails(Struct):
    reasoning_tokens: int | None = None


class Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    @property
    def cached_tokens(self) -> int | None:
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None

    @property
    def reasoning_tokens(self) -> int | None:
        return self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None


class Function(Struct):
    name: str | None = None
    arguments: str | None = None


class Call(Struct):
    """A tool call, or a piece of one: pieces of the same ``index`` belong together."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class AnswerMessage(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None  # llama.cpp, vLLM up to 0.11
    reasoning: str | None = None  # vLLM from 0.12
    tool_calls: list[Call] | None = None

    @property
    def text(self) -> str:
        """What was said; OpenAI puts words of refusal in a field of their own."""
        return self.content or self.refusal or ""


class Logprobs(Struct):
    """``content`` is the chat format, which llama.cpp uses for completions too; the rest is the old
    completions format, which vLLM uses for them."""

    content: list[TokenLogprob] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class Choice(Struct):
    index: int = 0
    message: AnswerMessage | None = None
    delta: AnswerMessage | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class TextAnswer(Struct):
    """An answer, or one chunk of a stream, of either call."""

    choices: list[Choice]
    usage: Usage | None = None


class TextEvent(Struct):
    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None


class EmbeddingBody(Struct):
    input: list[str]
    encoding_format: str = "float"


class Embedding(Struct):
    index: int
    embedding: msgspec.Raw


class EmbeddingAnswer(Struct):
    data: list[Embedding]
    usage: Usage | None = None


class RerankBody(Struct):
    query: str
    documents: list[str]


class Ranked(Struct):
    index: int
    relevance_score: float


class RerankAnswer(Struct):
    results: list[Ranked]
    usage: Usage | None = None


def token_logprobs(logprobs: Logprobs | None, top: int) -> list[TokenLogprob] | None:
    """Native log probabilities from either format, with at most ``top`` alternatives each."""
    if logprobs is None:
        return None
    content = logprobs.content if logprobs.content is not None else _from_old(logprobs)
    return [
        token
        if len(token.top_logprobs) <= top
        else msgspec.structs.replace(token, top_logprobs=token.top_logprobs[:top])
        for token in content
    ]


def _from_old(logprobs: Logprobs) -> list[TokenLogprob]:
    tokens = logprobs.tokens or []
    values = logprobs.token_logprobs or []
    tops = logprobs.top_logprobs or [None] * len(tokens)
    return [
        TokenLogprob(token, value if value is not None else 0.0, [TopLogprob(*pair) for pair in _ranked(top)])
        for token, value, top in zip(tokens, values, tops, strict=False)
    ]


def _ranked(top: dict[str, float] | None) -> list[tuple[str, float]]:
    return sorted((top or {}).items(), key=lambda pair: -pair[1])
