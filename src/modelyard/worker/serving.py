"""The web server around the worker's application. Apart from `main`, because workers whose engines serve by
themselves never need it, and the others import it while their engine loads."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """Leaves signals alone: uvicorn would end the process by the signal that asked it to finish."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    on_listening: Callable[[], None],
    on_stop: Callable[[Callable[[], object]], None],
) -> None:
    """Serve on a bound socket until told to stop, then finish the requests under way and return.

    ``on_listening`` is called when connections are accepted, ``on_stop`` at once with what to call to stop,
    from any thread or signal handler.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        server_header=False,
    )
    server = _Server(config)

    def finish() -> None:
        server.should_exit = True

    async def announce() -> None:
        while not server.started:  # noqa: ASYNC110  # uvicorn offers no event for it
            await asyncio.sleep(0.002)
        on_listening()

    async def run() -> None:
        announced = asyncio.create_task(announce())
        on_stop(partial(asyncio.get_running_loop().call_soon_threadsafe, finish))
        await server.serve(sockets=[listener])
        announced.cancel()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())
