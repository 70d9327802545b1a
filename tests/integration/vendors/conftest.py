import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

# Helpers are imported by their bare names: with importmode=importlib pytest puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))

import asyncio

from fake_vendor import FakeVendor, serving
from pydantic import SecretStr
from vendor_house import KEY, House, Start

from modelyard.http.app import create_app
from modelyard.main import composed
from modelyard.settings import CatalogSettings, LoggingSettings, Settings, VendorsSettings


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with serving(FakeVendor()) as fake:
        yield fake


@pytest.fixture
async def another() -> AsyncIterator[FakeVendor]:
    async with serving(FakeVendor(text="From elsewhere")) as fake:
        yield fake


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a whole server, without starter models, with the vendors' settings it is given."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(vendors: dict[str, Any] | None = None, **more: Any) -> House:
            settings = Settings(
                data_dir=tmp_path / "data",
                bootstrap_api_key=SecretStr(KEY),
                catalog=CatalogSettings(starters=False),
                logging=LoggingSettings(level="WARNING"),
                vendors=VendorsSettings.model_validate(vendors or {}),
                **more,
            )
            settings.data_dir.mkdir(exist_ok=True)
            parts = await stack.enter_async_context(composed(settings))
            listener = socket.create_server(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            server = uvicorn.Server(uvicorn.Config(create_app(parts), log_level="warning", lifespan="off"))
            server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
            serving = asyncio.create_task(server._serve([listener]))

            async def stop() -> None:
                server.should_exit = True
                await serving

            stack.push_async_callback(stop)
            client = httpx.AsyncClient(base_url=url, headers={"x-api-key": KEY}, timeout=30)
            await stack.enter_async_context(client)
            return House(url, client, parts)

        yield make
