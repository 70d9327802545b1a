"""What happens to calls under way when workers die, roll over and go away."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest
from server_process import Server, Start

from load import Counts, Load

pytestmark = pytest.mark.timeout(180)

CALLERS = 8
TEMPLATE = {
    "name": "echo",
    "endpoint_type": "STREAMING",
    "model_type": "CHAT_COMPLETION",
    "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "1"}},
    "model_creation_parameters_schema": {
        "parameters": [
            {"name": "fake_delay_seconds", "type": "float", "description": "pause before each token", "required": False}
        ]
    },
}


@dataclass
class Yard:
    """A server with one deployment of two workers."""

    server: Server
    api: httpx.Client
    path: str
    deployment: str

    def load(self) -> Load:
        return Load(self.server.url, self.server.key, self.deployment, CALLERS)

    def ready(self) -> int:
        return int(self.api.get(self.path).raise_for_status().json()["status_detail"]["workers_ready"])

    async def change(self, **body: Any) -> None:
        answer = await asyncio.to_thread(self.api.patch, self.path, json=body)
        assert answer.status_code == 200, answer.text


@contextmanager
def yard(start_server: Start, directory: Any, *, stop: bool = True) -> Iterator[Yard]:
    """``stop``: at the end, with a look at whether anything outlives it."""
    server = start_server(directory / "data", MODELYARD_CATALOG__STARTERS="false")
    with httpx.Client(base_url=server.url, headers={"x-api-key": server.key}, timeout=90) as api:
        template = api.post("/v4/model-templates", json=TEMPLATE).raise_for_status().json()
        model = {
            "name": "echo",
            "model_type": "CHAT_COMPLETION",
            "model_template_id": template["id"],
            "model_creation_parameters": {"fake_delay_seconds": 0.02},
        }
        of_model = f"/v4/models/{api.post('/v4/models', json=model).raise_for_status().json()['id']}/deployments"
        scaling = {"min_workers": 2, "max_workers": 2, "per_worker": CALLERS}
        made = api.post(of_model, json={"name": "main", "vendor_configuration": scaling}).raise_for_status().json()
        whole = Yard(server, api, f"{of_model}/{made['id']}", made["id"])
        asyncio.run(eventually(lambda: whole.ready() == 2))
        yield whole
    if not stop:
        return
    workers = server.workers()
    assert server.stop() == 0
    assert not [worker for worker in workers if lives(worker)], "workers outlive their server"


def lives(worker: psutil.Process) -> bool:
    """One whose server was killed has nobody who reaps it here: a zombie has ended."""
    try:
        return worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def eventually(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(what):
            await asyncio.sleep(0.1)


Tell = Callable[[str, Counts], None]


def test_a_killed_worker_fails_no_call_while_another_lives(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    async def scenario(there: Yard) -> Counts:
        async with there.load() as load:
            await load.answered(40)
            killed = there.server.workers()[0]
            killed.send_signal(signal.SIGKILL)
            await load.answered(100)
            await eventually(lambda: there.ready() == 2 and killed.pid not in {w.pid for w in there.server.workers()})
        return load.counts

    with yard(start_server, tmp_path_factory.mktemp("killed")) as there:
        counts = asyncio.run(scenario(there))
    tell("a worker of two is killed", counts)
    assert (counts.failed, counts.foreign) == (0, 0), counts.words
    # A stream of which the client has read a part cannot be asked for again.
    assert counts.cut <= CALLERS // 2, counts.words
    assert counts.sent == counts.answered + counts.cut


def test_an_update_under_load_drops_and_cuts_nothing(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    async def scenario(there: Yard) -> Counts:
        async with there.load() as load:
            await load.answered(40)
            before = {worker.pid for worker in there.server.workers()}
            await there.change(model_creation_parameters={"fake_delay_seconds": 0.03})
            await eventually(lambda: not before & {worker.pid for worker in there.server.workers()})
            await load.answered(40)
        return load.counts

    with yard(start_server, tmp_path_factory.mktemp("updated")) as there:
        counts = asyncio.run(scenario(there))
        assert there.ready() == 2
    tell("a configuration rolls over", counts)
    assert counts.whole, counts


def test_taking_a_worker_away_under_load_drops_and_cuts_nothing(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    async def scenario(there: Yard) -> Counts:
        async with there.load() as load:
            await load.answered(40)
            await there.change(vendor_configuration={"min_workers": 1, "max_workers": 1})
            await eventually(lambda: len(there.server.workers()) == 1)
            await load.answered(40)
        return load.counts

    with yard(start_server, tmp_path_factory.mktemp("fewer")) as there:
        counts = asyncio.run(scenario(there))
        assert there.ready() == 1
    tell("a worker of two is taken away", counts)
    assert counts.whole, counts
