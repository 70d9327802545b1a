"""A worker's life, from its environment to its exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from modelyard.testing.tiny_models import tiny_embedding


def test_it_serves_until_it_is_told_to_stop(start_worker, http: httpx.Client, tmp_path: Path) -> None:
    tiny_embedding(tmp_path / "model")
    worker = start_worker("onnx-embedding", "EMBEDDING", weights=f"file:{tmp_path / 'model'}").ready()
    assert http.get(f"{worker.url}/readyz").status_code == 200
    answer = http.post(f"{worker.url}/predict", json={"texts": ["red", "green cat"]}).json()
    assert [text for text, _ in answer["embeddings"]] == ["red", "green cat"]
    worker.terminate()
    assert worker.end()[0] == 0
    assert worker.status()["phase"] == "exited"


def test_routes_are_where_the_template_says(start_worker, http: httpx.Client) -> None:
    worker = start_worker(
        "fake",
        "CHAT_COMPLETION",
        MODELYARD_HEALTH_ROUTE="/alive",
        MODELYARD_PREDICT_ROUTE="/v2/talk",
        MODELYARD_STREAMING_PREDICT_ROUTE="/v2/stream",
    ).ready()
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    assert http.get(f"{worker.url}/alive").status_code == 200
    assert http.post(f"{worker.url}/v2/talk", json=body).json()["message"]["content"] == "hello"
    assert '"text":"hello"' in http.post(f"{worker.url}/v2/stream", json=body).text


def test_requests_under_way_are_finished(start_worker, http: httpx.Client) -> None:
    worker = start_worker("fake", "CHAT_COMPLETION", fake_delay_seconds=0.05, fake_tokens=20).ready()
    body = {"messages": [{"role": "user", "content": "one two"}]}
    lines: list[str] = []
    with http.stream("POST", f"{worker.url}/generate_streaming", json=body) as stream:
        iterator = stream.iter_lines()
        lines.append(next(iterator))
        worker.terminate()
        lines.extend(iterator)
    assert '"response_tokens":20' in "".join(lines)
    assert worker.end()[0] == 0
    with pytest.raises(httpx.ConnectError):
        http.get(f"{worker.url}/readyz")


def test_the_second_signal_insists(start_worker, http: httpx.Client) -> None:
    worker = start_worker("fake", "GENERIC", fake_delay_seconds=600).ready()

    def call() -> None:
        with pytest.raises(httpx.HTTPError):
            http.post(f"{worker.url}/predict", json={})

    caller = threading.Thread(target=call)
    caller.start()
    worker.terminate()
    while worker.process.poll() is None:
        worker.terminate()
        caller.join(0.1)
    assert worker.end()[0] == 128 + 15
    caller.join()


def test_it_stops_at_once_while_it_loads(start_worker) -> None:
    worker = start_worker("fake", "GENERIC", fake_load_seconds=600)
    worker.wait_for("loading")
    worker.terminate()
    assert worker.end()[0] == 0
    assert worker.status()["phase"] == "exited"


@pytest.mark.parametrize(
    ("engine", "model_type", "variables", "words"),
    [
        ("fake", "EMBEDDING", {"fake_fail": "load"}, "told to fail while loading. Unset fake_fail."),
        ("fake", "EMBEDDING", {"fake_tokens": "none"}, "parameter 'fake_tokens'"),
        ("lama", "EMBEDDING", {}, "There is no engine 'lama'"),
        ("llama-cpp", "EMBEDDING", {"weights": "file:/x"}, "cannot serve models of type EMBEDDING"),
        ("llama-cpp", "COMPLETION", {"weights": "file:/nowhere/model.gguf"}, "/nowhere/model.gguf"),
        ("onnx-embedding", "EMBEDDING", {"weights": "pypi:x"}, "pypi:x"),
        ("fake", "POETRY", {}, "MODELYARD_MODEL_TYPE is 'POETRY'"),
        ("fake", "EMBEDDING", {"HOST": "203.0.113.1"}, "Cannot listen on 203.0.113.1"),
    ],
)
def test_what_keeps_it_from_serving_is_its_last_word(
    start_worker, engine: str, model_type: str, variables: dict[str, str], words: str
) -> None:
    worker = start_worker(engine, model_type, **variables)
    code, stderr = worker.end()
    assert code != 0
    assert words in stderr.splitlines()[-1]
    assert worker.status()["phase"] == "exited"
    assert words in worker.status()["detail"]


def test_a_port_that_is_taken_is_told_before_anything_loads(start_worker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = start_worker("fake", "EMBEDDING", fake_load_seconds=600, PORT=port)
        code, stderr = worker.end()
    assert code != 0
    assert f"Cannot listen on 127.0.0.1 port {port}: Address already in use" in stderr.splitlines()[-1]


def test_a_client_that_goes_away_stops_the_generation(start_worker, http: httpx.Client) -> None:
    """The engine has 256 places; abandoned generations would hold all of them for minutes."""
    worker = start_worker("fake", "CHAT_COMPLETION", fake_delay_seconds=0.01, fake_tokens=100_000).ready()
    body = {"messages": [{"role": "user", "content": "on and on"}]}
    for _ in range(300):
        with http.stream("POST", f"{worker.url}/generate_streaming", json=body) as stream:
            next(stream.iter_lines())
    short = {**body, "max_tokens": 1}
    assert http.post(f"{worker.url}/predict", json=short).json()["response_tokens"] == 1
    worker.terminate()
    assert worker.end()[0] == 0


def test_it_outlives_the_process_that_started_it(http: httpx.Client, tmp_path: Path, unused_port: int) -> None:
    status = tmp_path / "status.json"
    environ = {
        **os.environ,
        "PORT": str(unused_port),
        "MODELYARD_ENGINE": "fake",
        "MODELYARD_MODEL_TYPE": "EMBEDDING",
        "MODELYARD_WORKER_STATUS": str(status),
    }
    script = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-m', 'modelyard.worker']).pid)"
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.wait()
    parent.stdout.close()  # and nobody reads its log any more
    parent.stderr.close()  # type: ignore[union-attr]
    try:
        wait_for_phase(status, "ready")
        os.kill(pid, signal.SIGHUP)
        assert http.post(f"http://127.0.0.1:{unused_port}/predict", json={"texts": ["a"]}).status_code == 200
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for_phase(status, "exited")


def wait_for_phase(status: Path, phase: str) -> None:
    deadline = time.monotonic() + 60
    while not status.exists() or json.loads(status.read_text())["phase"] != phase:
        assert time.monotonic() < deadline
        time.sleep(0.02)
