"""Chat and completion with vLLM, where it is installed: a ``vllm serve`` process of its own.

It speaks the OpenAI protocol on the worker's port; this process fetches the weights, starts it, watches it and
hands on the request to finish.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from threading import Thread
from typing import ClassVar

from modelyard.engines.base import Weights
from modelyard.engines.parameters import VllmParameters
from modelyard.errors import EngineError


class Vllm:
    parameters_type: ClassVar = VllmParameters

    def __init__(self, parameters: VllmParameters, weights: Weights) -> None:
        self._parameters = parameters
        self._weights = weights
        self._model = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: deque[str] = deque(maxlen=200)

    def load(self) -> None:
        """Find vLLM and fetch the weights; vLLM reads them when it starts."""
        _command()
        self._model = self._weights.resolve(self._parameters.weights)

    def serve(self, host: str, port: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # no shell; arguments from checked parameters
            [*_command(), *self._arguments(host, port)], stderr=subprocess.PIPE, env=_environment()
        )
        Thread(target=self._copy_log, name="vllm-log", daemon=True).start()
        health = f"http://{host}:{port}/health"
        while not _answers(health):
            if (code := self._process.poll()) is not None:
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
                hint = "This build of vLLM does not fit the machine's processor." if code == -signal.SIGILL else None
                raise EngineError(f"vLLM {how} while it loaded {self._model.name}: {self._reason()}", hint=hint)
            time.sleep(0.2)

    def exit_code(self) -> int | None:
        return self._process.poll() if self._process else None

    def drain(self) -> None:
        """vLLM stops listening and finishes what is under way when it gets SIGTERM."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _arguments(self, host: str, port: int) -> list[str]:
        asked = self._parameters
        arguments = ["serve", str(self._model), "--host", host, "--port", str(port)]
        arguments += ["--served-model-name", self._model.name, "--dtype", asked.dtype]
        arguments += ["--tensor-parallel-size", str(asked.tensor_parallel)]
        arguments += ["--gpu-memory-utilization", str(asked.gpu_memory_utilization)]
        if asked.context_length:
            arguments += ["--max-model-len", str(asked.context_length)]
        if asked.chat_template:
            arguments += ["--chat-template", asked.chat_template]
        # Requests may bring a chat template of their own, as the platform's callers may.
        return [*arguments, "--trust-request-chat-template"]

    def _copy_log(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            sys.stderr.buffer.write(raw)
            sys.stderr.flush()
            self._lines.append(raw.decode("utf-8", "replace").rstrip())

    def _reason(self) -> str:
        """The last line that names an error; vLLM ends in a traceback whose last line may be another's."""
        lines = [line for line in self._lines if line.strip()]
        named = [line for line in lines if "Error" in line and "Engine core initialization failed" not in line]
        return (named or lines or ["it said nothing."])[-1].strip()


def _command() -> list[str]:
    beside = Path(sys.executable).with_name("vllm")
    found = str(beside) if beside.is_file() else shutil.which("vllm")
    if found is None:
        raise EngineError(
            "vLLM is not installed on this machine.", hint="Install it with: pip install 'modelyard[vllm]'."
        )
    return [found]


def _environment() -> dict[str, str]:
    """Nothing leaves this machine: weights are local, and vLLM reports no statistics."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # the worker's own port
            return True
    except (urllib.error.URLError, OSError):
        return False
