"""Chat and completion with llama.cpp's own server, in this process (xllamacpp).

It speaks the OpenAI protocol itself, with continuous batching over ``slots``; no Python runs while it serves.
A streaming request whose client goes away frees its slot at once.
"""

import json
import os
import re
import socket
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import psutil

from modelyard.engines.base import Weights
from modelyard.engines.native_log import captured_stderr
from modelyard.engines.parameters import LlamaCppParameters
from modelyard.engines.requantise import requantise
from modelyard.errors import EngineError

_PROMPT_BATCH = 512
"""Tokens of a prompt that are read in one go: a cancelled request stops at the next border."""

_WARNINGS = 2
"""llama.cpp's log level: the next one writes eight lines for each request."""

_SPARE_HTTP_THREADS = 32
"""Each open connection holds one of the server's threads, idle ones and health probes too."""

_ERROR_LINE = re.compile(r"^[\d.]+ E (?P<who>[^:]*): (?P<text>.*)$")
_NOISE = ("exiting due to", "failed to load model", "please consider", "for example:", "trying to fit params")


def prepared(weights: Weights, uri: str, quantization: str = "") -> Path:
    """The GGUF file behind ``uri``, fetched, checked, and requantised once where ``quantization`` names a format."""
    model = _gguf_file(weights.resolve(uri))
    _check_header(model)
    if not quantization:
        return model
    name = f"{model.stem}.{quantization}.gguf"
    return weights.derive(model, name, lambda source, target: requantise(source, target, quantization))


class LlamaCpp:
    parameters_type: ClassVar = LlamaCppParameters

    def __init__(self, parameters: LlamaCppParameters, weights: Weights) -> None:
        self._parameters = parameters
        self._weights = weights
        self._model = Path()
        self._server: Any = None
        self._address = ""

    def load(self) -> None:
        """Fetch and check the weights; the server reads them when it starts."""
        self._model = prepared(self._weights, self._parameters.weights, self._parameters.quantization)

    def serve(self, host: str, port: int) -> None:
        import xllamacpp

        failure: Exception | None = None
        with captured_stderr() as log:
            try:
                self._server = xllamacpp.Server(self._server_parameters(xllamacpp, host, port))
            except Exception as error:  # whatever the library raises says less than its log
                failure = error
        if failure is not None:
            reason = _reason(log) or str(failure)
            raise EngineError(f"llama.cpp could not serve {self._model.name}: {reason}") from failure
        self._address = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def exit_code(self) -> int | None:
        return None  # it lives in this process: when it ends, the process does

    def drain(self) -> None:
        """Close the port to new connections and wait until no slot works and nothing is queued."""
        port = _move_listener(int(self._address.rpartition(":")[2]))
        quiet = 0
        while quiet < 3:
            time.sleep(0.1)
            quiet = quiet + 1 if _is_idle(f"http://127.0.0.1:{port}") else 0

    def close(self) -> None:
        self._server = None

    def _server_parameters(self, xllamacpp: Any, host: str, port: int) -> Any:
        asked = self._parameters
        given = xllamacpp.CommonParams()
        given.model.path = str(self._model)
        given.model_alias = [self._model.stem]
        given.hostnames = [host]
        given.port = port
        given.n_parallel = asked.slots
        given.n_ctx = asked.context_length * asked.slots
        given.n_batch = given.n_ubatch = _PROMPT_BATCH
        given.n_threads_http = 2 * asked.slots + _SPARE_HTTP_THREADS
        given.n_gpu_layers = asked.gpu_layers
        if asked.threads:
            given.cpuparams.n_threads = given.cpuparams_batch.n_threads = asked.threads
        if asked.chat_template:
            given.chat_template = asked.chat_template
        given.fit_params = False  # a context smaller than asked for would surprise everyone
        given.endpoint_slots = given.endpoint_metrics = True
        given.ui = False
        given.verbosity = _WARNINGS
        return given


def _gguf_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = sorted(path.glob("*.gguf"))
    first_parts = [file for file in files if re.search(r"-00001-of-\d{5}\.gguf$", file.name)]
    if len(first_parts) == 1:
        return first_parts[0]
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise EngineError(f"{path} should hold one GGUF file; found: {found}.", hint="Name one in 'weights'.")
    return files[0]


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise EngineError(
            f"{path.name} is not a GGUF file: it begins with {magic!r}.", hint="llama.cpp reads GGUF files only."
        )


def _reason(log: Iterable[str]) -> str | None:
    """The first line of llama.cpp's log that tells why; its other error lines only repeat that it failed."""
    for line in log:
        match = _ERROR_LINE.match(line)
        if match and not any(noise in match["text"] for noise in _NOISE):
            about = "its chat template is wrong: " if "chat_template" in match["who"] else ""
            return about + match["text"].removeprefix("error loading model: ").removeprefix("error: ")
    return None


def _is_idle(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/slots", timeout=30) as answer:  # noqa: S310  # an address of this process
        slots = json.load(answer)
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:  # noqa: S310
        deferred = re.search(rb"^llamacpp:requests_deferred (\S+)", answer.read(), re.MULTILINE)
    return not any(slot["is_processing"] for slot in slots) and (deferred is None or float(deferred[1]) == 0)


def _move_listener(port: int) -> int:
    """Move the server's listening socket to another port, which only we know, and give that port.

    llama.cpp's server cuts its streams when its listener is closed, so it gets another one instead: the
    descriptor is pointed at a new socket, and a last connection wakes the thread that still accepts on the old
    one, which thereby closes.
    """
    old = next(
        (
            found
            for found in psutil.Process().net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr.port == port
        ),
        None,
    )
    if old is None:
        return port
    with socket.create_server(("127.0.0.1", 0)) as hidden:
        os.dup2(hidden.fileno(), old.fd)
        new_port: int = hidden.getsockname()[1]
        family = socket.AF_INET6 if ":" in old.laddr.ip else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as last:
            last.settimeout(1)
            last.connect_ex((_reachable(old.laddr.ip), port))
    return new_port


def _reachable(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
