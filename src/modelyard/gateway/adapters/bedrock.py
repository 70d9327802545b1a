"""AWS Bedrock: chats by Converse and ConverseStream, embeddings and rerankings by InvokeModel.

Requests are signed elsewhere (`modelyard.gateway.vendors.sigv4`); streams come in Amazon's framing (`eventstream`).
Cohere's embeddings on Bedrock tell their tokens in a header only, so usage has an estimate for them. Plain completion
is a chat of one message: Converse has nothing else.
"""

from collections.abc import Callable, Mapping
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
    FunctionCall,
    RerankingRequest,
    RerankingResult,
    TextRequest,
    ToolCall,
    ToolCallPiece,
)
from modelyard.domain.routes import Route
from modelyard.errors import ModelyardError, UpstreamError
from modelyard.gateway.adapters import bedrock_invoke as invoke
from modelyard.gateway.adapters import bedrock_wire as wire
from modelyard.gateway.adapters.bedrock_chat import chat_body
from modelyard.gateway.adapters.bedrock_faults import bedrock_error, stream_error
from modelyard.gateway.adapters.completing import as_chat, as_completion
from modelyard.gateway.adapters.eventstream import FrameParser
from modelyard.gateway.adapters.streams import ChunkStream, Counts
from modelyard.gateway.adapters.vendor_faults import Fault, vendor_error
from modelyard.gateway.adapters.wire import WireRequest, decoded, target_of

VENDOR = "AWS Bedrock"

_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(wire.Answer)
_embed_answer = msgspec.json.Decoder(wire.EmbedAnswer)
_rerank_answer = msgspec.json.Decoder(wire.RerankAnswer)
_block_start = msgspec.json.Decoder(wire.BlockStart)
_block_delta = msgspec.json.Decoder(wire.BlockDelta)
_block_stop = msgspec.json.Decoder(wire.BlockStop)
_message_stop = msgspec.json.Decoder(wire.MessageStop)
_metadata = msgspec.json.Decoder(wire.Metadata)


class BedrockAdapter:
    """Paths name the model, so a colon in its id, or an ARN's slashes, are escaped."""

    batches_prompts = False

    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest:
        notes: list[str] = []
        body = chat_body(request, target_of(route), notes)
        return WireRequest(
            _path(route, "converse-stream" if request.stream else "converse"), body, adjusted=tuple(notes)
        )

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest:
        return self.encode_chat(as_chat(request), route)

    def most_texts(self, route: Route) -> int | None:
        return invoke.most_texts(target_of(route))

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest:
        notes: list[str] = []
        body = invoke.embedding_body(request, target_of(route), notes)
        return WireRequest(_path(route, "invoke"), body, adjusted=tuple(notes))

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest:
        return WireRequest(_path(route, "invoke"), invoke.reranking_body(request, target_of(route)))

    def decode_chat(self, request: ChatRequest, body: bytes) -> ChatResult:
        answer = decoded(_answer, body)
        blocks = answer.output.message.content
        counts = _counts(answer.usage)
        calls = [_call(block.tool_use) for block in blocks if block.tool_use is not None]
        return ChatResult(
            AssistantMessage("".join(map(_text, blocks)), tool_calls=calls or UNSET),
            _finished(answer.stop_reason),
            counts.prompt,
            counts.response,
            reasoning="".join(map(_thought, blocks)) or None,
            cached_tokens=UNSET if counts.cached is None else counts.cached,
        )

    def decode_completion(self, request: CompletionRequest, body: bytes) -> CompletionResult:
        return as_completion(request, self.decode_chat(as_chat(request), body))

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
        answer = decoded(_embed_answer, body)
        vectors = _vectors(answer)
        if len(vectors) != len(request.texts):
            raise UpstreamError(f"{VENDOR} gave {len(vectors)} embeddings for {len(request.texts)} texts.")
        pairs = list(zip(request.texts, vectors, strict=True))
        return EmbeddingResult(msgspec.Raw(_encode(pairs)), answer.input_text_token_count)

    def decode_reranking(self, request: RerankingRequest, body: bytes) -> RerankingResult:
        answer = decoded(_rerank_answer, body)
        scores = {item.index: item.relevance_score for item in answer.results}
        if sorted(scores) != list(range(len(request.chunks))):
            raise UpstreamError(f"{VENDOR} gave {len(answer.results)} scores for {len(request.chunks)} chunks.")
        return RerankingResult([scores[index] for index in range(len(scores))])

    def stream_decoder(self, request: TextRequest) -> "BedrockStream":
        return BedrockStream()

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        return bedrock_error(VENDOR, status, body)


class BedrockStream(ChunkStream):
    """``messageStop`` has the finish reason, ``metadata`` after it the counts. Blocks of content are counted there, of
    which some are texts; pieces here count calls."""

    __slots__ = ("_calls", "_empty", "_usage")

    def __init__(self) -> None:
        super().__init__(FrameParser())
        self._calls: dict[int, int] = {}
        self._empty: set[int] = set()
        self._usage: wire.Usage | None = None

    def _take(self, name: bytes, payload: bytes, chunks: list[Chunk]) -> None:
        if self._done:
            return
        if name == b"error":
            raise stream_error(VENDOR, payload)
        if (read := _READERS.get(name)) is not None:
            read(self, payload, chunks)

    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        raise AssertionError("events of Bedrock are told apart by their names")

    def _begin(self, payload: bytes, chunks: list[Chunk]) -> None:
        event = decoded(_block_start, payload)
        if (tool := event.start.tool_use) is not None:
            index = self._calls[event.content_block_index] = len(self._calls)
            self._empty.add(event.content_block_index)
            chunks.append(Chunk(tool_calls=[ToolCallPiece(index, tool.tool_use_id, tool.name)]))

    def _go_on(self, payload: bytes, chunks: list[Chunk]) -> None:
        event = decoded(_block_delta, payload)
        delta = event.delta
        thought = (delta.reasoning_content.text or "") if delta.reasoning_content is not None else ""
        if delta.text or thought:
            chunks.append(Chunk(delta.text or "", reasoning=thought))
        if delta.tool_use is not None and delta.tool_use.input:
            self._argue(event.content_block_index, delta.tool_use.input, chunks)

    def _argue(self, block: int, arguments: str, chunks: list[Chunk]) -> None:
        if block not in self._calls:
            raise UpstreamError("The answer goes on with a tool call that never began.")
        self._empty.discard(block)
        chunks.append(Chunk(tool_calls=[ToolCallPiece(self._calls[block], arguments=arguments)]))

    def _end(self, payload: bytes, chunks: list[Chunk]) -> None:
        block = decoded(_block_stop, payload).content_block_index
        if block in self._empty:  # a call without arguments, which whole answers write as an empty object
            self._argue(block, "{}", chunks)

    def _stop(self, payload: bytes, chunks: list[Chunk]) -> None:
        self._finish_reason = _finished(decoded(_message_stop, payload).stop_reason)

    def _count(self, payload: bytes, chunks: list[Chunk]) -> None:
        self._usage = decoded(_metadata, payload).usage
        if self._finish_reason is not None:
            self._finish(chunks)

    def _tokens(self) -> Counts:
        return _counts(self._usage)


_READERS: Mapping[bytes, Callable[[BedrockStream, bytes, list[Chunk]], None]] = {
    b"contentBlockStart": BedrockStream._begin,
    b"contentBlockDelta": BedrockStream._go_on,
    b"contentBlockStop": BedrockStream._end,
    b"messageStop": BedrockStream._stop,
    b"metadata": BedrockStream._count,
}


def _path(route: Route, verb: str) -> str:
    return f"/model/{quote(target_of(route).model, safe='')}/{verb}"


def _finished(reason: str) -> str:
    if reason in wire.MALFORMED:
        raise vendor_error(Fault.FAILED, VENDOR, f"the model's answer broke off ({reason})")
    return wire.FINISH_REASONS.get(reason, reason)


def _counts(usage: wire.Usage | None) -> Counts:
    if usage is None:
        return Counts()
    return Counts(usage.prompt_tokens, usage.output_tokens, usage.cache_read_input_tokens)


def _text(block: wire.Block) -> str:
    cited = block.citations_content.content if block.citations_content is not None else ()
    return (block.text or "") + "".join([piece.text for piece in cited])


def _thought(block: wire.Block) -> str:
    thinking = block.reasoning_content
    return thinking.reasoning_text.text if thinking is not None and thinking.reasoning_text is not None else ""


def _call(tool: wire.ToolUse) -> ToolCall:
    return ToolCall(tool.tool_use_id or "", FunctionCall(tool.name or "", bytes(tool.input).decode()))


def _vectors(answer: wire.EmbedAnswer) -> list[msgspec.Raw]:
    found = answer.embeddings
    if isinstance(found, wire.FloatVectors):
        return found.float
    if found is not None:
        return found
    return [answer.embedding] if bytes(answer.embedding) else []
