"""Gemini: generateContent of the Gemini API and of Vertex AI, which differ in their addresses and in embeddings.

Sources: https://ai.google.dev/api/generate-content and
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference. What models differ in stands in
`gemini_models`. Keys and tokens are not this file's business.
"""

from typing import ClassVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from modelyard.domain.inference import (
    AssistantMessage,
    ChatRequest,
    ChatResult,
    Chunk,
    CompletionRequest,
    CompletionResult,
    EmbeddingRequest,
    EmbeddingResult,
    RerankingRequest,
    RerankingResult,
    TextRequest,
    TokenLogprob,
    ToolCallPiece,
    TopLogprob,
)
from modelyard.domain.routes import Route
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest, ModelyardError, UpstreamError
from modelyard.gateway.adapters import gemini_wire as wire
from modelyard.gateway.adapters.completing import as_chat, as_completion
from modelyard.gateway.adapters.gemini_calls import native_call
from modelyard.gateway.adapters.gemini_embeddings import BATCH, decode_batch, decode_vertex, encode_batch, encode_vertex
from modelyard.gateway.adapters.gemini_faults import gemini_error
from modelyard.gateway.adapters.gemini_models import embedding_profile_of, profile_of
from modelyard.gateway.adapters.gemini_requests import encode
from modelyard.gateway.adapters.streams import ChunkStream, Counts
from modelyard.gateway.adapters.vendor_faults import Fault, vendor_error
from modelyard.gateway.adapters.wire import WireRequest, decoded, no_such_verb, target_of

_answer = msgspec.json.Decoder(wire.Answer)

_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_SAFE = "/@"
"""What stays as it is in a model's name."""
_FAILURES = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})
"""Finish reasons of answers that are none."""


class GeminiAdapter:
    """The Gemini API: chats, completions by way of them, and embeddings."""

    vendor: ClassVar[str] = "Gemini"
    batches_prompts = False

    def most_texts(self, route: Route) -> int | None:
        return BATCH

    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest:
        target = target_of(route)
        body, notes = encode(request, target, profile_of(target.model))
        verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        return WireRequest(f"{self._address(target)}:{verb}", body, adjusted=tuple(notes))

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest:
        return self.encode_chat(as_chat(request), route)

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        target = target_of(route)
        return WireRequest(f"{self._address(target)}:batchEmbedContents", encode_batch(request, _resource(target)))

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest:
        raise no_such_verb(self.vendor, "rerankings")

    def decode_chat(self, request: ChatRequest, body: bytes) -> ChatResult:
        return _result(self.vendor, decoded(_answer, body), request.top_logprobs or 0)

    def decode_completion(self, request: CompletionRequest, body: bytes) -> CompletionResult:
        return as_completion(request, _result(self.vendor, decoded(_answer, body), request.top_logprobs or 0))

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
        return decode_batch(request, body)

    def decode_reranking(self, request: RerankingRequest, body: bytes) -> RerankingResult:
        raise no_such_verb(self.vendor, "rerankings")

    def stream_decoder(self, request: TextRequest) -> "GeminiStream":
        return GeminiStream(self.vendor, request.top_logprobs or 0)

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        return gemini_error(self.vendor, status, body)

    def _address(self, target: VendorTarget) -> str:
        return f"/v1beta/{_resource(target)}"


class VertexAdapter(GeminiAdapter):
    """Vertex AI: the same chats under a project and a location."""

    vendor = "Vertex AI"

    def most_texts(self, route: Route) -> int | None:
        return embedding_profile_of(target_of(route).model).vertex_texts

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        target = target_of(route)
        verb, body = encode_vertex(request, embedding_profile_of(target.model))
        return WireRequest(f"{self._address(target)}:{verb}", body)

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
        return decode_vertex(request, body)

    def _address(self, target: VendorTarget) -> str:
        """A model with a slash in its name stands elsewhere in the project, as tuned ones do (``endpoints/123``)."""
        project = target.parameters.get("project")
        if not project:
            msg = "is what Vertex AI is called under; set it with the vendor's credentials"
            raise InvalidRequest.at("path", "id", "project", msg=msg, code="vendor_parameter_missing")
        location = target.parameters.get("location") or "global"
        model = (
            quote(target.model, _SAFE)
            if "/" in target.model
            else f"publishers/google/models/{quote(target.model, _SAFE)}"
        )
        return f"/v1/projects/{quote(str(project), '')}/locations/{quote(str(location), '')}/{model}"


class GeminiStream(ChunkStream):
    """Each event is an answer of its own with the next pieces; counts in it are totals, so the last ones hold. The
    body's end ends a stream."""

    __slots__ = ("_calls", "_top", "_usage", "_vendor")

    def __init__(self, vendor: str, top_logprobs: int) -> None:
        super().__init__()
        self._vendor = vendor
        self._top = top_logprobs
        self._calls = 0
        self._usage = wire.UsageMetadata()

    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        event = decoded(_answer, payload)
        if event.error is not None:
            raise self._error(payload)
        if event.usage_metadata is not None:
            self._usage = event.usage_metadata
        candidate = _candidate(self._vendor, event)
        if candidate is None:
            return
        logprobs = _logprobs(candidate, self._top)
        for part in candidate.content.parts if candidate.content else ():
            if part.function_call is not None:
                call = native_call(part)
                piece = ToolCallPiece(self._calls, call.id, call.function.name, call.function.arguments)
                chunks.append(Chunk(tool_calls=[piece]))
                self._calls += 1
            elif part.text:
                chunks.append(Chunk(reasoning=part.text) if part.thought else Chunk(part.text, logprobs))
                logprobs = logprobs if part.thought else None
        if logprobs:
            chunks.append(Chunk("", logprobs))
        if candidate.finish_reason is not None:
            self._finish_reason = _reason(self._vendor, candidate, bool(self._calls))

    def _tokens(self) -> Counts:
        return _counts(self._usage)

    def _error(self, payload: bytes) -> ModelyardError:
        return gemini_error(self._vendor, 200, payload)


def _resource(target: VendorTarget) -> str:
    return quote(target.model, _SAFE) if "/" in target.model else f"models/{quote(target.model, _SAFE)}"


def _candidate(vendor: str, answer: wire.Answer) -> wire.Candidate | None:
    """The one candidate; None where there is nothing but counts. Raises where the prompt was blocked."""
    if answer.candidates:
        return answer.candidates[0]
    feedback = answer.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise vendor_error(Fault.FILTERED, vendor, feedback.block_reason_message or feedback.block_reason)
    return None


def _result(vendor: str, answer: wire.Answer, top: int) -> ChatResult:
    candidate = _candidate(vendor, answer)
    if candidate is None:
        raise UpstreamError(f"{vendor}'s answer has no candidate in it.")
    parts = candidate.content.parts if candidate.content else []
    calls = [native_call(part) for part in parts if part.function_call is not None]
    counts = _counts(answer.usage_metadata or wire.UsageMetadata())
    return ChatResult(
        AssistantMessage(_text(parts, thought=False), tool_calls=calls or UNSET),
        _reason(vendor, candidate, bool(calls)),
        counts.prompt,
        counts.response,
        _logprobs(candidate, top),
        _text(parts, thought=True) or None,
        UNSET if counts.cached is None else counts.cached,
        UNSET if counts.reasoning is None else counts.reasoning,
    )


def _text(parts: list[wire.Part], *, thought: bool) -> str:
    return "".join([part.text for part in parts if part.text and part.thought is thought])


def _reason(vendor: str, candidate: wire.Candidate, called: bool) -> str:
    reason = candidate.finish_reason or ""
    if reason in _FAILURES:
        raise vendor_error(Fault.FAILED, vendor, candidate.finish_message or reason)
    known = _FINISH_REASONS.get(reason, "stop")
    return "tool_calls" if called and known == "stop" else known


def _counts(usage: wire.UsageMetadata) -> Counts:
    """See `wire.UsageMetadata` for what is part of what."""
    prompt = usage.prompt_token_count
    if prompt is not None:
        prompt += usage.tool_use_prompt_token_count or 0
    response = usage.candidates_token_count
    if response is not None or usage.thoughts_token_count is not None or prompt is not None:
        response = (response or 0) + (usage.thoughts_token_count or 0)
    return Counts(prompt, response, usage.cached_content_token_count, usage.thoughts_token_count)


def _logprobs(candidate: wire.Candidate, top: int) -> list[TokenLogprob] | None:
    result = candidate.logprobs_result
    if result is None:
        return None
    tops = [
        [TopLogprob(each.token, each.log_probability) for each in at.candidates[:top]] for at in result.top_candidates
    ]
    tops += [[]] * (len(result.chosen_candidates) - len(tops))
    pairs = zip(result.chosen_candidates, tops, strict=False)
    return [TokenLogprob(chosen.token, chosen.log_probability, ranked) for chosen, ranked in pairs]
