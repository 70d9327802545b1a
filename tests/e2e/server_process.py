"""A real server: the `modelyard serve` process, as a user starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

KEY = "my_e2e_0123456789abcdefghijklmnopqrstuvwxyz"
MODELYARD = str(Path(sys.executable).with_name("modelyard"))
START_SECONDS = 180
UNSET = "(unset)"


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    data_dir: Path
    url: str
    log: Path
    key: str = KEY

    def workers(self) -> list[psutil.Process]:
        """The worker processes of this server's data directory, wherever they hang in the process tree."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.data_dir) in process.environ().get("MODELYARD_WORKER_STATUS", ""):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def processes(self) -> list[psutil.Process]:
        """Of the server itself: the one that was started, its children, and those that outlived it."""
        known = [self.process.pid, *(int(path.stem.rpartition("-")[2]) for path in self.run_files())]
        found = [psutil.Process(pid) for pid in known if psutil.pid_exists(pid)]
        children = [child for process in found for child in process.children() if child not in self.workers()]
        return [process for process in {*found, *children} if process.status() != psutil.STATUS_ZOMBIE]

    def run_files(self, role: str = "") -> list[Path]:
        """One for each process of a server of several, by its role: ``gateway`` or ``controller``."""
        return sorted((self.data_dir / "run").glob(f"{role}*.json"))

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MODELYARD_", "SGP_"))}
    wanted = {
        **clean,
        "MODELYARD_DATA_DIR": str(data_dir),
        "MODELYARD_PORT": "0",
        "MODELYARD_BOOTSTRAP_API_KEY": KEY,
        "MODELYARD_LOGGING__JSON_LINES": "true",
        **settings,
    }
    return {name: value for name, value in wanted.items() if value != UNSET}


Start = Callable[..., Server]


def listening_url(process: subprocess.Popen[bytes], log: Path, offset: int) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        text = log.read_bytes()[offset:].decode()
        if match := re.search(r"listens on (http://\S+)", text):
            return match[1]
        assert process.poll() is None, f"the server ended with {process.returncode}:\n{text}"
        time.sleep(0.05)
    raise AssertionError(f"the server did not start in {START_SECONDS} s:\n{log.read_text()}")
