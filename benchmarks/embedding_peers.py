"""One peer of `embeddings.py`, run with the peers' own Python: reads a job from standard input, writes JSON.

Job: {"peer": "infinity" | "sentence-transformers", "dtype", "model": directory,
      "texts": {"short": […], "long": […]}, "rounds"}.
Answer: {"rates": {"short": [texts/s, …], "long": […]}, "vectors": {"short": [[…]], "long": [[…]]}}.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

Embed = Callable[[list[str]], np.ndarray]


def sentence_transformers(model: str, dtype: str) -> Embed:
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(model, device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)})
    return lambda texts: loaded.encode(texts, batch_size=32, normalize_embeddings=True).astype(np.float32)


def infinity(model: str, dtype: str) -> Embed:
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    loop = asyncio.new_event_loop()
    arguments = EngineArgs(
        model_name_or_path=model, engine="torch", device="cpu", dtype=dtype, batch_size=32, lengths_via_tokenize=False
    )
    engine = AsyncEmbeddingEngine.from_args(arguments)
    loop.run_until_complete(engine.astart())

    def embed(texts: list[str]) -> np.ndarray:
        vectors, _ = loop.run_until_complete(engine.embed(sentences=texts))
        return np.array(vectors, dtype=np.float32)

    return embed


def main() -> None:
    job = json.load(sys.stdin)
    torch.set_num_threads(2)
    embed = {"infinity": infinity, "sentence-transformers": sentence_transformers}[job["peer"]](
        job["model"], job["dtype"]
    )
    rates: dict[str, list[float]] = {}
    vectors: dict[str, list[list[float]]] = {}
    for length, texts in job["texts"].items():
        vectors[length] = embed(texts[:16]).tolist()
        rates[length] = []
        for _ in range(job["rounds"]):
            began = time.perf_counter()
            embed(texts)
            rates[length].append(len(texts) / (time.perf_counter() - began))
    sys.stdout.write("\n" + json.dumps({"rates": rates, "vectors": vectors}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # infinity's threads would keep the process


if __name__ == "__main__":
    main()
