"""Spans wait in a bounded queue, and leave in batches; those that do not arrive are counted."""

import threading
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY

from modelyard.control.telemetry import span_sender
from modelyard.control.telemetry.span_sender import SpanSender

LONG = 60.0
"""Seconds; nothing here takes as long unless it is broken."""


class Receiver:
    def __init__(self, *, arrives: bool = True, fails: bool = False, holds: bool = False) -> None:
        self.got: list[bytes] = []
        self.arrives, self.fails = arrives, fails
        self.asked, self.free = threading.Event(), threading.Event()
        self.ended = self.closed = False
        if not holds:
            self.free.set()

    def send(self, data: bytes) -> bool:
        self.got.append(data)
        self.asked.set()
        assert self.free.wait(LONG)
        if self.fails:
            raise RuntimeError("broken")
        return self.arrives

    def end(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True


def together(spans: Sequence[bytes]) -> bytes:
    return b"|".join(spans)


def dropped() -> float:
    return REGISTRY.get_sample_value("modelyard_spans_dropped_total") or 0


@pytest.fixture(autouse=True)
def _never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")


def test_what_is_left_is_sent_at_the_end() -> None:
    receiver = Receiver()
    sender = SpanSender(receiver, together)
    sender.put(b"a", 1)
    sender.put(b"bc", 2)
    before = dropped()
    sender.close()
    assert receiver.got == [b"a|bc"]
    assert receiver.ended
    assert receiver.closed
    assert dropped() == before


def test_a_batch_leaves_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
    receiver = Receiver()
    sender = SpanSender(receiver, together)
    sender.put(b"ab", 2)
    assert not receiver.asked.is_set()
    sender.put(b"cd", 2)
    assert receiver.asked.wait(LONG)
    sender.close()
    assert receiver.got == [b"ab|cd"]


def test_it_leaves_in_time_though_it_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    receiver = Receiver()
    sender = SpanSender(receiver, together)
    sender.put(b"a", 1)
    assert receiver.asked.wait(LONG)
    sender.close()
    assert receiver.got == [b"a"]


def test_what_does_not_fit_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "5")
    receiver = Receiver(holds=True)
    sender = SpanSender(receiver, together)
    sender.put(b"a", 1)
    assert receiver.asked.wait(LONG)
    before = dropped()
    for spans in (b"four", b"too much", b"b"):
        sender.put(spans, 4 if spans == b"four" else len(spans) if spans != b"b" else 1)
    assert dropped() == before + len(b"too much")
    receiver.free.set()
    sender.close()
    assert receiver.got == [b"a", b"four", b"b"]


def test_more_than_the_whole_queue_finds_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "5")
    receiver = Receiver()
    sender = SpanSender(receiver, together)
    sender.put(b"a hundred", 100)
    sender.close()
    assert receiver.got == [b"a hundred"]


def test_what_is_still_there_at_the_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_sender, "_END_SECONDS", 0.01)
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    receiver = Receiver(holds=True)
    sender = SpanSender(receiver, together)
    sender.put(b"a", 1)
    assert receiver.asked.wait(LONG)
    sender.put(b"bcd", 3)
    before = dropped()
    sender.close()
    assert dropped() == before + 3
    receiver.free.set()


@pytest.mark.parametrize("receiver", [Receiver(arrives=False), Receiver(fails=True)])
def test_what_does_not_arrive_is_counted(receiver: Receiver) -> None:
    before = dropped()
    sender = SpanSender(receiver, together)
    sender.put(b"abc", 3)
    sender.close()
    assert dropped() == before + 3
    assert receiver.closed
