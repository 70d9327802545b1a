"""What each /v1 call does with its body: decode, ask the gateway, write the answer in OpenAI's shape."""

import time
from collections.abc import Mapping
from typing import cast

import msgspec

from modelyard.domain.inference import ChatResult, TextRequest
from modelyard.gateway import several
from modelyard.gateway.adapters.streams import Counts
from modelyard.gateway.metering import Call, estimate_request
from modelyard.gateway.service import Gateway
from modelyard.http.inference.response import RawHeaders, Response
from modelyard.http.inference.sending import history_headers, stream, whole
from modelyard.http.openai import answers
from modelyard.http.openai.bodies import ChatBody, CompletionBody, EmbeddingBody, RerankBody, TextBody
from modelyard.http.openai.chunks import ChatWriter, TextWriter, Writer
from modelyard.http.openai.requests import (
    chat_requests,
    check_stream_options,
    completion_requests,
    embedding_request,
    read,
    rerank_request,
)

_chat_body = msgspec.json.Decoder(ChatBody)
_completion_body = msgspec.json.Decoder(CompletionBody)
_embedding_body = msgspec.json.Decoder(EmbeddingBody)
_rerank_body = msgspec.json.Decoder(RerankBody)


class OpenAIVerbs:
    def __init__(self, gateway: Gateway, heartbeat_seconds: float) -> None:
        self._gateway = gateway
        self._heartbeat_seconds = heartbeat_seconds

    async def chat_completions(self, call: Call, body: bytes, response: Response) -> None:
        request, extras = read(_chat_body, ChatBody, body, call.route)
        check_stream_options(request)
        requests = chat_requests(call.route, request, extras)
        told = _told("chatcmpl-", call, request.model)
        if request.stream:
            await self._stream(call, request, requests, response, ChatWriter, told)
            return
        results = await several.whole(self._gateway, call, requests, request.n or 1)
        counts = _total(call, dict(enumerate(map(several.counts_of, results))), request.n or 1)
        encoded = answers.chat(told, cast("list[ChatResult]", results), counts)
        await whole(call, response, encoded, _headers(call))

    async def completions(self, call: Call, body: bytes, response: Response) -> None:
        request, extras = read(_completion_body, CompletionBody, body, call.route)
        check_stream_options(request)
        requests = completion_requests(call.route, request, extras)
        told = _told("cmpl-", call, request.model)
        if request.stream:
            await self._stream(call, request, requests, response, TextWriter, told)
            return
        results = await several.whole(self._gateway, call, requests, request.n or 1)
        counts = _total(call, dict(enumerate(map(several.counts_of, results))), request.n or 1)
        await whole(call, response, answers.completion(told, results, counts), _headers(call))

    async def embeddings(self, call: Call, body: bytes, response: Response) -> None:
        request, extras = read(_embedding_body, EmbeddingBody, body, call.route)
        result = await self._gateway.embed(call, embedding_request(call.route, request, extras))
        tokens = _known(call, Counts(result.tokens_used, 0)).prompt or 0
        encoded = answers.embeddings(request.model, result, tokens, request.encoding_format, request.dimensions)
        await whole(call, response, encoded)

    async def rerank(self, call: Call, body: bytes, response: Response) -> None:
        request, extras = read(_rerank_body, RerankBody, body, call.route)
        native = rerank_request(call.route, request, extras)
        result = await self._gateway.rerank(call, native)
        tokens = _known(call, Counts(result.tokens_used, 0)).prompt or 0
        told = _told("rerank-", call, request.model)
        texts = bool(request.return_documents)
        await whole(
            call, response, answers.reranking(told, result, native.chunks, tokens, top_n=request.top_n, texts=texts)
        )

    async def _stream(
        self,
        call: Call,
        body: TextBody,
        requests: list[TextRequest],
        response: Response,
        kind: type[Writer],
        told: answers.Told,
    ) -> None:
        def total(ends: Mapping[int, Counts]) -> answers.Usage:
            return answers.usage_of(_total(call, ends, body.n or 1))

        with_usage = bool(body.stream_options and body.stream_options.include_usage)
        writer = kind(told, len(requests), total, with_usage=with_usage)
        if len(requests) == 1:
            batches = self._gateway.stream(call, requests[0])
            await stream(call, batches, response, writer.one, self._heartbeat_seconds, headers=_headers)
            return
        numbered = several.streamed(self._gateway, call, requests, body.n or 1)
        seconds = self._heartbeat_seconds
        await stream(call, numbered, response, writer.several, seconds, lambda _: writer.done, headers=_headers)


def _told(prefix: str, call: Call, model: str) -> answers.Told:
    return answers.Told(prefix + call.request_id, int(time.time()), model)


def _total(call: Call, ends: Mapping[int, Counts], copies: int) -> Counts:
    return _known(call, several.spent(call, [ends[index] for index in range(len(ends))], copies))


def _known(call: Call, counts: Counts) -> Counts:
    """``counts``, estimated where the worker told none, as in the usage record."""
    prompt, response = counts.prompt, counts.response
    if prompt is None:
        prompt = estimate_request(call.request) if call.request is not None else 0
    return counts._replace(prompt=prompt, response=call.estimated_response if response is None else response)


def _headers(call: Call) -> RawHeaders:
    """What became of the history is told where it may be trimmed at all."""
    return history_headers(call) if call.trims else ()
