"""The caller's trace goes on to vendors, beside what signs the request."""

import pytest
from fake_vendor import FakeVendor
from vendor_house import Start

from modelyard.settings import OtelSettings

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_it_goes_on(start: Start, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    house = await start(
        {"other": {"base_url": vendor.url, "api_key": "sk-1", "models": "llama"}},
        otel=OtelSettings(endpoint="http://127.0.0.1:1"),
    )
    body = {"prompt": "Hi"}
    headers = {"traceparent": GIVEN, "tracestate": "v=1"}
    answer = await house.http.post("/v4/models/llama/chat-completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    told = vendor.asked[0].headers
    _, trace_id, span_id, sampled = told["traceparent"].split("-")
    assert (trace_id, sampled) == (GIVEN.split("-")[1], "01")
    assert span_id != GIVEN.split("-")[2]
    assert (told["tracestate"], told["authorization"]) == ("v=1", "Bearer sk-1")
