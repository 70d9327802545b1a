"""Load by `wrk` (Debian package wrk): POST one body over and over, read back throughput and latencies."""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Load:
    per_second: float
    p50: float
    """Seconds."""
    p99: float
    failed: int
    """Answers that were no 2xx, plus socket errors and time-outs."""


def post(
    url: str, body: object, headers: Mapping[str, str], *, connections: int, seconds: int, cpu: str | None = None
) -> Load:
    """Load ``url`` for ``seconds`` over ``connections`` connections from one thread."""
    lines = ['wrk.method = "POST"', f"wrk.body = {_lua(json.dumps(body))}"]
    # spaces: two brackets in a row would begin a long string
    lines += [f"wrk.headers[ {_lua(name)} ] = {_lua(value)}" for name, value in headers.items()]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "--timeout",
            "30s",
            "-s",
            script.name,
            url,
        ]
        pinned = ["taskset", "-c", cpu, *command] if cpu is not None else command
        text = subprocess.run(pinned, check=True, capture_output=True, text=True).stdout
    return parse(text)


def _lua(text: str) -> str:
    level = "=" * 3
    return f"[{level}[{text}]{level}]"


def parse(text: str) -> Load:
    """What `wrk --latency` printed."""
    percentiles = {
        match[1]: float(match[2]) * _UNITS[match[3]] for match in re.finditer(r"(\d\d)%\s+([\d.]+)(us|ms|s|m)\b", text)
    }
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert rate is not None, text
    failed = sum(int(match) for match in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    if errors := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text):
        failed += sum(map(int, errors.groups()))
    return Load(float(rate[1]), percentiles["50"], percentiles["99"], failed)
