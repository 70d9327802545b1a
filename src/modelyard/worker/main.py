"""The process that serves one model: ``python -m modelyard.worker``.

Life: read the environment, fetch and load (telling how far in the status file), serve until SIGTERM, finish
the requests under way, exit 0. A second SIGTERM ends it at once. What keeps it from serving is its last line
on standard error and its status file's ``detail``, and its exit code is not 0. It does not care whether the
server that started it still lives: the next one finds it again.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog

from modelyard import logs
from modelyard.domain.deployments import Phase
from modelyard.engines import registry
from modelyard.engines.base import ServerEngine
from modelyard.errors import ConfigurationError, EngineError, LaunchError, ModelyardError
from modelyard.settings import LoggingSettings
from modelyard.weights.cache import WeightCache
from modelyard.worker import config as configuration
from modelyard.worker.config import WorkerConfig
from modelyard.worker.status import StatusFile
from modelyard.worker.weights import WatchedWeights

log = structlog.get_logger(__name__)

FAILED = 1
MISCONFIGURED = 2


def run(environ: Mapping[str, str]) -> int:
    """Serve until told to stop; the exit code."""
    logs.configure(LoggingSettings(json_lines=False))
    try:
        config = configuration.read(environ)
    except ConfigurationError as error:
        return _last_words(StatusFile(configuration.status_file(environ)), str(error), MISCONFIGURED)
    status = StatusFile(config.status_file)
    status.write(Phase.LOADING, f"starting {config.engine}")
    stopped = _Stop(status)
    try:
        _serve(config, status, stopped)
    except (ModelyardError, OSError, MemoryError) as error:
        words = str(error) or type(error).__name__
        return _last_words(status, words, FAILED)
    except Exception as error:  # whatever an engine's library raised: the reader needs its name and its words
        log.exception("worker failed")
        return _last_words(status, f"{type(error).__name__}: {error}", FAILED)
    status.write(Phase.EXITED, "stopped")
    return 0


def _last_words(status: StatusFile, words: str, code: int) -> int:
    line = " ".join(words.split())
    status.write(Phase.EXITED, line)
    with suppress(OSError):  # nobody reads it any more
        print(line, file=sys.stderr, flush=True)
    return code


class _Stop:
    """SIGTERM and SIGINT: the first asks, the second insists. While nothing is served yet the first suffices."""

    def __init__(self, status: StatusFile) -> None:
        self.serving = False
        self.abandon: Callable[[], None] = lambda: None
        """What to clean up when there is nothing to finish."""
        self._asked = False
        self._then: Callable[[], object] | None = None
        self._status = status
        # Events and conditions may deadlock when they are set in a signal handler; a SimpleQueue cannot.
        self._queue: SimpleQueue[None] = SimpleQueue()
        self.install()

    def install(self) -> None:
        """Also after an engine's library was loaded: some bring handlers of their own."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal or server that started us may go away
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self, seconds: float) -> bool:
        """Whether a signal came, after at most ``seconds``."""
        if not self._asked:
            with suppress(Empty):
                self._queue.get(timeout=seconds)
        return self._asked

    def then(self, act: Callable[[], object]) -> None:
        """Call ``act`` in the signal handler (or now, if the signal was before)."""
        self._then = act
        if self._asked:
            act()

    def _on_signal(self, number: int, frame: object) -> None:
        if self._asked or not self.serving:
            self._status.write(Phase.EXITED, "stopped")
            self.abandon()
            os._exit(128 + number if self._asked else 0)
        self._asked = True
        self._queue.put(None)
        if self._then is not None:
            self._then()


def _serve(config: WorkerConfig, status: StatusFile, stop: _Stop) -> None:
    weights = WatchedWeights(WeightCache(config.weights_dir, config.weights), status)
    engine = registry.make(config.engine, config.model_type, config.parameters, weights)
    stop.abandon = engine.close

    def announce() -> None:
        stop.serving = True
        status.write(Phase.READY)
        log.info("serving", engine=config.engine, address=f"{config.host}:{config.port}")

    listener = _listener(config)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="engine") as engine_thread:
            # Loading on a thread of its own leaves this one free: to be told to stop, to import the web server.
            loaded = engine_thread.submit(engine.load)
            if isinstance(engine, ServerEngine):
                loaded.result()
                listener.close()
                engine_thread.submit(engine.serve, config.host, config.port).result()
                stop.install()
                announce()
                _watch(engine, stop)
            else:
                from modelyard.worker.app import make_app
                from modelyard.worker.serving import serve

                loaded.result()
                stop.install()
                app = make_app(config, engine, engine_thread)
                serve(app, listener, on_listening=announce, on_stop=stop.then)
            engine_thread.submit(engine.close).result()
    finally:
        listener.close()


def _listener(config: WorkerConfig) -> socket.socket:
    """The port, taken before the engine loads: that it is not free is known at once."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise LaunchError(
            f"Cannot listen on {config.host} port {config.port}: {error.strerror}.",
            hint="Another process may have the port.",
            code="port_unavailable",
        ) from error
    return listener


def _watch(engine: ServerEngine, stop: _Stop) -> None:
    """Wait for the signal, then for the requests under way."""
    while not stop.wait(1):
        code = engine.exit_code()
        if code is not None:
            raise EngineError(f"The engine's server ended by itself with code {code}.")
    engine.drain()


def main() -> None:
    code = run(os.environ)
    # Not sys.exit: threads of engines' libraries must not hold up or crash the end.
    os._exit(code)
