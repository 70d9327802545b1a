import sys
from pathlib import Path

# Imported by bare name: with importmode=importlib pytest puts no test folder on the path.
for folder in ("docs", "e2e", "integration/vendors"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
