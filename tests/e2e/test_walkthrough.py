"""The example that walks the whole path runs as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import Server, environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "walkthrough.py"


@pytest.mark.timeout(300)
def test_the_walkthrough_goes_all_the_way(server: Server) -> None:
    env = {**environment(server.data_dir), "SGP_BASE_URL": server.url, "SGP_API_KEY": server.key}
    done = subprocess.run([sys.executable, str(EXAMPLE)], env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr + server.log.read_text()[-4000:]
    said = dict(re.findall(r"^(\S[\w, ]*?)  +(.*)$", done.stdout, re.MULTILINE))
    assert said["deployment"].endswith("is READY")
    assert said["embeddings"] == "2 of 384 numbers"
    related, unrelated = map(float, re.findall(r"-?[\d.]+", said["rerankings"]))
    assert related > unrelated
    used_in, used_out = map(int, re.findall(r"(\d+) tokens in, (\d+) out$", done.stdout, re.MULTILINE)[0])
    streamed_in, streamed_out = map(int, re.findall(r"(\d+) tokens in, (\d+) out, \w+", done.stdout)[0])
    # three calls of the deployment were made; the streamed chat is one of them
    assert used_in > streamed_in
    assert used_out >= streamed_out + 8 + 8
    assert said["deleted"] == "deployment, model, template"
