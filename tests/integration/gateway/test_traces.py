"""The caller's trace goes on to workers, where there are traces; and stands in the usage record."""

from gateway_house import House, StartWorker

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def told(house: House, start_worker: StartWorker, headers: dict[str, str]) -> dict[str, str]:
    """The headers that the worker got."""
    worker = await start_worker()
    house.show(worker)
    answer = await house.client.post(
        "/v4/models/chat/chat-completions", json={"prompt": "Hi", "chat_history": []}, headers=headers
    )
    assert answer.status_code == 200
    return worker.asked[-1].headers


async def test_it_goes_on(house: House, start_worker: StartWorker) -> None:
    house.gateway._traced = 1.0
    headers = await told(house, start_worker, {"traceparent": GIVEN, "tracestate": "v=1"})
    trace = (await house.record()).trace
    assert trace is not None
    assert GIVEN[3:35] == trace.trace_id
    assert headers["traceparent"] == f"00-{trace.trace_id}-{trace.span_id}-01"
    assert headers["tracestate"] == "v=1"


async def test_without_traces_nothing_is_told(house: House, start_worker: StartWorker) -> None:
    assert "traceparent" not in await told(house, start_worker, {"traceparent": GIVEN})
    assert (await house.record()).trace is None
