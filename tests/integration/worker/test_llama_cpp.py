"""The llama.cpp engine in its worker process, on a tiny model made here."""

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from modelyard.testing.tiny_models import tiny_gguf

DEADLINE_SECONDS = 60

CHAT = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_gguf(tmp_path / "tiny.gguf", window=100_000)


@pytest.fixture
def serve(start_worker, model: Path):
    def serve(**variables: object):
        variables = {"weights": f"file:{model}", "slots": 2, "context_length": 512, **variables}
        return start_worker("llama-cpp", "CHAT_COMPLETION", MODELYARD_PROTOCOL="VLLM", **variables)

    return serve


def busy(http: httpx.Client, url: str) -> int:
    return sum(slot["is_processing"] for slot in http.get(f"{url}/slots").json())


def await_busy(http: httpx.Client, url: str, slots: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while busy(http, url) != slots:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_speaks_the_openai_protocol(serve, http: httpx.Client) -> None:
    worker = serve().ready()
    assert http.get(f"{worker.url}/health").json() == {"status": "ok"}
    answer = http.post(f"{worker.url}/v1/chat/completions", json={**CHAT, "max_tokens": 4}).json()
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["model"] == "tiny"
    assert http.get(f"{worker.url}/").status_code == 404  # no user interface
    listening = [each for each in psutil.Process(worker.process.pid).net_connections("tcp") if each.status == "LISTEN"]
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
    worker.terminate()
    assert worker.end()[0] == 0


def test_each_slot_has_the_whole_context_length(serve, http: httpx.Client) -> None:
    worker = serve(context_length=1024, slots=3).ready()
    assert [slot["n_ctx"] for slot in http.get(f"{worker.url}/slots").json()] == [1024] * 3
    answer = http.post(
        f"{worker.url}/v1/chat/completions", json={"messages": [{"role": "user", "content": "x" * 1100}]}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "exceed_context_size_error"


def test_a_client_that_goes_away_frees_its_slot(serve, http: httpx.Client) -> None:
    worker = serve(context_length=65_536).ready()
    body = {**CHAT, "max_tokens": 60_000, "ignore_eos": True, "stream": True}
    with http.stream("POST", f"{worker.url}/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()  # nobody's iterator would be closed at once, and the connection with it
        next(lines)
        await_busy(http, worker.url, 1)
    await_busy(http, worker.url, 0)


def test_the_stream_under_way_is_finished_and_no_other_begins(serve, http: httpx.Client) -> None:
    worker = serve().ready()
    body = {**CHAT, "max_tokens": 400, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
    with http.stream("POST", f"{worker.url}/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        worker.terminate()
        rest = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert rest[-1]["usage"]["completion_tokens"] == 400
    assert worker.end()[0] == 0
    with pytest.raises(httpx.ConnectError):
        http.get(f"{worker.url}/health")


def test_connections_that_lie_idle_keep_nobody_out(serve, http: httpx.Client) -> None:
    """Each holds one of the server's threads until its keep-alive ends."""
    worker = serve().ready()
    with ExitStack() as idle:
        for _ in range(24):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", worker.port)))
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert http.get(f"{worker.url}/health", timeout=3).status_code == 200


def test_a_template_of_the_models_own(serve, http: httpx.Client) -> None:
    worker = serve(chat_template="{{ messages[0].content }}!").ready()
    assert http.post(f"{worker.url}/apply-template", json=CHAT).json() == {"prompt": "hi!"}


def test_requantised_weights_serve(serve, http: httpx.Client, tmp_path: Path) -> None:
    worker = serve(quantization="Q4_0").ready()
    meta = http.get(f"{worker.url}/v1/models").json()["data"][0]["meta"]
    assert meta["ftype"].startswith("Q4_0")
    assert [path.name for path in (tmp_path / "weights" / "derived").rglob("*.gguf")] == ["tiny.Q4_0.gguf"]


@pytest.mark.parametrize("size", [3, 2_000, 200_000])
def test_a_truncated_model_says_so_last(serve, model: Path, size: int) -> None:
    model.write_bytes(model.read_bytes()[:size])
    worker = serve()
    code, stderr = worker.end()
    assert code != 0
    assert "tiny.gguf" in stderr.splitlines()[-1]
    assert worker.status() == {"phase": "exited", "detail": stderr.splitlines()[-1]}


def test_a_template_that_is_none_says_so_last(serve) -> None:
    code, stderr = serve(chat_template="{{ messages[").end()
    assert code != 0
    assert "template" in stderr.splitlines()[-1]
