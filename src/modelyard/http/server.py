"""Listening and serving: sockets, uvicorn, and signals."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from modelyard.errors import ConfigurationError
from modelyard.http.protocol import bounded
from modelyard.settings import Settings

BACKLOG = 2048


def listening_socket(settings: Settings) -> socket.socket:
    """Bound, not listening yet. `ConfigurationError` where that cannot be."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(
            f"Cannot listen on {settings.host}:{settings.port}: {why}.",
            hint="Choose another port with --port (0 takes a free one).",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    app: ASGIApp,
    settings: Settings,
    listener: socket.socket,
    stopping: asyncio.Event,
    on_listening: Callable[[], None],
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Serve until one of ``signals`` comes, then finish the calls under way."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded(settings.security),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `create_app` heeds them where they matter
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(settings.gateway.drain_seconds) + 1,
    )
    server = _Server(config, stopping)
    # Before anything is told: who hears of it may connect, or send a signal, at once.
    server.heed(signals)
    listener.listen(BACKLOG)
    _settle_memory()
    on_listening()
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn would give the signal that ended it to the process once more, which would end it before workers are
    stopped and usage is written."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Whoever waits for a deployment is told so now; the answer would not come before the end.
        self._stopping.set()
        super().handle_exit(sig, frame)

    def heed(self, signals: Sequence[signal.Signals]) -> None:
        loop = asyncio.get_running_loop()
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


def _settle_memory() -> None:
    """What was made until now stays until the end: the garbage collector need not look at it again and again, nor
    look as often at a server that makes many short-lived objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
