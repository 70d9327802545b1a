"""One round of the peers of `adapters.py`, run with the peers' own Python: a job on standard input, JSON on its output.

Job: {"published": directory of the vendors' answers, "conversation": [[role, text], …], "calls"}.
Answer: {"versions": {name: version}, "microseconds": {"<peer> <task>": CPU time of one call}, "memory": {peer: MiB}}.

Nothing is sent anywhere: a transport hands the published answer to whoever asks.
"""

import asyncio
import copy
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
JSON, EVENTS = "application/json", "text/event-stream"
CLAUDE, GEMINI = "claude-haiku-4-5", "gemini-3.5-flash"
SCHEMA = {"type": "object", "properties": {"location": {"type": "string"}, "unit": {"type": "string"}}}


def cpu(call: Callable[[], Any], calls: int) -> float:
    """Microseconds of CPU time that one call takes; the first two do not count."""
    for _ in range(2):
        call()
    begun = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - begun) / calls * 1e6


def grown(load: Callable[[], Any]) -> float:
    """MiB by which loading makes this process larger, at its largest."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    load()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def transport(http: Any, body: bytes, kind: str) -> Any:
    class Ready(http.BaseTransport, http.AsyncBaseTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, request: Any) -> Any:
            return http.Response(200, content=body, headers={"content-type": kind}, request=request)

        async def handle_async_request(self, request: Any) -> Any:
            return self.handle_request(request)

    return Ready()


class Job:
    def __init__(self, job: dict[str, Any]) -> None:
        self.calls: int = job["calls"]
        self.turns: list[tuple[str, str]] = [tuple(turn) for turn in job["conversation"]]
        published = Path(job["published"])
        self.bodies = {
            (vendor, kind): (published / vendor / f"chat_tools.{end}").read_bytes()
            for vendor in ("anthropic", "gemini")
            for kind, end in ((JSON, "json"), (EVENTS, "sse"))
        }


def anthropic_sdk(job: Job) -> dict[str, float]:
    import anthropic

    http = anthropic._base_client.httpx if hasattr(anthropic._base_client, "httpx") else __import__("httpx2")
    tool = {"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}
    asked = {
        "model": CLAUDE,
        "max_tokens": 100,
        "system": job.turns[0][1],
        "messages": [{"role": role, "content": text} for role, text in job.turns[1:]],
        "tools": [tool],
    }

    def client(kind: str) -> Any:
        ready = transport(http, job.bodies["anthropic", kind], kind)
        return anthropic.Anthropic(api_key="k", http_client=http.Client(transport=ready))

    whole, stream = client(JSON), client(EVENTS)
    return {
        "anthropic whole": cpu(lambda: whole.messages.create(**asked), job.calls),
        "anthropic streamed": cpu(lambda: list(stream.messages.create(**asked, stream=True)), job.calls),
    }


def google_sdk(job: Job) -> dict[str, float]:
    import httpx
    from google import genai
    from google.genai import types

    declared = types.FunctionDeclaration(name="get_weather", description="Weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        system_instruction=job.turns[0][1],
        max_output_tokens=100,
        tools=[types.Tool(function_declarations=[declared])],
    )
    contents = [
        types.Content(role="user" if role == "user" else "model", parts=[types.Part(text=text)])
        for role, text in job.turns[1:]
    ]

    def client(kind: str) -> Any:
        ready = httpx.Client(transport=transport(httpx, job.bodies["gemini", kind], kind))
        return genai.Client(api_key="k", http_options=types.HttpOptions(httpx_client=ready)).models

    whole, stream = client(JSON), client(EVENTS)
    asked = {"model": GEMINI, "contents": contents, "config": config}
    return {
        "gemini whole": cpu(lambda: whole.generate_content(**asked), job.calls),
        "gemini streamed": cpu(lambda: list(stream.generate_content_stream(**asked)), job.calls),
    }


def litellm_library(job: Job) -> dict[str, float]:
    import httpx
    import litellm
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    tool = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}}
    messages = [{"role": role, "content": text} for role, text in job.turns]

    def ask(vendor: str, model: str, kind: str) -> Callable[[], Any]:
        handler = HTTPHandler()
        handler.client = httpx.Client(transport=transport(httpx, job.bodies[vendor, kind], kind))
        asked = {"model": f"{vendor}/{model}", "messages": messages, "tools": [tool], "max_tokens": 100}
        if kind == JSON:
            return lambda: litellm.completion(**asked, api_key="k", client=handler)
        return lambda: list(litellm.completion(**asked, api_key="k", client=handler, stream=True))

    def encode() -> bytes:
        """Their request alone, without their client and their callbacks."""
        config = AnthropicConfig()
        asked = {"tools": [tool], "max_tokens": 100}
        chosen = config.map_openai_params(asked, {}, CLAUDE, drop_params=False)
        return json.dumps(config.transform_request(CLAUDE, copy.deepcopy(messages), chosen, {}, {})).encode()

    few = max(5, job.calls // 10)
    return {
        "anthropic request alone": cpu(encode, job.calls),
        "anthropic whole": cpu(ask("anthropic", CLAUDE, JSON), few),
        "anthropic streamed": cpu(ask("anthropic", CLAUDE, EVENTS), few),
        "gemini whole": cpu(ask("gemini", GEMINI, JSON), few),
        "gemini streamed": cpu(ask("gemini", GEMINI, EVENTS), few),
    }


def pydantic_ai_model(job: Job) -> dict[str, float]:
    import anthropic
    from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.tools import ToolDefinition

    http = anthropic._base_client.httpx if hasattr(anthropic._base_client, "httpx") else __import__("httpx2")
    ready = http.AsyncClient(transport=transport(http, job.bodies["anthropic", JSON], JSON))
    client = anthropic.AsyncAnthropic(api_key="k", http_client=ready)
    model = AnthropicModel(CLAUDE, provider=AnthropicProvider(anthropic_client=client))
    parts = {"system": SystemPromptPart, "user": UserPromptPart}
    history: list[Any] = [
        ModelResponse([TextPart(text)]) if role == "assistant" else ModelRequest([parts[role](text)])
        for role, text in job.turns
    ]
    tools = [ToolDefinition(name="get_weather", description="Weather", parameters_json_schema=SCHEMA)]
    parameters = ModelRequestParameters(function_tools=tools)
    loop = asyncio.new_event_loop()
    ask = lambda: loop.run_until_complete(model.request(history, {"max_tokens": 100}, parameters))  # noqa: E731
    return {"anthropic whole": cpu(ask, job.calls)}


PEERS: dict[str, tuple[str, Callable[[Job], dict[str, float]]]] = {
    "anthropic SDK": ("anthropic", anthropic_sdk),
    "google-genai SDK": ("google-genai", google_sdk),
    "pydantic-ai": ("pydantic-ai-slim", pydantic_ai_model),
    "LiteLLM": ("litellm", litellm_library),
}


def main() -> None:
    job = Job(json.load(sys.stdin))
    taken: dict[str, float] = {}
    memory: dict[str, float] = {}
    for name, (_, measure) in PEERS.items():
        found: dict[str, float] = {}
        memory[name] = grown(lambda measure=measure, found=found: found.update(measure(job)))  # type: ignore[misc]
        taken |= {f"{name} {task}": microseconds for task, microseconds in found.items()}
    versions = {name: version(distribution) for name, (distribution, _) in PEERS.items()}
    json.dump({"versions": versions, "microseconds": taken, "memory": memory}, sys.stdout)


if __name__ == "__main__":
    main()
