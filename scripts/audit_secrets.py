"""Whatever looks like a secret and is not in the baseline of false alarms: ``audit_secrets.py BASELINE REPORT``, both
by detect-secrets. Lines may move; a secret is known by its file and its digest."""

import json
import sys
from pathlib import Path

Found = dict[tuple[str, str], int]


def found_in(report: str) -> Found:
    results = json.loads(Path(report).read_text())["results"]
    return {(name, each["hashed_secret"]): each["line_number"] for name, secrets in results.items() for each in secrets}


def main(baseline: str, report: str) -> int:
    known, found = found_in(baseline), found_in(report)
    new = sorted((name, line) for (name, digest), line in found.items() if (name, digest) not in known)
    for name, line in new:
        print(f"{name}:{line}: looks like a secret", file=sys.stderr)
    if new:
        print("Take it out, or record a false alarm: detect-secrets scan --baseline .secrets.baseline", file=sys.stderr)
    return bool(new)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
