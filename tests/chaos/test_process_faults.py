"""A server of several processes, killed one after the other while calls go on."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from server_process import Server, Start
from yard import CALLERS, TEMPLATE, Tell, Yard, adds_up, eventually, made, yard

from load import Counts

pytestmark = pytest.mark.timeout(480)

SETTINGS = {"MODELYARD_GATEWAYS": "2"}


def pids(server: Server, role: str) -> set[int]:
    files: list[Path] = server.run_files(role)
    return {pid for pid in (int(path.stem.rpartition("-")[2]) for path in files) if psutil.pid_exists(pid)}


async def kill(there: Yard, role: str) -> None:
    """One process of that role, and wait until there is another instead."""
    before = pids(there.server, role)
    os.kill(min(before), signal.SIGKILL)
    await eventually(
        lambda: len(pids(there.server, role)) == len(before) and min(before) not in pids(there.server, role)
    )


async def kill_each(there: Yard, counts: Counts, start_server: Start) -> None:
    async with there.load() as load:
        load.counts = counts
        await load.answered(40)
        workers = there.pids()
        await kill(there, "gateway")
        await load.answered(40)
        assert counts.cut <= CALLERS, counts.words  # those that were on its connections
        cut = counts.cut
        await kill(there, "controller")
        await load.answered(40)
        there.server.process.send_signal(signal.SIGKILL)
        there.server.process.wait()
        await load.answered(40)
        assert (counts.cut, counts.refused) == (cut, 0), "neither controller nor supervisor serves anybody"
        port = str(urlsplit(there.server.url).port)
        settings = {**SETTINGS, "MODELYARD_CATALOG__STARTERS": "false", "MODELYARD_PORT": port}
        again = await asyncio.to_thread(start_server, there.server.data_dir, **settings)
        there.server.process = again.process
        await load.answered(40)
        assert there.pids() == workers, "workers are adopted, none doubled"
    await there.settled(counts)
    await eventually(lambda: adds_up(there, counts))


def statuses(there: Yard, deployment: str) -> set[int]:
    """What calls on connections of their own get, from whichever gateways take them."""

    def call(_: int) -> int:
        body = {"prompt": "hello", "chat_history": []}
        headers = {"x-api-key": there.server.key}
        url = f"{there.server.url}/v4/models/{deployment}/chat-completions"
        return httpx.post(url, json=body, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        return set(pool.map(call, range(24)))


def test_any_process_of_a_server_may_be_killed(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    counts = Counts()
    with yard(start_server, tmp_path_factory.mktemp("many"), counts, settings=SETTINGS) as there:
        asyncio.run(kill_each(there, counts, start_server))
        path = made(there.api, {**TEMPLATE, "name": "another"}, {})
        another = path.rpartition("/")[2]
        asyncio.run(eventually(lambda: statuses(there, another) == {200}))
        assert there.api.delete(path).status_code == 200
        asyncio.run(eventually(lambda: statuses(there, another) == {404}))
    tell("gateway, controller, supervisor are killed in turn", counts)
    assert (counts.failed, counts.foreign) == (0, 0), counts.words
    assert counts.cut <= CALLERS, counts.words
    assert counts.sent == counts.answered + counts.cut + counts.refused
