"""``make check`` fails for a committed secret and for a known vulnerability; where it cannot look, it says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AUDIT = ROOT / "scripts" / "audit"
SECRETS = ROOT / "scripts" / "audit_secrets.py"
AWS = "AKIA" + "Z7" * 8
"""In the form of a secret, of nobody's."""


def scanned(directory: Path, *names: str) -> str:
    """What detect-secrets reports, asked as ``scripts/audit`` asks it."""
    subprocess.run(["git", "init", "--quiet"], cwd=directory, check=True)  # it looks at no other files
    subprocess.run(["git", "add", *names], cwd=directory, check=True)
    command = [Path(sys.executable).parent / "detect-secrets", "scan", "--no-verify", *names]
    found = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


def compared(tmp_path: Path, known: str, report: str) -> tuple[int, str]:
    (tmp_path / "known").write_text(known)
    (tmp_path / "report").write_text(report)
    command = [sys.executable, SECRETS, tmp_path / "known", tmp_path / "report"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_secret_is_found_and_a_false_alarm_stays_known_where_lines_move(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(f'\nkey = "{AWS}"\n')
    report = scanned(tmp_path, "code.py")
    status, told = compared(tmp_path, '{"results": {}}', report)
    assert (status, "code.py:2: looks like a secret" in told) == (1, True)
    assert AWS not in told
    assert compared(tmp_path, report.replace('"line_number": 2', '"line_number": 7'), report) == (0, "")
    elsewhere = json.loads(report)
    elsewhere["results"] = {"elsewhere.py": elsewhere["results"]["code.py"]}
    assert compared(tmp_path, json.dumps(elsewhere), report)[0] == 1


@pytest.mark.parametrize(
    ("failing", "strict", "fine"),
    [
        ("", "", True),
        ("detect-secrets", "", False),
        ("audit_secrets", "", False),
        ("pip-audit", "", False),
        ("reaching", "", True),
        ("reaching", "1", False),
    ],
)
def test_check_fails_with_each_of_its_parts(tmp_path: Path, failing: str, strict: str, fine: bool) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("detect-secrets", "python", "pip-audit"):
        # As python they run the comparison of secrets, or look whether the advisory service can be reached.
        part = {"python": 'case "$1" in -c) part=reaching;; *) part=audit_secrets;; esac'}.get(name, f"part={name}")
        (bin_ / name).write_text(f'#!/bin/sh\n{part}\necho "$part" >>"{tmp_path}/asked"\n[ "$part" != "{failing}" ]\n')
        (bin_ / name).chmod(0o755)
    environ = {**os.environ, "VENV": str(tmp_path), "AUDIT_STRICT": strict}
    done = subprocess.run([AUDIT], env=environ, capture_output=True, text=True)
    assert (done.returncode == 0) is fine, done.stderr
    asked = (tmp_path / "asked").read_text().split()
    assert asked[: asked.index(failing) + 1 if failing else None] == asked
    assert failing or asked[-1] == "pip-audit"
    assert ("NOT AUDITED" in done.stderr) is (failing == "reaching")


def test_it_is_part_of_make_check() -> None:
    told = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True)
    assert "scripts/audit" in told.stdout.split()
