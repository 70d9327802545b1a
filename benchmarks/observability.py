"""What watching costs, in the server's processor time for each call: the same calls through a server as it comes,
and with everything on that tells of them.

    python benchmarks/observability.py [--before SRC] [--rounds 5] [--seconds 3]

``SRC`` is the ``src`` of an earlier version, such as ``git archive`` gives, measured in turns with this one. Core 0
runs the servers, core 1 the stub worker and the load. Traces and metrics go to a receiver that throws them away.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import load
from gateway import GATEWAY_CPU, LOAD_CPU, V4_BODY
from processes import free_port, in_a_network_of_its_own
from report import machine, middle, spread, table
from server import Server, deploy_stub, serving

_RECEIVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    do_GET = do_POST
    def log_message(self, *_): pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
"""


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-c", _RECEIVER, str(port)]
    with subprocess.Popen(["taskset", "-c", LOAD_CPU, *command], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@dataclass
class Target:
    name: str
    server: Server
    url: str
    micros: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def measure(self, seconds: int) -> None:
        before = self._spent()
        each = load.post(self.url, V4_BODY, self.server.headers, connections=32, seconds=seconds, cpu=LOAD_CPU)
        time.sleep(1.5)  # what is written afterwards is part of what a call costs
        if each.failed:
            sys.exit(f"{self.name}: {each.failed} calls failed")
        self.micros.append((self._spent() - before) / (each.per_second * seconds) * 1e6)
        self.rates.append(each.per_second)

    def row(self, first: float) -> list[str]:
        micros, rate = middle(self.micros), middle(self.rates)
        return [
            self.name,
            f"{micros:,.0f}",
            spread(self.micros),
            f"{micros / first:.2f}",
            f"{rate:,.0f}",
            spread(self.rates),
        ]

    def _spent(self) -> float:
        times = psutil.Process(self.server.pid).cpu_times()
        return float(times.user + times.system)


def _target(stack: contextlib.ExitStack, directory: Path, name: str, settings: dict[str, str]) -> Target:
    place = directory / name.replace(" ", "-")
    server = stack.enter_context(serving(place, cpu=GATEWAY_CPU, settings=settings))
    target = Target(name, server, f"{server.url}/v4/models/{deploy_stub(server, [], cpu=LOAD_CPU)}/chat-completions")
    if "bodies" in name:
        keep_all(server)
    return target


def keep_all(server: Server) -> None:
    account = server.send("GET", "/user-info")["access_profiles"][0]["account"]["id"]
    body = {"bodies": "all", "redact": [r"[\w.+-]+@[\w-]+\.[\w.]+", r"\b\d{16}\b"]}
    server.send("PUT", f"/v4/accounts/{account}/call-log-settings", body)
    time.sleep(2.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    in_a_network_of_its_own()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        collector = stack.enter_context(receiver())
        kinds = {
            "before": {"PYTHONPATH": str(options.before)},
            "as it comes": {},
            "1 % of the traces sent": {"MODELYARD_OTEL__ENDPOINT": collector, "MODELYARD_OTEL__SAMPLED": "0.01"},
            "all traces sent": {"MODELYARD_OTEL__ENDPOINT": collector},
            "and all bodies kept": {"MODELYARD_OTEL__ENDPOINT": collector},
        }
        if options.before is None:
            del kinds["before"]
        targets = [_target(stack, directory, name, settings) for name, settings in kinds.items()]
        for _ in range(options.rounds):
            for target in targets:
                target.measure(options.seconds)
    print(machine())
    first = middle(targets[0].micros)
    headings = ["", "processor time, µs a call", "min-max", "ratio", "calls/s", "min-max"]
    print(table(headings, [target.row(first) for target in targets]))


if __name__ == "__main__":
    main()
