"""The vLLM engine around a stand-in for ``vllm serve``: what it is told, and what becomes of its failures."""

import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from modelyard.engines.base import ServerEngine, Weights
from modelyard.engines.parameters import VllmParameters
from modelyard.engines.vllm import Vllm
from modelyard.errors import EngineError

STAND_IN = """#!{python}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
arguments = sys.argv[1:]
if "float32" in arguments:
    import os, signal
    os.kill(os.getpid(), signal.SIGILL)
if "float16" in arguments:
    print("ValueError: bfloat16 or nothing", file=sys.stderr)
    print("RuntimeError: Engine core initialization failed.", file=sys.stderr)
    sys.exit(3)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write("|".join(arguments).encode())
    def log_message(self, *_): pass
HTTPServer(("127.0.0.1", int(arguments[arguments.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere" / "python"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def engine(weights: Weights, path: Path, **parameters: object) -> Vllm:
    return Vllm(VllmParameters(weights=f"file:{path}", **parameters), weights)  # type: ignore[arg-type]


def test_without_vllm_the_remedy_is_named(weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(EngineError, match=r"pip install 'modelyard\[vllm\]'"):
        engine(weights, tmp_path).load()


@pytest.mark.usefixtures("installed")
def test_it_starts_serves_and_stops(weights: Weights, tmp_path: Path) -> None:
    vllm = engine(weights, tmp_path, context_length=1024, tensor_parallel=2)
    assert isinstance(vllm, ServerEngine)
    vllm.load()
    port = free_port()
    vllm.serve("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
        told = answer.read().decode().split("|")
    assert told[:2] == ["serve", str(tmp_path)]
    assert told[told.index("--host") + 1] == "127.0.0.1"
    assert told[told.index("--max-model-len") + 1] == "1024"
    assert told[told.index("--tensor-parallel-size") + 1] == "2"
    assert vllm.exit_code() is None
    vllm.drain()
    assert vllm.exit_code() is not None


@pytest.mark.usefixtures("installed")
def test_its_own_words_say_why_it_ended(weights: Weights, tmp_path: Path) -> None:
    vllm = engine(weights, tmp_path, dtype="float16")
    vllm.load()
    with pytest.raises(EngineError, match=r"code 3.*bfloat16 or nothing"):
        vllm.serve("127.0.0.1", free_port())


@pytest.mark.usefixtures("installed")
def test_a_build_for_another_processor_is_told(weights: Weights, tmp_path: Path) -> None:
    vllm = engine(weights, tmp_path, dtype="float32")
    vllm.load()
    with pytest.raises(EngineError, match=r"ended by SIGILL.*does not fit the machine's processor"):
        vllm.serve("127.0.0.1", free_port())
