"""Comments on a stream that has nothing to say yet, so that no proxy on the way takes it for dead."""

import asyncio
from types import TracebackType

from modelyard.http.inference.response import Response
from modelyard.http.sse import comment


class Heartbeat:
    """As long as its block runs, ``response`` gets a comment every ``seconds``; the first one begins it, so from
    then on a failure is an event in the stream and no status. Costs nothing but a timer until then."""

    __slots__ = ("_beating", "_ended", "_response", "_seconds", "_timer")

    def __init__(self, response: Response, seconds: float) -> None:
        self._response = response
        self._seconds = seconds
        self._ended = False
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Heartbeat":
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self._timer.cancel()
        if self._beating is not None:
            # What is half sent is sent whole: the stream goes on behind it.
            await asyncio.wait((self._beating,))

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._begin)

    def _begin(self) -> None:
        self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        if not self._response.started:
            await self._response.begin((), sse=True)
        await self._response.piece(comment("waiting"))
        if not self._ended:
            self._arm()
