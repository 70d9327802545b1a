"""A load generator that checks every answer: each call carries a word of its own, which the answer must give back."""

import asyncio
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field

import httpx

# The fake engine says a prompt's words again, and begins anew, until it has said eight.
WORDS = "alpha beta gamma delta"
TOKENS_IN, TOKENS_OUT = 5, 8
"""Of each call that is answered."""


_MAYBE_UNBEGUN = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""What a client sees whose call comes in the moment in which the server closes the connection. Whether anything was
begun, only the server's usage records tell."""


@dataclass
class Counts:
    sent: int = 0
    answered: int = 0
    failed: int = 0
    cut: int = 0
    """Calls whose answer had begun, or whose server was killed, and whose end never came."""
    foreign: int = 0
    """Calls that got another call's words."""
    refused: int = 0
    """Calls that nothing was begun for: no connection, a 404 or a 503, where the scenario expects that."""
    uncounted: int = 0
    """Answered calls that the usage records do not have exactly once."""
    doubled: int = 0
    """Workers beyond those that are wanted."""
    orphaned: int = 0
    """Workers that live on without a server."""
    words: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """Request ids of the calls that were answered."""

    def row(self, name: str) -> str:
        columns = ("sent", "answered", "failed", "cut", "foreign", "refused", "uncounted", "doubled", "orphaned")
        return f"{name:<52} " + " ".join(f"{getattr(self, column):>9}" for column in columns)

    @staticmethod
    def heading() -> str:
        columns = ("sent", "answered", "failed", "cut", "foreign", "refused", "uncounted", "doubled", "orphaned")
        return f"{'':<52} " + " ".join(f"{column:>9}" for column in columns)

    @property
    def whole(self) -> bool:
        return self.sent == self.answered > 0 and not (self.failed or self.cut or self.foreign)

    def compare(self, records: Counter[str]) -> None:
        """``records``: how many usage records each request id has."""
        self.uncounted = sum(records[request_id] != 1 for request_id in self.ids)


class Load:
    """``callers`` callers, each sending its next call when the last one is answered; every second call a stream."""

    def __init__(self, url: str, key: str, deployment: str, callers: int = 8, bound: int = 5000) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, headers={"x-api-key": key}, timeout=60, limits=httpx.Limits(max_connections=callers)
        )
        self._path = f"/v4/models/{deployment}/chat-completions"
        self._callers = callers
        self._bound = bound
        self._numbers = itertools.count()
        self._ended = False
        self._refusable = False
        self.counts = Counts()

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._call_on(bool(number % 2))) for number in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)
        await self._client.aclose()

    async def answered(self, more: int) -> None:
        """Wait until so many more calls were answered."""
        until = self.counts.answered + more
        async with asyncio.timeout(120):
            while self.counts.answered < until:
                await asyncio.sleep(0.02)

    def end_at_refusal(self) -> None:
        """From now on callers end when they are refused."""
        self._refusable = True

    def _refused(self) -> bool:
        if self._refusable:
            self.counts.refused += 1
            self._ended = True
        return self._refusable

    async def _call_on(self, stream: bool) -> None:
        while not self._ended and self.counts.sent < self._bound:
            await self._one(f"nonce{next(self._numbers)}", stream)

    async def _one(self, nonce: str, stream: bool) -> None:
        counts = self.counts
        counts.sent += 1
        body = {"prompt": f"{nonce} {WORDS}", "chat_history": [], "stream": stream}
        try:
            answer = await self._client.post(self._path, json=body)
        except httpx.HTTPError as error:
            if isinstance(error, httpx.ConnectError):
                counts.refused += 1
                self._ended |= self._refusable
                await asyncio.sleep(0.1)
            elif not isinstance(error, _MAYBE_UNBEGUN) or not self._refused():
                counts.cut += 1
                counts.words.append(f"{nonce}: {error!r}")
            return
        if answer.status_code in (404, 503) and self._refused():
            return
        if answer.status_code != 200:
            counts.failed += 1
            counts.words.append(f"{nonce}: {answer.status_code} {answer.text[:200]}")
            return
        self._check(nonce, stream, answer.text, answer.headers["x-request-id"])

    def _check(self, nonce: str, stream: bool, text: str, request_id: str) -> None:
        counts = self.counts
        lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")] if stream else [text]
        pieces = [json.loads(line) for line in lines]
        if "event: error" in text or not pieces or not pieces[-1].get("finish_reason"):
            counts.cut += 1
            counts.words.append(f"{nonce}: {text[-200:]}")
        elif "".join(piece["completions"][0][1][0] for piece in pieces) != f"{nonce} {WORDS} {nonce} alpha beta":
            counts.foreign += 1
            counts.words.append(f"{nonce}: {text[:300]}")
        elif (pieces[-1]["prompt_tokens"], pieces[-1]["response_tokens"]) != (TOKENS_IN, TOKENS_OUT):
            counts.foreign += 1
            counts.words.append(f"{nonce}: {text[-300:]}")
        else:
            counts.answered += 1
            counts.ids.append(request_id)
