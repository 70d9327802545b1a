"""One call, and all who are told of it: the vendor and the log of its trace, Prometheus of its counts."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from fake_vendor import FakeVendor
from vendor_house import House, Start

from modelyard import logs
from modelyard.settings import LoggingSettings, OtelSettings

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WATCHED = {
    "modelyard_calls_total",
    "modelyard_tokens_total",
    "modelyard_first_byte_seconds",
    "modelyard_calls_waiting",
    "modelyard_workers",
    "modelyard_reconciler_steps_total",
    "modelyard_usage_records_waiting",
    "modelyard_usage_lag_seconds",
}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where log lines go, as JSON."""
    root, lines = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", lines)
    logs.configure(LoggingSettings(json_lines=True))
    yield lines
    logs._json_handler = None
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def scraped(house: House, until: str) -> str:
    """What Prometheus is told, once it is told of ``until``."""
    async with asyncio.timeout(60):
        while until not in (text := (await house.http.get("/metrics")).text):
            await asyncio.sleep(0.05)
    return text


async def test_a_call_is_told_of(
    written: io.StringIO, start: Start, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    vendors = {"other": {"base_url": vendor.url, "api_key": "sk-1", "models": "watched"}}
    house = await start(vendors, otel=OtelSettings(endpoint="http://127.0.0.1:1"))
    headers = {"traceparent": GIVEN, "tracestate": "v=1", "x-request-id": "mine-1"}
    answer = await house.http.post("/v4/models/watched/chat-completions", json={"prompt": "Hi"}, headers=headers)
    assert answer.status_code == 200, answer.text

    told = vendor.asked[0].headers
    _, trace_id, span_id, sampled = told["traceparent"].split("-")
    assert (trace_id, sampled) == (GIVEN.split("-")[1], "01")
    assert span_id != GIVEN.split("-")[2]
    assert (told["tracestate"], told["authorization"]) == ("v=1", "Bearer sk-1")

    metrics = await scraped(house, 'modelyard_calls_total{model="watched"')
    assert not {name for name in WATCHED if f"# TYPE {name} " not in metrics}
    assert 'modelyard_tokens_total{kind="prompt",model="watched"} 11.0' in metrics

    async with asyncio.timeout(60):
        while not (lines := [line for line in _lines(written) if line["event"] == "call"]):
            await asyncio.sleep(0.05)
    assert lines[0]["request_id"] == answer.headers["x-request-id"]
    assert (lines[0]["trace_id"], lines[0]["span_id"]) == (trace_id, span_id)


def _lines(written: io.StringIO) -> list[dict[str, Any]]:
    """Every line is JSON."""
    return [json.loads(line) for line in written.getvalue().splitlines(keepends=True) if line.endswith("\n")]
