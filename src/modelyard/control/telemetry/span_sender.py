"""Sends the spans of one process: a bounded queue and a thread that empties it.

Spans come encoded, at a few microseconds each: a thread that did that would keep the event loop from running for just
as long, and whenever it liked. What takes time here is waiting, which lets others run.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from modelyard.control.telemetry import metrics
from modelyard.control.telemetry.otlp_receiver import number

log = structlog.get_logger(__name__)

_QUEUE, _BATCH, _DELAY_MILLIS = 16_384, 2_048, 1_000
"""Where the standard variables ``OTEL_BSP_…`` say nothing: calls are told of many at a time, so there is room for
several such times."""
_END_SECONDS = 5.0


class Receives(Protocol):
    """`modelyard.control.telemetry.otlp_receiver.Receiver` is one."""

    def send(self, data: bytes) -> bool:
        """Whether it arrived; blocks."""
        ...

    def end(self) -> None: ...

    def close(self) -> None: ...


class SpanSender:
    """What does not fit into the queue, or does not arrive, is dropped and counted; nobody waits for it."""

    def __init__(self, receiver: Receives, request: Callable[[Sequence[bytes]], bytes]) -> None:
        """``request`` makes one of encoded spans."""
        self._receiver = receiver
        self._request = request
        self._batch = _setting("MAX_EXPORT_BATCH_SIZE", _BATCH)
        self._bound = _setting("MAX_QUEUE_SIZE", _QUEUE)
        self._delay = _setting("SCHEDULE_DELAY", _DELAY_MILLIS) / 1000
        self._queue: deque[tuple[bytes, int]] = deque()
        self._waiting = 0
        self._lock = threading.Lock()
        self._stir = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="otel-traces", daemon=True)
        self._thread.start()

    def put(self, spans: bytes, number: int) -> None:
        """Take so many encoded spans; never blocks."""
        if self._waiting and self._waiting + number > self._bound:
            metrics.SPANS_DROPPED.inc(number)
            return
        with self._lock:
            self._queue.append((spans, number))
            self._waiting += number
        if self._waiting >= self._batch:
            self._stir.set()

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        self._closing = True
        self._receiver.end()
        self._stir.set()
        self._thread.join(_END_SECONDS)
        metrics.SPANS_DROPPED.inc(self._take(self._bound)[1])

    def _run(self) -> None:
        while not self._closing:
            self._stir.wait(self._delay)
            self._stir.clear()
            self._send()
        self._send()
        self._receiver.close()

    def _send(self) -> None:
        while self._queue:
            batch, number = self._take(self._batch)
            try:
                arrived = self._receiver.send(self._request(batch))
            except Exception:
                log.exception("traces.not_sent")
                arrived = False
            if not arrived:
                metrics.SPANS_DROPPED.inc(number)

    def _take(self, most: int) -> tuple[list[bytes], int]:
        """What waited longest: about ``most`` spans, and how many."""
        taken, number = [], 0
        with self._lock:
            while self._queue and number < most:
                spans, more = self._queue.popleft()
                taken.append(spans)
                number += more
            self._waiting -= number
        return taken, number


def _setting(name: str, otherwise: int) -> int:
    return max(int(number(os.environ.get(f"OTEL_BSP_{name}", ""), otherwise)), 1)
