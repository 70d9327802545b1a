"""What the top-level calls do with their bodies: decode, ask the gateway, write the answer."""

import msgspec

from modelyard.domain.inference import ChatRequest, TextRequest
from modelyard.gateway.metering import Call
from modelyard.gateway.service import Gateway
from modelyard.http.inference.answers import ChunkWriter
from modelyard.http.inference.bodies import check_bindings, check_images
from modelyard.http.inference.reading import decode
from modelyard.http.inference.response import Response
from modelyard.http.inference.sending import history_headers, stream, whole
from modelyard.http.toplevel.answers import chat_answer, completion_answer
from modelyard.http.toplevel.bodies import (
    ChatCompletionBody,
    TextCompletionBody,
    native_chat,
    native_completion,
    prompt_of,
)

_chat_body = msgspec.json.Decoder(ChatCompletionBody)
_completion_body = msgspec.json.Decoder(TextCompletionBody)


class ToplevelVerbs:
    def __init__(self, gateway: Gateway, heartbeat_seconds: float) -> None:
        self._gateway = gateway
        self._heartbeat_seconds = heartbeat_seconds

    async def chat_completions(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_chat_body, body)
        check_bindings(call.route, request.model_request_parameters)
        check_images(call.route, request.messages, "messages")
        native = native_chat(request)
        if request.stream:
            await self._stream(call, prompt_of(request.messages), native, response)
        else:
            answer = chat_answer(await self._gateway.chat(call, native))
            await whole(call, response, answer, history_headers(call))

    async def completions(self, call: Call, body: bytes, response: Response) -> None:
        request = decode(_completion_body, body)
        check_bindings(call.route, request.model_request_parameters)
        native = native_completion(call.route, request)
        if request.stream:
            await self._stream(call, request.prompt, native, response)
        elif isinstance(native, ChatRequest):
            answer = completion_answer(await self._gateway.chat(call, native))
            await whole(call, response, answer, history_headers(call))
        else:
            await whole(call, response, completion_answer(await self._gateway.complete(call, native)))

    async def _stream(self, call: Call, prompt: str, request: TextRequest, response: Response) -> None:
        pieces = self._gateway.stream(call, request)
        await stream(call, pieces, response, ChunkWriter(prompt), self._heartbeat_seconds)
