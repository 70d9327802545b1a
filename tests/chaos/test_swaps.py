"""What happens to calls under way when the deployment behind a model server is swapped."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from server_process import Start
from yard import CALLERS, SPAN, Tell, Yard, eventually, usage_rows, yard

from load import TOKENS_IN, TOKENS_OUT, Counts, Load

NONE = (0, 0)

pytestmark = pytest.mark.timeout(480)


class Swapping:
    """A model server called ``stable``, in front of the yard's deployment (blue) and another one (green)."""

    def __init__(self, there: Yard, green_workers: int = 1) -> None:
        self.there, self.blue = there, there.deployment
        of_model = there.path.rpartition("/")[0]
        scaling = {"min_workers": green_workers, "max_workers": 1, "per_worker": CALLERS}
        self.green = self._made(of_model, {"name": "green", "vendor_configuration": scaling})["id"]
        body = {"name": "Stable", "alias": "stable", "model_deployment_id": self.blue}
        self.path = f"/v4/serving/{self._made('/v4/serving', body)['model_server_id']}"

    def _made(self, path: str, body: dict[str, Any]) -> Any:
        return self.there.api.post(path, json=body).raise_for_status().json()

    async def _do(self, method: str, path: str, **more: Any) -> None:
        answer = await asyncio.to_thread(self.there.api.request, method, path, **more)
        assert answer.status_code == 200, answer.text

    async def put(self, deployment: str) -> None:
        await self._do("PUT", f"{self.path}/backend", json={"new_model_deployment_id": deployment})

    async def roll_back(self) -> None:
        await self._do("POST", f"{self.path}/rollback")

    async def share(self, weight: int) -> None:
        shares = [{"model_deployment_id": self.blue, "weight": weight}, {"model_deployment_id": self.green}]
        await self._do("PATCH", self.path, json={"backends": shares})

    async def delete_blue(self) -> None:
        await self._do("DELETE", self.there.path)

    def used(self, deployment: str) -> tuple[int, int]:
        path = f"/v4/model-deployments/{deployment}/usage-statistics"
        data = self.there.api.get(path, params=SPAN).raise_for_status().json()["data"][0]
        return data["prompt_tokens"], data["response_tokens"]


async def swap_on(there: Yard, counts: Counts) -> None:
    server = Swapping(there)
    async with Load(there.server.url, there.server.key, "stable", CALLERS) as load:
        load.counts = counts
        for _ in range(5):
            await load.answered(10)
            await server.put(server.green)
            await load.answered(10)
            await server.roll_back()
        await server.share(1)
        await load.answered(30)
        await server.put(server.green)
    await eventually(lambda: server.used(server.blue) > NONE)
    async with Load(there.server.url, there.server.key, "stable", CALLERS) as load:
        load.counts = counts
        # Calls that began behind the shares of before are finished; none comes to blue any more.
        await load.answered(20)
        await server.delete_blue()
        await load.answered(20)
    await eventually(lambda: all_count(there, counts))
    assert server.used(server.green) > NONE


def all_count(there: Yard, counts: Counts) -> bool:
    """Whether every call that was answered is in the usage records once."""
    rows = usage_rows(there)
    counts.compare(Counter(row[0] for row in rows))
    sums = tuple(sum(row[index] for row in rows) for index in (1, 2))
    return not counts.uncounted and sums == (TOKENS_IN * counts.answered, TOKENS_OUT * counts.answered)


def test_swapping_what_is_behind_a_model_server_drops_and_cuts_nothing(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    counts = Counts()
    with yard(start_server, tmp_path_factory.mktemp("swapped"), counts, workers=1) as there:
        asyncio.run(swap_on(there, counts))
    tell("a model server's deployment is swapped 12 times", counts)
    assert counts.whole, counts


def test_a_swap_to_an_idle_deployment_waits_for_its_worker_while_calls_go_on(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    counts, settings = Counts(), {"MODELYARD_AUTOSCALE__IDLE_SECONDS": "3"}

    async def scenario(there: Yard) -> None:
        server = Swapping(there, green_workers=0)
        green = f"/v4/model-deployments/{server.green}"
        await eventually(lambda: there.api.get(green).json()["status_detail"]["phase"] == "idle")
        async with Load(there.server.url, there.server.key, "stable", CALLERS) as load:
            load.counts = counts
            await load.answered(20)
            await server.put(server.green)
            detail = (await asyncio.to_thread(there.api.get, green)).json()["status_detail"]
            assert detail["workers_ready"] == 1, detail
            await load.answered(20)

    with yard(start_server, tmp_path_factory.mktemp("idle"), counts, workers=1, settings=settings) as there:
        asyncio.run(scenario(there))
    tell("a model server's deployment gives way to an idle one", counts)
    assert counts.whole, counts
