import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

# Helpers are imported by their bare names: with importmode=importlib pytest puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

from gateway_house import Behaviour, Build, House, StartWorker, Worker, answer_chat, open_house
from llama_worker import Llama, llama_behind

from modelyard.settings import GatewaySettings


@pytest.fixture
async def start_worker() -> AsyncIterator[StartWorker]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(behave: Behaviour = answer_chat, *, counts: bool = False) -> Worker:
            worker = Worker(behave=behave, counts=counts)
            server = await asyncio.start_server(worker.serve, "127.0.0.1", 0)
            worker.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            stack.callback(server.close)
            return worker

        yield start


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(**settings: Any) -> House:
            return await stack.enter_async_context(open_house(GatewaySettings(**settings)))

        yield make


@pytest.fixture
async def house(build: Build) -> House:
    return await build()


@pytest.fixture
async def llama(house: House, tmp_path: Path) -> AsyncIterator[Llama]:
    async with llama_behind(house, tmp_path) as worker:
        yield worker
