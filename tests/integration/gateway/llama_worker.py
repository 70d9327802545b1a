"""llama.cpp's real server in a worker process, on a tiny model: a byte is a token."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from gateway_house import House, until

from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.routes import Endpoint, Route
from modelyard.testing.gateway import make_route
from modelyard.testing.tiny_models import tiny_gguf

WINDOW = 4096


@dataclass
class Llama:
    address: str

    async def busy(self) -> int:
        async with httpx.AsyncClient() as client:
            slots = (await client.get(f"{self.address}/slots")).json()
        return sum(slot["is_processing"] for slot in slots)

    async def wait_busy(self, wanted: int) -> None:
        async with asyncio.timeout(30):
            while await self.busy() != wanted:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def worker_behind(house: House, tmp_path: Path, variables: dict[str, str], wanted: Route) -> AsyncIterator[str]:
    """A worker process of our own, and the route to it; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    status = tmp_path / "status.json"
    given = {
        "PORT": str(port),
        "MODELYARD_MODEL_TYPE": "CHAT_COMPLETION",
        "MODELYARD_PROTOCOL": wanted.protocol,
        "MODELYARD_WEIGHTS_DIR": str(tmp_path / "weights"),
        "MODELYARD_WEIGHTS__MIN_FREE_BYTES": "0",
        "MODELYARD_WORKER_STATUS": str(status),
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "modelyard.worker", env={**os.environ, **given}
    )
    try:
        await until(lambda: status.exists() and json.loads(status.read_bytes())["phase"] == "ready")
        address = f"http://127.0.0.1:{port}"
        house.routes.put(replace(wanted, endpoints=(Endpoint("w0", address),)))
        yield address
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def llama_behind(house: House, tmp_path: Path, **parameters: str) -> AsyncIterator[Llama]:
    """A worker, and the route to it: chat, windows of 4096 tokens, two slots."""
    schema = ParameterSchema((Parameter("ignore_eos", ParameterType.BOOL, "", required=False),))
    route = make_route(context_window=WINDOW, per_worker=2, request_schema=schema)
    variables = {
        "MODELYARD_ENGINE": "llama-cpp",
        "weights": f"file:{tiny_gguf(tmp_path / 'tiny.gguf', window=WINDOW)}",
        "slots": "2",
        "context_length": str(WINDOW),
        **parameters,
    }
    async with worker_behind(house, tmp_path, variables, route) as address:
        yield Llama(address)
