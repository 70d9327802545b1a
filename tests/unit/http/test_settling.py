"""No answer is whole before its usage is told: whoever kills the server then has either both or neither."""

from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from starlette.types import Message

from modelyard.domain.inference import Chunk
from modelyard.domain.usage import Verb
from modelyard.gateway.metering import Call
from modelyard.http.inference import sending
from modelyard.http.inference.passing import pass_on
from modelyard.http.inference.response import Response
from modelyard.testing.clock import FakeClock
from modelyard.testing.gateway import ACCOUNT, UsageList, make_caller, make_route


class Wire:
    """What goes out, and how many calls had been told of by then."""

    def __init__(self) -> None:
        self.usage = UsageList()
        self.sent: list[tuple[bytes, bool, int]] = []
        scope = {"type": "http", "method": "POST", "path": "/v4/models/x/execute", "headers": []}
        self.response = Response(scope, self._send)

    def call(self) -> Call:
        return Call(self.usage, FakeClock(), make_caller(), ACCOUNT, make_route(), Verb.EXECUTE, "request")

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.sent.append((message["body"], message.get("more_body", False), len(self.usage.records)))


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_of_a_whole_answer_before_any_of_it(wire: Wire) -> None:
    with wire.call() as call:
        await sending.whole(call, wire.response, b"{}")
    assert wire.sent == [(b"{}", False, 1)]
    assert len(wire.usage.records) == 1


async def test_of_a_stream_before_the_piece_that_ends_it(wire: Wire) -> None:
    async def batches() -> AsyncGenerator[list[Chunk], None]:
        yield [Chunk("a")]
        yield [Chunk("b")]
        yield [Chunk(finish_reason="stop")]

    def write(batch: list[Chunk]) -> bytes:
        return (batch[-1].text or "last").encode()

    with wire.call() as call:
        await sending.stream(call, batches(), wire.response, write, heartbeat_seconds=60)
    assert wire.sent == [(b"a", True, 0), (b"b", True, 0), (b"last", True, 1), (b"", False, 1)]
    assert len(wire.usage.records) == 1


async def test_of_what_is_passed_on_before_its_end(wire: Wire) -> None:
    class Forwarded:
        content_type = "application/json"

        async def pieces(self) -> AsyncIterator[bytes]:
            yield b'{"prompt_tokens": 7, '
            yield b'"response_tokens": 3}'

        def close(self) -> None: ...

    with wire.call() as call:
        await pass_on(call, Forwarded(), wire.response)  # type: ignore[arg-type]
    assert [(more, told) for _, more, told in wire.sent] == [(True, 0), (True, 0), (False, 1)]
    [record] = wire.usage.records
    assert (record.prompt_tokens, record.response_tokens) == (7, 3)
