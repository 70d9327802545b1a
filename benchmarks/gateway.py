"""The gateway against its peers: the same stub upstream behind each, each on one core of its own.

    benchmarks/install-peers && python benchmarks/gateway.py [--rounds 5] [--seconds 5]

Core 0 runs the gateway under test, core 1 the stub upstream and the load. modelyard runs as it always does:
keys checked, every call metered into the database, one log line per call.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import load
from processes import free_port, in_a_network_of_its_own, running
from report import machine, middle, spread, table
from server import ROOT, Server, deploy_stub, serving

PEERS = ROOT / ".cache" / "peers"
GATEWAY_CPU, LOAD_CPU = "0", "1"
OPENAI_BODY = {"model": "stub", "messages": [{"role": "user", "content": "Say something."}]}
V4_BODY = {"prompt": "Say something.", "chat_history": []}


@dataclass
class Target:
    name: str
    url: str
    body: dict[str, object]
    headers: dict[str, str]
    busy: list[load.Load] = field(default_factory=list)
    single: list[load.Load] = field(default_factory=list)

    def measure(self, seconds: int) -> None:
        self.busy.append(self._load(32, seconds))
        self.single.append(self._load(1, max(2, seconds // 2)))

    def _load(self, connections: int, seconds: int) -> load.Load:
        found = load.post(self.url, self.body, self.headers, connections=connections, seconds=seconds, cpu=LOAD_CPU)
        if found.failed:
            sys.exit(f"{self.name}: {found.failed} calls failed; nothing can be said of its speed")
        return found


@contextlib.contextmanager
def stub(directory: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(ROOT / "benchmarks" / "stub_upstream.py"), "--port", str(port)]
    with running(command, url=f"{url}/health", log=directory / "stub.log", cpu=LOAD_CPU):
        yield url


@contextlib.contextmanager
def litellm(directory: Path, upstream: str) -> Iterator[Target]:
    port = free_port()
    (directory / "litellm.yaml").write_text(
        "model_list:\n  - model_name: stub\n    litellm_params:\n      model: openai/stub\n"
        f"      api_base: {upstream}/v1\n      api_key: none\n"
        "general_settings:\n  master_key: sk-bench\n"
    )
    command = [str(PEERS / "litellm/bin/litellm"), "--config", str(directory / "litellm.yaml")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    env = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    url = f"http://127.0.0.1:{port}"
    log = directory / "litellm.log"
    with running(command, url=f"{url}/health/liveliness", log=log, cpu=GATEWAY_CPU, env=env):
        headers = {"authorization": "Bearer sk-bench", "content-type": "application/json"}
        yield Target("LiteLLM proxy", f"{url}/v1/chat/completions", OPENAI_BODY, headers)


@contextlib.contextmanager
def portkey(directory: Path, upstream: str) -> Iterator[Target]:
    port = free_port()
    script = PEERS / "node_modules/@portkey-ai/gateway/build/start-server.js"
    url = f"http://127.0.0.1:{port}"
    command = ["node", str(script), "--headless", f"--port={port}"]
    with running(command, url=url, log=directory / "portkey.log", cpu=GATEWAY_CPU):
        headers = {
            "authorization": "Bearer none",
            "content-type": "application/json",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{upstream}/v1",
        }
        yield Target("Portkey gateway", f"{url}/v1/chat/completions", OPENAI_BODY, headers)


@contextlib.contextmanager
def nginx(directory: Path, upstream: str) -> Iterator[Target]:
    port = free_port()
    (directory / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  upstream stub {{ server {upstream.removeprefix("http://")}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 1000000;
    location / {{ proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}""")
    url = f"http://127.0.0.1:{port}"
    command = ["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")]
    with running(command, url=f"{url}/health", log=directory / "nginx.log", cpu=GATEWAY_CPU):
        yield Target("nginx, plain proxy", f"{url}/v1/chat/completions", OPENAI_BODY, {})


@contextlib.contextmanager
def modelyard(directory: Path) -> Iterator[list[Target]]:
    """Both surfaces of one server, called one after the other."""
    with serving(directory, cpu=GATEWAY_CPU) as server:
        deployment = deploy_stub(server, [], cpu=LOAD_CPU)
        url = f"{server.url}/v4/models/{deployment}/chat-completions"
        openai = Target("modelyard, /v1", f"{server.url}/v1/chat/completions", OPENAI_BODY, server.headers)
        yield [Target("modelyard", url, V4_BODY, server.headers), openai]


@contextlib.contextmanager
def streaming(directory: Path) -> Iterator[tuple[Server, str]]:
    with serving(directory, cpu=GATEWAY_CPU) as server:
        arguments = ["--chunks", str(CHUNKS), "--interval", str(INTERVAL)]
        yield server, deploy_stub(server, arguments, cpu=LOAD_CPU)


CHUNKS, INTERVAL, STREAMS = 200, 0.002, 64


def chunks_per_second(directory: Path, rounds: int, seconds: int) -> list[float]:
    """Pieces through one core, 64 streams at a time; the stub offers at most STREAMS / INTERVAL of them."""
    found = []
    with streaming(directory) as (server, deployment):
        url = f"{server.url}/v4/models/{deployment}/chat-completions"
        for _ in range(rounds):
            measured = load.post(
                url, {**V4_BODY, "stream": True}, server.headers, connections=STREAMS, seconds=seconds, cpu=LOAD_CPU
            )
            found.append(measured.per_second * (CHUNKS + 1))
    return found


def rows(targets: list[Target]) -> list[list[str]]:
    ours = middle([measured.per_second for measured in targets[0].busy])
    bare = targets[-1]
    bare_p50, bare_p99 = (middle([getattr(m, p) for m in bare.single]) for p in ("p50", "p99"))
    lines = []
    for target in targets:
        rates = [measured.per_second for measured in target.busy]
        p50, p99 = (middle([getattr(m, p) for m in target.single]) for p in ("p50", "p99"))
        lines.append(
            [
                target.name,
                f"{middle(rates):,.0f}",
                spread(rates),
                f"{ours / middle(rates):.2f}x",
                f"{(p50 - bare_p50) * 1000:+.2f}",
                f"{(p99 - bare_p99) * 1000:+.2f}",
            ]
        )
    return lines


def versions() -> str:
    def said(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[-1]

    listed = subprocess.run(
        [str(PEERS / "litellm/bin/pip"), "list", "--format=freeze"], capture_output=True, text=True, check=False
    ).stdout
    litellm_version = next((line for line in listed.splitlines() if line.startswith("litellm==")), "litellm ?")
    package = (PEERS / "node_modules/@portkey-ai/gateway/package.json").read_text()
    portkey_version = package.split('"version": "')[1].split('"')[0]
    return f"{litellm_version}, portkey gateway {portkey_version}, {said('nginx', '-v')}, node {said('node', '-v')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=["litellm", "portkey", "nginx"], help="peers to compare with")
    options = parser.parse_args()
    in_a_network_of_its_own()
    peers: dict[str, Callable[[Path, str], contextlib.AbstractContextManager[Target]]] = {
        "litellm": litellm,
        "portkey": portkey,
        "nginx": nginx,
    }
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        upstream = stack.enter_context(stub(directory))
        (directory / "ours").mkdir()
        targets = stack.enter_context(modelyard(directory / "ours"))
        targets += [stack.enter_context(peers[peer](directory, upstream)) for peer in options.only]
        targets.append(Target("the stub itself", f"{upstream}/v1/chat/completions", OPENAI_BODY, {}))
        for target in targets:
            load.post(target.url, target.body, target.headers, connections=32, seconds=3, cpu=LOAD_CPU)
        for _ in range(options.rounds):
            for target in targets:
                target.measure(options.seconds)
    with tempfile.TemporaryDirectory() as name:
        streamed = chunks_per_second(Path(name), options.rounds, options.seconds)
    print(machine())
    print(versions(), end="\n\n")
    headings = ["", "calls/s", "min-max", "modelyard is", "added p50, ms", "added p99, ms"]
    print(table(headings, rows(targets)), end="\n\n")
    print(f"streaming: {middle(streamed):,.0f} chunks/s ({spread(streamed)}) over {STREAMS} streams, ", end="")
    print(f"of {STREAMS / INTERVAL:,.0f} offered")


if __name__ == "__main__":
    main()
