"""The worker's HTTP side: the SGP protocol over one engine.

``POST predict_route`` takes the model type's native request and gives its native result, ``POST
streaming_predict_route`` gives the chunks of a generated text as Server-Sent Events, ``GET health_route``
answers 200 (the port opens when the engine is loaded). Errors are ``{"detail": sentence, "code": name}``.
A client that goes away takes its work with it.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from modelyard import errors
from modelyard.domain.inference import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    RerankingRequest,
    RerankingResult,
)
from modelyard.domain.templates import ModelType
from modelyard.engines.base import Compares, Embeds, Engine, Executes, Generates, Reranks, Tokens, Vectors
from modelyard.errors import InvalidRequest, MalformedRequest, ModelyardError, TooLarge
from modelyard.worker import generation
from modelyard.worker.batching import Batcher
from modelyard.worker.config import WorkerConfig
from modelyard.worker.generation import EngineThreads

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than the gateway lets through by default; a bound for callers that come another way."""

INLINE_CHARACTERS = 4_000
"""Texts up to this much are tokenized at once: going to another thread would take longer."""

_STATUS = {
    errors.MalformedRequest: 400,
    errors.InvalidRequest: 422,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
}

_encode = msgspec.json.Encoder().encode

T = TypeVar("T")
Predict = Callable[[bytes], Coroutine[Any, Any, bytes]]


def make_app(config: WorkerConfig, engine: Engine, engine_thread: Executor) -> Starlette:
    """The application for an engine that is loaded. ``engine_thread`` has one thread: batches run on it."""
    predict = _predictor(config.model_type, engine, engine_thread)

    async def on_predict(request: Request) -> Response:
        body = await _body(request)
        return Response(await _unless_gone(request, predict(body)), media_type="application/json")

    async def on_health(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    routes = [
        Route(config.health_route, on_health, methods=["GET"]),
        Route(config.predict_route, on_predict, methods=["POST"]),
    ]
    if isinstance(engine, Generates) and config.model_type in (ModelType.CHAT_COMPLETION, ModelType.COMPLETION):
        routes.append(Route(config.streaming_predict_route, _streamer(config.model_type, engine), methods=["POST"]))
    return Starlette(
        routes=routes,
        exception_handlers={ModelyardError: _on_error, ClientDisconnect: _on_gone, Exception: _on_bug},
    )


def _predictor(model_type: ModelType, engine: Engine, engine_thread: Executor) -> Predict:
    match model_type:
        case ModelType.EMBEDDING:
            assert isinstance(engine, Embeds)
            return _embedder(engine, engine_thread)
        case ModelType.RERANKING:
            assert isinstance(engine, Reranks | Compares)
            return _reranker(engine, engine_thread)
        case ModelType.CHAT_COMPLETION | ModelType.COMPLETION:
            assert isinstance(engine, Generates)
            return _generator(model_type, engine)
        case _:
            assert isinstance(engine, Executes)
            return _executor(engine)


def _embedder(engine: Embeds, engine_thread: Executor) -> Predict:
    decode = _decoder(EmbeddingRequest)
    batcher = Batcher[Vectors](engine.embed, engine_thread, batch_size=_batch_size(engine))

    async def embed(body: bytes) -> bytes:
        texts = decode(body).texts
        tokens = await _tokenized(engine.tokenize, texts)
        vectors = await batcher.run(tokens)
        pairs = list(zip(texts, vectors, strict=True))
        # float32 in the fewest digits that read back as the same float32
        return orjson.dumps({"embeddings": pairs, "tokens_used": _count(tokens)}, option=orjson.OPT_SERIALIZE_NUMPY)

    return embed


def _reranker(engine: Reranks | Compares, engine_thread: Executor) -> Predict:
    decode = _decoder(RerankingRequest)
    size = _batch_size(engine)

    if isinstance(engine, Reranks):
        pairs = Batcher(engine.score, engine_thread, batch_size=size)

        async def rerank(body: bytes) -> bytes:
            request = decode(body)
            tokens = await _tokenized(lambda chunks: engine.tokenize_pairs(_query(request), chunks), request.chunks)
            return _encode(RerankingResult(await pairs.run(tokens), _count(tokens)))

        return rerank

    texts = Batcher[Vectors](engine.embed, engine_thread, batch_size=size)

    async def compare(body: bytes) -> bytes:
        request = decode(body)
        tokens = await _tokenized(lambda chunks: engine.tokenize_query(_query(request), chunks), request.chunks)
        query, *chunks = await texts.run(tokens)
        return _encode(RerankingResult(engine.compare(query, np.stack(chunks)), _count(tokens)))

    return compare


def _generator(model_type: ModelType, engine: Generates) -> Predict:
    threads = EngineThreads(engine.concurrency)
    decode_chat, decode_completion = _decoder(ChatRequest), _decoder(CompletionRequest)

    async def chat(body: bytes) -> bytes:
        return _encode(await generation.chat(threads, engine, decode_chat(body)))

    async def complete(body: bytes) -> bytes:
        return _encode(await generation.complete(threads, engine, decode_completion(body)))

    return chat if model_type is ModelType.CHAT_COMPLETION else complete


def _executor(engine: Executes) -> Predict:
    threads = EngineThreads(engine.concurrency)
    decode = _decoder(object)

    async def execute(body: bytes) -> bytes:
        return _encode(await threads.execute(engine, decode(body)))

    return execute


def _streamer(model_type: ModelType, engine: Generates) -> Callable[[Request], Awaitable[Response]]:
    threads = EngineThreads(engine.concurrency)
    decode: Callable[[bytes], ChatRequest | CompletionRequest] = (
        _decoder(ChatRequest) if model_type is ModelType.CHAT_COMPLETION else _decoder(CompletionRequest)
    )

    async def stream(request: Request) -> Response:
        wanted = decode(await _body(request))
        if isinstance(wanted, CompletionRequest) and len(wanted.prompts) != 1:
            raise InvalidRequest.at("body", "prompts", msg="a stream has exactly one prompt")
        pieces = threads.pieces(engine, wanted)
        # The first piece is awaited before any header is sent: an early failure keeps its status.
        first = await _unless_gone(request, anext(pieces))

        async def events() -> AsyncIterator[bytes]:
            async with aclosing(pieces):  # type: ignore[type-var]
                yield _event(_encode(first))
                try:
                    async for chunk in pieces:
                        yield _event(_encode(chunk))
                except ModelyardError as error:
                    yield b"event: error\n" + _event(_error_body(error))

        return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-cache"})

    return stream


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _batch_size(engine: object) -> int:
    size: int = getattr(engine, "batch_size", 8)
    return size


def _count(tokens: Sequence[Tokens]) -> int:
    return sum(len(text.ids) for text in tokens)


def _query(request: RerankingRequest) -> str:
    return f"{request.instruction}\n{request.query}" if request.instruction else request.query


async def _tokenized(tokenize: Callable[[Sequence[str]], list[Tokens]], texts: Sequence[str]) -> list[Tokens]:
    if sum(map(len, texts)) <= INLINE_CHARACTERS:
        return tokenize(texts)
    return await asyncio.to_thread(tokenize, texts)


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"A worker reads bodies up to {MAX_BODY_BYTES} bytes.")
        parts.append(part)
    return b"".join(parts)


def _decoder(kind: type[T]) -> Callable[[bytes], T]:
    decoder = msgspec.json.Decoder(kind)

    def decode(body: bytes) -> T:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise InvalidRequest.at("body", msg=str(error)) from error
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise MalformedRequest(f"The body is not JSON: {error}.") from error

    return decode


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T] | Awaitable[T]) -> T:
    """The result of ``work``, which is cancelled when the client goes away first."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(gone())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return await task
    finally:
        watch.cancel()
        task.cancel()


def _error_body(error: ModelyardError) -> bytes:
    body: dict[str, Any] = {"detail": str(error), "code": error.code}
    if isinstance(error, InvalidRequest):
        body["errors"] = error.errors
    return _encode(body)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ModelyardError)
    status = next((_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS), 500)
    headers = {}
    if isinstance(error, errors.Unavailable):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return Response(_error_body(error), status, headers, media_type="application/json")


async def _on_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _on_bug(request: Request, error: Exception) -> Response:
    return Response(
        _encode({"detail": "The worker failed.", "code": "internal_error"}), 500, media_type="application/json"
    )
