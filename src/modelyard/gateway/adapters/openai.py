"""OpenAI-compatible servers (endpoint protocol VLLM): vLLM, llama.cpp's server, and what else speaks it."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from modelyard.domain.inference import (
    AssistantMessage,
    ChatRequest,
    ChatResult,
    Chunk,
    CompletionRequest,
    CompletionResult,
    EmbeddingRequest,
    EmbeddingResult,
    Message,
    Part,
    RerankingRequest,
    RerankingResult,
    TextRequest,
)
from modelyard.domain.routes import Route
from modelyard.errors import ModelyardError, UpstreamError
from modelyard.gateway.adapters import openai_wire as wire
from modelyard.gateway.adapters.faults import decode_error, stream_error
from modelyard.gateway.adapters.images import data_url, inline_image, remote_image
from modelyard.gateway.adapters.openai_tools import add_tools, pieces_of, whole_calls
from modelyard.gateway.adapters.streams import ChunkStream, Counts
from modelyard.gateway.adapters.wire import WireRequest, bindings_of, decoded, unsupported, wants_logprobs

_encode = msgspec.json.Encoder().encode
_text_answer = msgspec.json.Decoder(wire.TextAnswer)
_text_event = msgspec.json.Decoder(wire.TextEvent)
_embedding_answer = msgspec.json.Decoder(wire.EmbeddingAnswer)
_rerank_answer = msgspec.json.Decoder(wire.RerankAnswer)

_WITH_USAGE = wire.StreamOptions(include_usage=True)

_OURS = (frozenset(wire.TextBody.__struct_fields__) - {"seed"}) | {
    *("model", "input", "n", "best_of", "query", "documents", "encoding_format"),
    *("max_completion_tokens", "n_predict"),  # max_tokens by other names
}
"""Fields that a template's own request parameters may not set: they have a place of their own in a request. (A
seed has one in few of them.)"""


class OpenAIAdapter:
    """A template's request parameters become further fields of the body, as in vLLM's ``min_p``."""

    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest:
        body = _sampling(request)
        body.messages = _messages(request.messages)
        body.reasoning_effort = request.reasoning_effort
        body.chat_template = request.chat_template
        body.chat_template_kwargs = request.chat_template_kwargs
        add_tools(body, request)
        if wants_logprobs(request):
            body.logprobs = True
            body.top_logprobs = max(1, request.top_logprobs or 0)
        return WireRequest("/v1/chat/completions", _with_bindings(body, request))

    def encode_rendered(self, request: ChatRequest, prompt: str) -> WireRequest:
        """A chat whose template was applied here already: the server only completes ``prompt``."""
        if request.reasoning_effort is not None:
            raise unsupported("reasoning_effort", "a chat_template of the call's own decides how the model reasons")
        for name in ("tools", "response_format"):
            if getattr(request, name) is not None:
                raise unsupported(name, "does not go together with a chat_template of the call's own")
        return self._completion(request, prompt)

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest:
        if request.reasoning_effort is not None:
            raise unsupported("reasoning_effort", "plain completion does not reason; use a chat completion")
        for name in ("chat_template", "chat_template_kwargs"):
            if getattr(request, name) is not None:
                raise unsupported(name, "plain completion has no chat template; use a chat model")
        if len(request.prompts) != 1:
            raise unsupported("prompts", "one prompt a call")
        return self._completion(request, request.prompts[0])

    def _completion(self, request: TextRequest, prompt: str) -> WireRequest:
        body = _sampling(request)
        body.prompt = prompt
        if wants_logprobs(request):
            body.logprobs = max(1, request.top_logprobs or 0)
        return WireRequest("/v1/completions", _with_bindings(body, request))

    def most_texts(self, route: Route) -> int | None:
        return None

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        return WireRequest("/v1/embeddings", _with_bindings(wire.EmbeddingBody(request.texts), request))

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest:
        if request.instruction is not None:
            raise unsupported("instruction", "this model's server has no place for an instruction; put it in the query")
        return WireRequest("/v1/rerank", _with_bindings(wire.RerankBody(request.query, request.chunks), request))

    def decode_chat(self, request: ChatRequest, body: bytes) -> ChatResult:
        answer = decoded(_text_answer, body)
        choice = _only_choice(answer)
        usage = answer.usage or wire.Usage()
        message = choice.message or wire.AnswerMessage(content=choice.text)
        calls = whole_calls(message.tool_calls) if message.tool_calls else []
        return ChatResult(
            AssistantMessage(message.text, tool_calls=calls or UNSET),
            choice.finish_reason,
            usage.prompt_tokens,
            usage.completion_tokens,
            wire.token_logprobs(choice.logprobs, request.top_logprobs or 0) if choice.logprobs else None,
            message.reasoning_content or message.reasoning,
            _known(usage.cached_tokens),
            _known(usage.reasoning_tokens),
        )

    def decode_completion(self, request: CompletionRequest, body: bytes) -> CompletionResult:
        answer = decoded(_text_answer, body)
        choice = _only_choice(answer)
        usage = answer.usage or wire.Usage()
        return CompletionResult(
            [(request.prompts[0], [choice.text or ""])],
            choice.finish_reason,
            usage.prompt_tokens,
            usage.completion_tokens,
            wire.token_logprobs(choice.logprobs, request.top_logprobs or 0),
            _known(usage.cached_tokens),
            _known(usage.reasoning_tokens),
        )

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
        answer = decoded(_embedding_answer, body)
        vectors = {item.index: item.embedding for item in answer.data}
        if sorted(vectors) != list(range(len(request.texts))):
            raise UpstreamError(f"The worker gave {len(answer.data)} embeddings for {len(request.texts)} texts.")
        pairs = [(text, vectors[index]) for index, text in enumerate(request.texts)]
        return EmbeddingResult(msgspec.Raw(_encode(pairs)), answer.usage.prompt_tokens if answer.usage else None)

    def decode_reranking(self, request: RerankingRequest, body: bytes) -> RerankingResult:
        answer = decoded(_rerank_answer, body)
        scores = {item.index: item.relevance_score for item in answer.results}
        if sorted(scores) != list(range(len(request.chunks))):
            raise UpstreamError(f"The worker gave {len(answer.results)} scores for {len(request.chunks)} chunks.")
        usage = answer.usage or wire.Usage()
        tokens = usage.prompt_tokens if usage.prompt_tokens is not None else usage.total_tokens
        return RerankingResult([scores[index] for index in range(len(scores))], tokens)

    def stream_decoder(self, request: TextRequest) -> "OpenAIStream":
        return OpenAIStream(request.top_logprobs or 0)

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        return decode_error(status, body)


class OpenAIStream(ChunkStream):
    """Holds the finish reason back until the usage that follows it, so that the last chunk has both."""

    __slots__ = ("_top", "_usage")

    def __init__(self, top_logprobs: int) -> None:
        super().__init__()
        self._top = top_logprobs
        self._usage = wire.Usage()

    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        if payload == b"null":  # with which llama.cpp begins a stream of several prompts
            return
        event = decoded(_text_event, payload)
        if event.error is not None:
            raise stream_error(payload)
        if event.usage is not None:
            self._usage = event.usage
        for choice in event.choices:
            self._choose(choice, chunks)

    def _choose(self, choice: wire.Choice, chunks: list[Chunk]) -> None:
        delta = choice.delta
        text = (delta.text if delta is not None else choice.text) or ""
        reasoning = (delta.reasoning_content or delta.reasoning or "") if delta is not None else ""
        logprobs = wire.token_logprobs(choice.logprobs, self._top) if choice.logprobs is not None else None
        calls = pieces_of(delta.tool_calls) if delta is not None else None
        if text or logprobs or reasoning or calls:
            chunks.append(Chunk(text, logprobs, reasoning=reasoning, tool_calls=calls))
        if choice.finish_reason is not None:
            self._finish_reason = choice.finish_reason

    def _tokens(self) -> Counts:
        usage = self._usage
        return Counts(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)


def _sampling(request: TextRequest) -> wire.TextBody:
    top_k = request.top_k
    if top_k is not None and top_k != int(top_k):
        raise unsupported("top_k", "must be a whole number for this model")
    stream = bool(request.stream)
    return wire.TextBody(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=None if top_k is None else int(top_k),
        max_tokens=request.max_tokens,
        stop=request.stop_sequences or None,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        seed=request.seed if isinstance(request, ChatRequest) else None,
        stream=stream,
        stream_options=_WITH_USAGE if stream else None,
    )


def _with_bindings(body: Any, request: Any) -> bytes:
    bindings = bindings_of(request)
    if not bindings:
        return _encode(body)
    for name in bindings:
        if name in _OURS:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself; set it there")
    return _encode({**msgspec.to_builtins(body), **bindings})


def _messages(messages: list[Message]) -> list[Any]:
    if all(type(message.content) is str for message in messages):
        return messages
    return [_message(message) for message in messages]


def _message(message: Message) -> Any:
    if isinstance(message.content, str):
        return message
    return {**msgspec.to_builtins(message), "content": [_part(part) for part in message.content]}


def _part(part: Part) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    inline = inline_image(part)
    image = inline or part.image_url
    assert image is not None
    url = {"url": remote_image(part) if inline is None else data_url(inline)}
    if image.detail is not None:
        url["detail"] = image.detail
    return {"type": "image_url", "image_url": url}


def _known(count: int | None) -> int | UnsetType:
    return UNSET if count is None else count


def _only_choice(answer: wire.TextAnswer) -> wire.Choice:
    if not answer.choices:
        raise UpstreamError("The worker's answer has no choice in it.")
    return answer.choices[0]
