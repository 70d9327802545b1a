"""What each verb does with its body: decode, ask the gateway, write the answer."""

from collections.abc import Callable, Iterable

import msgspec

from modelyard.domain.inference import (
    ChatRequest,
    Chunk,
    CompletionRequest,
    EmbeddingRequest,
    RerankingRequest,
    TextRequest,
)
from modelyard.domain.templates import ModelType
from modelyard.gateway.adapters.wire import unsupported
from modelyard.gateway.metering import Call
from modelyard.gateway.service import Gateway
from modelyard.http.inference import bodies
from modelyard.http.inference.answers import ChunkWriter, answer, native_events
from modelyard.http.inference.passing import pass_on
from modelyard.http.inference.reading import decode
from modelyard.http.inference.response import Response
from modelyard.http.inference.sending import history_headers, stream, whole

_encode = msgspec.json.Encoder().encode
_chat_body = msgspec.json.Decoder(bodies.ChatBody)
_completion_body = msgspec.json.Decoder(bodies.CompletionBody)
_embedding_body = msgspec.json.Decoder(EmbeddingRequest)
_reranking_body = msgspec.json.Decoder(RerankingRequest)
_native_chat = msgspec.json.Decoder(ChatRequest)
_native_completion = msgspec.json.Decoder(CompletionRequest)
_native_embedding = msgspec.json.Decoder(bodies.EmbeddingExecuteBody)
_native_reranking = msgspec.json.Decoder(bodies.RerankingExecuteBody)
_any_value = msgspec.json.Decoder(msgspec.Raw)
_any_body = msgspec.json.Decoder(bodies.AnyBody)

Write = Callable[[Iterable[Chunk]], bytes]


class Verbs:
    def __init__(self, gateway: Gateway, heartbeat_seconds: float) -> None:
        self._gateway = gateway
        self._heartbeat_seconds = heartbeat_seconds

    async def chat_completions(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_chat_body, body)
        bodies.check_bindings(call.route, request.model_request_parameters)
        native = bodies.native_chat(call.route, request)
        if isinstance(native, ChatRequest):
            bodies.check_images(call.route, request.chat_history, "chat_history")
        await self._text(call, request.prompt, native, response)

    async def completions(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_completion_body, body)
        bodies.check_bindings(call.route, request.model_request_parameters)
        await self._text(call, request.prompt, bodies.native_completion(call.route, request), response)

    async def embeddings(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_embedding_body, body)
        bodies.check_bindings(call.route, request.model_request_parameters)
        await whole(call, response, _encode(await self._gateway.embed(call, request)))

    async def rerankings(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_reranking_body, body)
        bodies.check_bindings(call.route, request.model_request_parameters)
        await whole(call, response, _encode(await self._gateway.rerank(call, request)))

    async def execute(self, call: Call, body: bytes, response: Response) -> None:
        """The model type's native request, answered natively; types without one get any JSON passed through."""
        match call.route.model_type:
            case ModelType.CHAT_COMPLETION:
                chat = decode(_native_chat, body)
                bodies.check_images(call.route, chat.messages, "messages")
                await self._native_text(call, chat, response)
            case ModelType.COMPLETION:
                await self._native_text(call, decode(_native_completion, body), response)
            case ModelType.EMBEDDING:
                await self._native_embedding(call, body, response)
            case ModelType.RERANKING:
                await self._native_reranking(call, body, response)
            case _:
                await self._forward(call, body, response)

    async def _text(self, call: Call, prompt: str, request: TextRequest, response: Response) -> None:
        if request.stream:
            await self._stream(call, request, response, ChunkWriter(prompt))
            return
        if isinstance(request, ChatRequest):
            encoded = answer(prompt, await self._gateway.chat(call, request))
        else:
            encoded = answer(prompt, await self._gateway.complete(call, request))
        await whole(call, response, encoded, history_headers(call))

    async def _native_text(self, call: Call, request: TextRequest, response: Response) -> None:
        bodies.check_bindings(call.route, request.model_request_parameters)
        if request.stream:
            await self._stream(call, request, response, native_events)
        elif isinstance(request, ChatRequest):
            await whole(call, response, _encode(await self._gateway.chat(call, request)), history_headers(call))
        else:
            await whole(call, response, _encode(await self._gateway.complete(call, request)))

    async def _native_embedding(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_native_embedding, body)
        _refuse_stream(request.stream)
        bodies.check_bindings(call.route, request.model_request_parameters)
        native = EmbeddingRequest(request.texts, request.model_request_parameters)
        await whole(call, response, _encode(await self._gateway.embed(call, native)))

    async def _native_reranking(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_native_reranking, body)
        _refuse_stream(request.stream)
        bodies.check_bindings(call.route, request.model_request_parameters)
        native = RerankingRequest(request.query, request.chunks, request.instruction, request.model_request_parameters)
        await whole(call, response, _encode(await self._gateway.rerank(call, native)))

    async def _forward(self, call: Call, body: bytes, response: Response) -> None:
        decode(_any_value, body, nul=True)
        looked_at = decode(_any_body, body, nul=True) if body.lstrip()[:1] == b"{" else bodies.AnyBody()
        bodies.check_bindings(call.route, looked_at.model_request_parameters)
        await pass_on(call, await self._gateway.forward(call, body, stream=bool(looked_at.stream)), response)

    async def _stream(self, call: Call, request: TextRequest, response: Response, write: Write) -> None:
        await stream(call, self._gateway.stream(call, request), response, write, self._heartbeat_seconds)


def _refuse_stream(stream: bool | None) -> None:
    if stream:
        raise unsupported("stream", "this model type has nothing to stream")
