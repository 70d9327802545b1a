import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

# Suites are imported by their bare names: with importmode=importlib pytest puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    def check(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return check
