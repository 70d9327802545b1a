"""Starting, awaiting and ending the processes of a benchmark; everything stays on the loopback interface."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

INSIDE = "MODELYARD_BENCHMARK_NETWORK"


# A benchmark that is told to stop takes its servers with it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))


def in_a_network_of_its_own() -> None:
    """Run this script again in a network namespace that has a loopback interface and nothing else: some
    peers listen on every interface, and there must be none that anyone else reaches."""
    if os.environ.get(INSIDE):
        return
    unshare = shutil.which("unshare")
    if unshare is None:
        sys.exit("benchmarks need `unshare` (package util-linux)")
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    script = 'ip link set lo up && exec "$@"'
    os.environ[INSIDE] = "1"
    os.execv(unshare, ["unshare", "--net", *user, "sh", "-c", script, "sh", sys.executable, *sys.argv])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    url: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cpu: str | None = None,
    seconds: float = 120,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers ``url`` (any status) while the block runs, pinned to ``cpu`` where given."""
    pinned = ["taskset", "-c", cpu, *command] if cpu is not None else list(command)
    with log.open("ab") as out:
        process = subprocess.Popen(
            pinned, stdout=out, stderr=out, env={**os.environ, **(env or {})}, start_new_session=True
        )
    try:
        _await(url, process, log, seconds)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{process.args} ended with {process.returncode}; see {log}:\n{log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"{process.args} did not answer {url} in {seconds} s; see {log}")
