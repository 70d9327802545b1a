"""A modelyard server for a benchmark, with a data directory of its own, and how to make things on it."""

import contextlib
import json
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import free_port, running

KEY = "my_bench_0123456789abcdefghijklmnopqrstuvwx"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    url: str
    pid: int
    data_dir: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": KEY, "content-type": "application/json"}

    def post(self, path: str, body: object) -> Any:
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers, method=method)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)


@contextlib.contextmanager
def serving(directory: Path, *, cpu: str | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server while the block runs; logging and metering are on, as they are for everybody."""
    port = free_port()
    data_dir = directory / "data"
    weights = ROOT / ".cache" / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "weights").symlink_to(weights)
    env = {
        "MODELYARD_PORT": str(port),
        "MODELYARD_DATA_DIR": str(data_dir),
        "MODELYARD_BOOTSTRAP_API_KEY": KEY,
        "MODELYARD_CATALOG__PREFETCH": "false",
        **(settings or {}),
    }
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("modelyard")), "serve"]
    with running(command, url=f"{url}/readyz", log=directory / "modelyard.log", env=env, cpu=cpu) as process:
        yield Server(url, process.pid, data_dir)


def deploy_stub(server: Server, arguments: list[str], *, cpu: str | None, name: str = "stub") -> str:
    """A deployment whose worker is the stub upstream, pinned to ``cpu``; its id."""
    stub = [sys.executable, str(ROOT / "benchmarks" / "stub_upstream.py"), "--port", "${PORT}", *arguments]
    template = server.post(
        "/v4/model-templates",
        {
            "name": name,
            "endpoint_type": "STREAMING",
            "model_type": "CHAT_COMPLETION",
            "endpoint_protocol": "VLLM",
            "vendor_configuration": {
                "bundle_config": {
                    "registry": "local",
                    "image": "stub",
                    "tag": "1",
                    "command": [*(["taskset", "-c", cpu] if cpu is not None else []), *stub],
                    "healthcheck_route": "/health",
                },
                "endpoint_config": {"per_worker": 1000},
            },
        },
    )
    model = server.post(
        "/v4/models", {"name": name, "model_type": "CHAT_COMPLETION", "model_template_id": template["id"]}
    )
    return str(server.post(f"/v4/models/{model['id']}/deployments", {"name": name})["id"])
