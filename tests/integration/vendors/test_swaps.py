"""A model server is swapped and rolled back while a call is under way, through the API of a whole server."""

import asyncio
from collections.abc import AsyncIterator

from fake_vendor import FakeVendor
from starlette.responses import StreamingResponse
from vendor_house import Start

ASKED = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}


async def test_a_call_under_way_is_finished_by_whoever_began_it(
    start: Start, vendor: FakeVendor, another: FakeVendor
) -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield 'data: {"choices": [{"index": 0, "delta": {"content": "From "}}]}\n\n'
        await go_on.wait()
        yield 'data: {"choices": [{"index": 0, "delta": {"content": "before"}, "finish_reason": "stop"}]}\n\n'
        yield "data: [DONE]\n\n"

    house = await start({"openai": {"api_key": "k", "base_url": vendor.url}, "other": {"base_url": another.url}})
    old = await house.model("old", "OPENAI", model="m")
    new = await house.model("new", "OTHER", model="m", base_url=another.url)
    made = await house.http.post("/v4/serving", json={"name": "n", "alias": "stable", "model_deployment_id": old["id"]})
    path = f"/v4/serving/{made.json()['model_server_id']}"
    vendor.line.append(StreamingResponse(slow(), media_type="text/event-stream"))

    async def served_by() -> str:
        answer = await house.http.post("/v4/serving/a/stable/execute", json=ASKED)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-served-by"]

    async with house.http.stream("POST", f"{path}/execute", json=ASKED) as under_way:
        assert (under_way.status_code, under_way.headers["x-served-by"]) == (200, old["id"])
        swapped = await house.http.put(f"{path}/backend", json={"new_model_deployment_id": new["id"]})
        assert swapped.status_code == 200, swapped.text
        assert await served_by() == new["id"]
        back = await house.http.post(f"{path}/rollback")
        assert back.status_code == 200, back.text
        assert await served_by() == old["id"]
        go_on.set()
        text = (await under_way.aread()).decode()
    assert "before" in text
    assert "error" not in text
