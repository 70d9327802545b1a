"""What it costs to speak a vendor's format: ours against the vendors' SDKs, LiteLLM and pydantic-ai as libraries.

    benchmarks/install-peers && python benchmarks/adapters.py [--rounds 5]

CPU time of one call, from a request in native types to an answer in native types: eleven turns, a tool, an answer with
a tool call. Nothing is sent: the peers' HTTP clients get the published answer from a transport that holds it, so that
their figures contain an HTTP client's work too, which ours do not. `docs/adr/0001-vendor-adapters.md` quotes the table.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.domain.inference import ChatRequest, Message, Tool, ToolFunction
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorTarget
from modelyard.gateway.adapters.anthropic import AnthropicAdapter
from modelyard.gateway.adapters.gemini import GeminiAdapter
from modelyard.testing.gateway import make_route
from report import machine, middle, spread, table

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "tests" / "contract" / "adapters" / "published"
PEER_PYTHON = ROOT / ".cache" / "peers" / "mapping" / "bin" / "python"
OURS = "modelyard"
CALLS = 300

SENTENCE = "says something of a usual length, a sentence or two, no more than that."
CONVERSATION = [
    ("system", "Be brief."),
    *((role, f"Turn {number} {SENTENCE}") for number in range(5) for role in ("user", "assistant")),
    ("user", "What is the weather like in San Francisco?"),
]
SCHEMA = {"type": "object", "properties": {"location": {"type": "string"}, "unit": {"type": "string"}}}


def cpu(call: Callable[[], Any]) -> float:
    """Microseconds of CPU time that one call takes."""
    for _ in range(20):
        call()
    begun = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - begun) / CALLS * 1e6


def ours() -> dict[str, float]:
    """One round of our adapters."""
    tools = [Tool(ToolFunction("get_weather", "Weather", SCHEMA))]
    messages = [Message(role, text) for role, text in CONVERSATION]  # type: ignore[arg-type]
    taken = {}
    for vendor, adapter, kind, model in (
        ("anthropic", AnthropicAdapter(), ModelVendor.ANTHROPIC, "claude-haiku-4-5"),
        ("gemini", GeminiAdapter(), ModelVendor.GOOGLE, "gemini-3.5-flash"),
    ):
        route = make_route(vendor=VendorTarget(kind, model, "https://example.com"))
        whole = (PUBLISHED / vendor / "chat_tools.json").read_bytes()
        events = (PUBLISHED / vendor / "chat_tools.sse").read_bytes()
        request = ChatRequest(messages=messages, tools=tools, max_tokens=100)
        taken[f"{OURS} {vendor} request alone"] = cpu(partial(adapter.encode_chat, request, route))
        for task, stream, body in (("whole", None, whole), ("streamed", True, events)):
            request = ChatRequest(messages=messages, tools=tools, max_tokens=100, stream=stream)
            taken[f"{OURS} {vendor} {task}"] = cpu(_call(adapter, request, route, body))
    return taken


def _call(adapter: Any, request: ChatRequest, route: Any, body: bytes) -> Callable[[], Any]:
    def whole() -> Any:
        adapter.encode_chat(request, route)
        return adapter.decode_chat(request, body)

    def streamed() -> Any:
        adapter.encode_chat(request, route)
        decoder = adapter.stream_decoder(request)
        chunks = [chunk for event in body.splitlines(keepends=True) for chunk in decoder.feed(event)]
        return chunks + decoder.flush()

    return streamed if request.stream else whole


def peers() -> dict[str, Any]:
    """One round of the peers, in a process of their own."""
    job = {"published": str(PUBLISHED), "conversation": CONVERSATION, "calls": CALLS // 3}
    script = str(ROOT / "benchmarks" / "adapter_peers.py")
    done = subprocess.run(
        [str(PEER_PYTHON), "-W", "ignore", script], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    versions: dict[str, str] = {}
    for _ in range(rounds):
        answer = peers()
        versions = answer["versions"]
        for name, microseconds in {**ours(), **answer["microseconds"]}.items():
            taken.setdefault(name, []).append(microseconds)
        for name, mebibytes in answer["memory"].items():
            memory.setdefault(name, []).append(mebibytes)
    print(f"{machine()}; {', '.join(f'{name} {version}' for name, version in versions.items())}\n")
    print(table(["", "microseconds, median", f"of {rounds}", "modelyard is"], _rows(taken)))
    print("\nMiB that each peer adds to a process, the ones before it loaded: ", end="")
    print(", ".join(f"{name} {middle(values):.0f}" for name, values in memory.items()))


def _rows(taken: dict[str, list[float]]) -> list[list[str]]:
    rows = []
    for task in ("anthropic request alone", "anthropic whole", "anthropic streamed", "gemini whole", "gemini streamed"):
        mine = middle(taken[f"{OURS} {task}"])
        for name, values in taken.items():
            if name.endswith(task):
                rows.append([name, f"{middle(values):,.0f}", spread(values), f"{middle(values) / mine:,.1f}x"])
    return rows


if __name__ == "__main__":
    main()
