"""A worker hangs, resets, babbles or stops half-way: whoever called it is told so, and nobody else notices."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from server_process import Start
from yard import BAD, CALLERS, Tell, Yard, adds_up, eventually, yard

from load import Counts

pytestmark = pytest.mark.timeout(480)

SETTINGS = {"MODELYARD_GATEWAY__FIRST_BYTE_SECONDS": "2", "MODELYARD_RECONCILER__PROBE_FAILURES": "2"}
FAULTS = {
    "hang": (504, {"upstream_timeout"}),
    "reset": (502, {"upstream_lost"}),
    "garbage": (502, {"upstream_garbage"}),
    "nonsense": (502, {"upstream_error", "upstream_cut_off"}),  # as a stream it is one that has no end
    "half": (502, {"upstream_cut_off"}),
}


async def misbehave(client: httpx.AsyncClient, path: str, fault: str, stream: bool) -> None:
    answer = await client.post(path, json={"prompt": f"{fault} now", "chat_history": [], "stream": stream})
    if stream and fault == "half":
        assert answer.status_code == 200, answer.text
        assert "Hel" in answer.text
        error = told_in(answer.text)
        assert error["code"] == "upstream_cut_off"
    else:
        error = answer.json()
        status, codes = FAULTS[fault]
        assert answer.status_code == status, answer.text
        assert error["code"] in codes, answer.text
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "worker" in error["detail"], error


def told_in(stream: str) -> dict[str, Any]:
    """The error event at a stream's end."""
    event = stream.strip().split("\n\n")[-1]
    name, data = event.split("\n")
    assert name == "event: error", stream
    parsed: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return parsed


async def misbehave_in_all_ways(there: Yard, counts: Counts) -> int:
    """Under load; how many calls that was."""
    path = f"/v4/models/{there.deployment}/chat-completions"
    headers = {"x-api-key": there.server.key}
    calls = [(fault, stream) for fault in FAULTS for stream in (False, True) for _ in range(3)]
    async with (
        there.load(CALLERS // 2) as load,
        httpx.AsyncClient(base_url=there.server.url, headers=headers, timeout=60) as client,
    ):
        load.counts = counts
        await load.answered(20)
        await asyncio.gather(*(misbehave(client, path, fault, stream) for fault, stream in calls))
        await load.answered(40)
    return len(calls)


def test_faults_of_a_worker_stay_with_the_call_that_met_them(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    counts = Counts()
    directory = tmp_path_factory.mktemp("upstream")
    with yard(start_server, directory, counts, workers=1, settings=SETTINGS, template=BAD, parameters={}) as there:
        before = there.pids()
        faults = asyncio.run(misbehave_in_all_ways(there, counts))
        assert there.pids() == before, "a worker is judged by its health, not by single calls"
        # Every place is free again: so many calls at once are served, and none waits in vain.
        asyncio.run(serve_all_places(there, counts))
        asyncio.run(eventually(lambda: adds_up(there, counts)))
        path = f"/v4/models/{there.deployment}/chat-completions"
        assert there.api.post(path, json={"prompt": "sicken", "chat_history": []}).status_code == 200
        asyncio.run(eventually(lambda: there.ready() == 1 and not before & there.pids()))
        asyncio.run(serve_all_places(there, counts))
    tell(f"a worker hangs, resets, babbles in {faults} other calls", counts)
    assert counts.whole, counts


async def serve_all_places(there: Yard, counts: Counts) -> None:
    async with there.load() as load:
        load.counts = counts
        await load.answered(4 * CALLERS)
