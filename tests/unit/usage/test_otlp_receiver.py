"""What is sent by OTLP goes where the standard variables say, as they say, and again where that may help."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from modelyard.control.telemetry.otlp_receiver import Receiver, _pause

PREFIX = "OTEL_EXPORTER_OTLP_"


class Collector(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, str | None]] = []
        """Status and Retry-After of those that come before a 200."""
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        status, again = self.server.answers.pop(0) if self.server.answers else (200, None)
        self.send_response(status)
        if again is not None:
            self.send_header("retry-after", again)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sent(url: str | None, data: bytes = b"spans") -> bool:
    receiver = Receiver(url)
    try:
        return receiver.send(data)
    finally:
        receiver.close()


def test_it_goes_where_and_as_the_variables_say(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "ENDPOINT", f"{collector.url}/base/")
    monkeypatch.setenv(PREFIX + "HEADERS", "authorization=Bearer%20abc,x-one=1")
    assert sent(None)
    path, headers, body = collector.got[0]
    assert (path, body) == ("/base/v1/traces", b"spans")
    assert (headers["authorization"], headers["x-one"]) == ("Bearer abc", "1")
    assert headers["content-type"] == "application/x-protobuf"
    monkeypatch.setenv(PREFIX + "TRACES_ENDPOINT", f"{collector.url}/exactly/here")
    monkeypatch.setenv(PREFIX + "TRACES_HEADERS", "x-two=2")
    assert sent(None)
    path, headers, _ = collector.got[1]
    assert path == "/exactly/here"
    assert headers["x-two"] == "2"
    assert "x-one" not in headers
    assert sent(f"{collector.url}/settings")
    assert collector.got[2][0] == "/settings"


@pytest.mark.parametrize(("name", "plain"), [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("none", bytes)])
def test_compressed_as_wanted(collector: Collector, monkeypatch: pytest.MonkeyPatch, name: str, plain: object) -> None:
    monkeypatch.setenv(PREFIX + "COMPRESSION", name)
    assert sent(collector.url, b"a" * 1000)
    _, headers, body = collector.got[0]
    assert headers.get("content-encoding", "none") == name
    assert callable(plain)
    assert plain(body) == b"a" * 1000


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_again_where_it_is_busy(collector: Collector, status: int) -> None:
    collector.answers = [(status, "0"), (status, formatdate(0))]
    assert sent(collector.url)
    assert [body for _, _, body in collector.got] == [b"spans"] * 3


@pytest.mark.parametrize(("status", "again"), [(400, "0"), (500, "0"), (503, "3600")])
def test_not_again_where_that_is_no_use_or_too_late(collector: Collector, status: int, again: str) -> None:
    collector.answers = [(status, again)]
    assert not sent(collector.url)
    assert len(collector.got) == 1


def test_nothing_is_tried_again_at_the_end(collector: Collector) -> None:
    collector.answers = [(503, "5")]
    receiver = Receiver(collector.url)
    receiver.end()
    assert not receiver.send(b"spans")
    receiver.close()


def test_nobody_listens(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "TIMEOUT", "0.2")
    assert not sent("http://127.0.0.1:1/")


def test_how_long_until_the_next_try() -> None:
    def pause(status: int, **headers: str) -> float | None:
        return _pause(httpx2.Response(status, headers={"retry-after": headers["after"]} if headers else {}), 2)

    assert pause(503, after="7") == 7
    assert pause(404) is None
    for nonsense in ("soon", "-1", "nan", ""):
        found = pause(503, after=nonsense)
        assert found is not None
        assert 3.2 <= found <= 4.8
    assert _pause(httpx2.ConnectError("gone"), 0) is not None
