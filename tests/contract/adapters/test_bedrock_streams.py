"""Bedrock's streams in Amazon's framing, however the bytes are cut, and the same answers whole.

``published/bedrock/*.json`` and ``*.events`` (one ``[type, data]`` a line, framed by `amazon_frames`) are written after
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and …_ConverseStream.html. That they
are what AWS means is checked by botocore, which reads them with its own model of the service.
"""

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zlib import crc32

import boto3
import pytest
from amazon_frames import error, event, exception, frames
from botocore.config import Config

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.domain.inference import ChatRequest, ChatResult, Chunk, Message
from modelyard.errors import ModelyardError, UpstreamError
from modelyard.gateway.adapters.bedrock import BedrockAdapter
from modelyard.gateway.adapters.eventstream import FrameParser
from modelyard.gateway.folding import fold_chat
from modelyard.http.errors import status_of

PUBLISHED = Path(__file__).parent / "published" / "bedrock"
STREAMS = sorted(PUBLISHED.glob("*.events"))
BEDROCK = BedrockAdapter()
CHAT = ChatRequest(messages=[Message("user", "Say hi")])

each_stream = pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)


def body_of(path: Path) -> bytes:
    return b"".join(frames(path))


def whole(name: str) -> ChatResult:
    return BEDROCK.decode_chat(CHAT, (PUBLISHED / f"{name}.json").read_bytes())


def chunks(*pieces: bytes) -> list[Chunk]:
    decoder = BEDROCK.stream_decoder(CHAT)
    fed = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return [*fed, *decoder.flush()]


@each_stream
def test_a_stream_folds_to_the_whole_answer(path: Path) -> None:
    assert fold_chat(BEDROCK.stream_decoder(CHAT), body_of(path)) == whole(path.stem)


@each_stream
def test_a_stream_split_at_every_byte_gives_the_same_chunks(path: Path) -> None:
    body = body_of(path)
    expected = chunks(body)
    assert chunks(*[body[index : index + 1] for index in range(len(body))]) == expected
    for index in range(1, len(body)):
        assert chunks(body[:index], body[index:]) == expected


@each_stream
def test_only_the_last_chunk_carries_reason_and_counts(path: Path) -> None:
    *pieces, last = chunks(body_of(path))
    assert pieces
    assert all(chunk.finish_reason is None and chunk.response_tokens is None for chunk in pieces)
    assert last.finish_reason is not None
    assert last.prompt_tokens


@each_stream
def test_half_a_stream_is_an_error_and_never_a_short_answer(path: Path) -> None:
    messages = frames(path)
    for count in range(len(messages) - 1):
        with pytest.raises(UpstreamError):
            chunks(*messages[:count])
    body = b"".join(messages)
    complete = len(body) - len(messages[-1])  # the counts alone are missing then
    for index in {*range(1, len(body) - 1, 7)} - {complete}:
        with pytest.raises(UpstreamError):
            chunks(body[:index])


@each_stream
def test_a_flipped_bit_is_noticed(path: Path) -> None:
    body = body_of(path)
    for index in range(0, len(body), 5):
        broken = body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]
        with pytest.raises(UpstreamError):
            chunks(broken)


def test_answers_are_read_whole() -> None:
    plain = whole("chat")
    assert (plain.message.content, plain.finish_reason) == ("Hi! Grüße – 你好 👋", "stop")
    assert (plain.prompt_tokens, plain.response_tokens) == (13, 9)
    cached = whole("chat_cached")
    assert (cached.prompt_tokens, cached.response_tokens, cached.cached_tokens) == (1028, 3, 1000)
    assert cached.finish_reason == "length"
    thoughtful = whole("chat_thinking")
    assert (thoughtful.reasoning, thoughtful.message.content) == ("They greet me. I greet back.", "Hello!")
    tools = whole("chat_tools")
    assert (tools.message.content, tools.finish_reason) == ("I will look it up.", "tool_calls")
    assert isinstance(tools.message.tool_calls, list)
    assert [
        (call.id, call.function.name, json.loads(call.function.arguments)) for call in tools.message.tool_calls
    ] == [
        ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "get_weather", {"city": "Paris", "units": ["C", "F"]}),
        ("tooluse_hU9Zp2wWQX2dR1mN8sYb3A", "now", {}),
    ]
    assert whole("chat_guardrail").finish_reason == "content_filter"


def test_texts_with_citations_are_texts() -> None:
    blocks = [{"citationsContent": {"content": [{"text": "So it "}, {"text": "is."}], "citations": []}}]
    answer = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": "end_turn"}
    assert BEDROCK.decode_chat(CHAT, json.dumps(answer).encode()).message.content == "So it is."


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_broke_off_is_no_short_answer(reason: str) -> None:
    answer = {"output": {"message": {"content": [{"text": "ha"}]}}, "stopReason": reason}
    with pytest.raises(UpstreamError, match=reason):
        BEDROCK.decode_chat(CHAT, json.dumps(answer).encode())
    with pytest.raises(UpstreamError, match=reason):
        chunks(event("messageStop", {"stopReason": reason}))


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        (exception("throttlingException", "Too many requests, please wait"), 429, "vendor_rate_limited"),
        (exception("modelStreamErrorException", "out of luck"), 502, "vendor_failed"),
        (exception("internalServerException", "out of luck"), 502, "vendor_failed"),
        (exception("serviceUnavailableException", "later"), 503, "vendor_busy"),
        (exception("validationException", "Input is too long for requested model."), 422, CONTEXT_LENGTH_EXCEEDED),
        (exception("validationException", "Malformed input request"), 422, "refused_by_vendor"),
        (exception("brandNewException", "surprise"), 502, "vendor_failed"),
        (error("InternalFailure", "An internal server error occurred"), 502, "vendor_failed"),
    ],
)
def test_exceptions_within_a_stream_are_raised(message: bytes, status: int, code: str) -> None:
    with pytest.raises(ModelyardError) as caught:
        chunks(event("messageStart", {"role": "assistant"}), message)
    assert (status_of(caught.value), caught.value.code) == (status, code)


def test_new_kinds_of_events_are_passed_over() -> None:
    messages = frames(PUBLISHED / "chat.events")
    assert chunks(event("brandNew", {"x": 1}), *messages, event("afterwards", {})) == chunks(*messages)


def test_a_stream_without_counts_ends_with_its_reason() -> None:
    *messages, _ = frames(PUBLISHED / "chat.events")
    last = chunks(*messages)[-1]
    assert (last.finish_reason, last.prompt_tokens) == ("stop", None)


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {}\n\ndata: [DONE]\n\n",
        b"<html><head><title>502 Bad Gateway</title></head></html>",
        struct.pack("!III", 0, 0, 0),
        struct.pack("!III", 0xFFFFFFFF, 0, 0x12345678),
        event("contentBlockDelta", {"contentBlockIndex": "zero"}),
        event("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": "x"}}}),
    ],
)
def test_garbage_is_an_upstream_error(garbage: bytes) -> None:
    with pytest.raises(UpstreamError):
        chunks(garbage)


def test_lengths_are_bounded() -> None:
    for length, headers in ((2**31, 0), (2**20, 2**19), (12, 0xFFFF), (0, 0)):
        prelude = struct.pack("!II", length, headers)
        with pytest.raises(UpstreamError):
            FrameParser().feed(prelude + struct.pack("!I", crc32(prelude)) + b"\0" * 64)


class Published(BaseHTTPRequestHandler):
    """Answers with the file that the model is called like."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        name, verb = self.path.split("/")[2:4]
        streamed = verb == "converse-stream"
        data = body_of(PUBLISHED / f"{name}.events") if streamed else (PUBLISHED / f"{name}.json").read_bytes()
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream" if streamed else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Published)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"max_attempts": 0}),
    )
    server.shutdown()
    server.server_close()


@each_stream
def test_amazons_own_client_reads_the_same(client: Any, path: Path) -> None:
    ask = {"modelId": path.stem, "messages": [{"role": "user", "content": [{"text": "Say hi"}]}]}
    answer = client.converse(**ask)
    ours = whole(path.stem)
    blocks = answer["output"]["message"]["content"]
    assert "".join(block.get("text", "") for block in blocks) == ours.message.content
    assert answer["usage"]["outputTokens"] == ours.response_tokens
    said, stops, tokens = "", [], []
    for each in client.converse_stream(**ask)["stream"]:
        said += each.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        stops += [each["messageStop"]["stopReason"]] if "messageStop" in each else []
        tokens += [each["metadata"]["usage"]["outputTokens"]] if "metadata" in each else []
    assert (said, stops, tokens) == (ours.message.content, [answer["stopReason"]], [ours.response_tokens])
