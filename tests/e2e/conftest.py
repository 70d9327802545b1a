import sys
from pathlib import Path

# Imported by bare name: with importmode=importlib pytest puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
sys.path.insert(0, str(Path(__file__).parent))

from servers import server, start_server, weights_dir

__all__ = ["server", "start_server", "weights_dir"]
