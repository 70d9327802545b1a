"""A server with one deployment, to be treated badly."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from databases import Rows, sqlite_rows
from server_process import Server, Start

from load import TOKENS_IN, TOKENS_OUT, Counts, Load
from modelyard.launchers.local.processes import is_alive

CALLERS = 8
PAUSE = {"name": "fake_delay_seconds", "type": "float", "description": "pause before each token", "required": False}
TEMPLATE: dict[str, Any] = {
    "name": "echo",
    "endpoint_type": "STREAMING",
    "model_type": "CHAT_COMPLETION",
    "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "1"}},
    "model_creation_parameters_schema": {"parameters": [PAUSE]},
}
BAD: dict[str, Any] = {
    **TEMPLATE,
    "name": "bad",
    "endpoint_protocol": "VLLM",
    "vendor_configuration": {
        "bundle_config": {
            "registry": "local",
            "image": "bad",
            "tag": "1",
            "command": [sys.executable, str(Path(__file__).with_name("bad_worker.py"))],
            "healthcheck_route": "/health",
            "readiness_initial_delay_seconds": 20,
        }
    },
    "model_creation_parameters_schema": {
        "parameters": [{"name": "FAIL", "type": "str", "description": "last words", "required": False}]
    },
}
"""Templates of the worker beside this file, which misbehaves when it is told to."""
SPAN = {"chunks": 1, "start_date": "2026-01-01T00:00:00Z", "end_date": "2100-01-01T00:00:00Z"}

Tell = Callable[[str, Counts], None]


@dataclass
class Yard:
    server: Server
    api: httpx.Client
    path: str
    deployment: str
    workers: int
    """So many are wanted."""
    rows: Callable[[], Rows] | None = None
    """Reads the usage records, where they are not in the data directory."""

    def load(self, callers: int = CALLERS) -> Load:
        return Load(self.server.url, self.server.key, self.deployment, callers)

    def detail(self) -> dict[str, Any]:
        answer = self.api.get(self.path).raise_for_status().json()
        return {"status": answer["status"], **answer["status_detail"]}

    def ready(self) -> int:
        return int(self.detail()["workers_ready"])

    def pids(self) -> set[int]:
        return {worker.pid for worker in self.server.workers()}

    async def change(self, **body: Any) -> None:
        answer = await asyncio.to_thread(self.api.patch, self.path, json=body)
        assert answer.status_code == 200, answer.text

    async def settled(self, counts: Counts, others: int = 0) -> None:
        """Wait for the workers that are wanted, and count those beyond; ``others`` are of other deployments."""
        try:
            await eventually(lambda: len(self.pids()) == self.ready() + others == self.workers + others)
        except TimeoutError:
            counts.doubled = max(0, len(self.pids()) - self.workers - others)
            raise

    def used(self) -> tuple[int, int]:
        """Prompt and response tokens, as the API tells them."""
        path = f"/v4/model-deployments/{self.deployment}/usage-statistics"
        data = self.api.get(path, params=SPAN).raise_for_status().json()["data"][0]
        return data["prompt_tokens"], data["response_tokens"]


@contextmanager
def yard(
    start_server: Start,
    directory: Path,
    counts: Counts | None = None,
    *,
    workers: int = 2,
    stop: bool = True,
    settings: Mapping[str, str] | None = None,
    template: dict[str, Any] = TEMPLATE,
    parameters: Mapping[str, Any] = MappingProxyType({"fake_delay_seconds": 0.02}),
) -> Iterator[Yard]:
    """``stop``: at the end, with a count of what outlives it."""
    server = start_server(directory / "data", MODELYARD_CATALOG__STARTERS="false", **(settings or {}))
    with httpx.Client(base_url=server.url, headers={"x-api-key": server.key}, timeout=90) as api:
        path = made(api, template, parameters, workers=workers)
        there = Yard(server, api, path, path.rpartition("/")[2], workers)
        asyncio.run(eventually(lambda: there.ready() == workers))
        yield there
    if stop:
        left = server.workers()
        assert server.stop() == 0
        orphaned = sum(map(is_alive, left))
        if counts is not None:
            counts.orphaned = orphaned
        assert not orphaned, "workers outlive their server"


def made(
    api: httpx.Client, template: dict[str, Any], parameters: Mapping[str, Any], *, workers: int = 1, wait: bool = True
) -> str:
    """A template, a model and a deployment; the deployment's path."""
    template_id = posted(api, "/v4/model-templates", template)
    model = {
        "name": template["name"],
        "model_type": template["model_type"],
        "model_template_id": template_id,
        "model_creation_parameters": dict(parameters),
    }
    of_model = f"/v4/models/{posted(api, '/v4/models', model)}/deployments"
    scaling = {"min_workers": workers, "max_workers": workers, "per_worker": CALLERS}
    body = {"name": template["name"], "vendor_configuration": scaling, "wait_for_ready": wait}
    return f"{of_model}/{posted(api, of_model, body)}"


def posted(api: httpx.Client, path: str, body: dict[str, Any]) -> str:
    """The new entity's id."""
    answer = api.post(path, json=body)
    assert answer.status_code < 300, answer.text
    return str(answer.json()["id"])


async def eventually(what: Callable[[], bool], seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(what):
            await asyncio.sleep(0.25)  # each look goes through all processes of the machine


def usage_rows(there: Yard) -> Rows:
    return there.rows() if there.rows is not None else sqlite_rows(there.server.data_dir / "modelyard.db")


def adds_up(there: Yard, counts: Counts) -> bool:
    """Whether usage is what was answered, each call once, and the parts of those that were cut; none is there twice."""
    rows = usage_rows(there)
    counts.compare(Counter(row[0] for row in rows))
    answered = set(counts.ids)
    others = [row for row in rows if row[0] not in answered]
    mine = tuple(all_ - sum(row[index] for row in others) for index, all_ in zip((1, 2), there.used(), strict=True))
    once = len({row[0] for row in rows}) == len(rows)
    return once and not counts.uncounted and mine == (TOKENS_IN * counts.answered, TOKENS_OUT * counts.answered)
