import sys
from pathlib import Path

# Suites are imported by their bare names: with importmode=importlib pytest puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
