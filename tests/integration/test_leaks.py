"""The check that follows every test with processes finds what it is for."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from leaks import STATUS, left_since, present
from modelyard.launchers.local.processes import MARK

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


def test_a_child_is_found_as_long_as_it_lives(tmp_path: Path) -> None:
    before = present(tmp_path)
    with subprocess.Popen(SLEEP) as child:
        assert child.pid in present(tmp_path)
        assert not left_since(present(tmp_path), tmp_path), "it was there before"
        child.kill()
    assert not left_since(before, tmp_path)


def test_an_orphaned_worker_is_found_by_its_mark(tmp_path: Path) -> None:
    before = present(tmp_path)
    env = {MARK: str(uuid4()), STATUS: str(tmp_path / "workers" / "one" / "status.json")}
    # The one in the middle ends at once, as a killed server does.
    middle = f"import subprocess; print(subprocess.Popen({list(SLEEP)!r}, env={env!r}, stdout=-3, stderr=-3).pid)"
    pid = int(subprocess.run([sys.executable, "-c", middle], capture_output=True, check=True, text=True).stdout)
    left = left_since(before, tmp_path, 0)
    assert [process.pid for process in left] == [pid]
    left[0].kill()
    assert not left_since(before, tmp_path)
