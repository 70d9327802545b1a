"""An embedding model of your own, served by a command of your own: all that a bundle has to do.

It listens on PORT, answers GET /readyz once it can work, and POST /predict as an EMBEDDING model does
(docs: "What a worker speaks"). Its creation parameters come as environment variables of their own names.
"""

# ruff: noqa: SIM112  # parameters keep their own names
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

session = onnxruntime.InferenceSession(os.environ["model_path"])
tokenizer = Tokenizer.from_file(os.environ["tokenizer_path"])
tokenizer.enable_padding()
tokenizer.enable_truncation(int(os.environ.get("max_length", "256")))
wanted = {tensor.name for tensor in session.get_inputs()}


def embed(texts: list[str]) -> tuple[np.ndarray, int]:
    """Mean of the tokens' vectors, scaled to length 1; and how many tokens were read."""
    encoded = tokenizer.encode_batch(texts)
    feed = {
        "input_ids": np.array([e.ids for e in encoded]),
        "attention_mask": np.array([e.attention_mask for e in encoded]),
        "token_type_ids": np.array([e.type_ids for e in encoded]),
    }
    hidden = session.run(None, {name: feed[name] for name in wanted})[0]
    mask = feed["attention_mask"][:, :, None]
    means = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    return means / np.linalg.norm(means, axis=1, keepdims=True), int(mask.sum())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/readyz" else 404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        vectors, tokens = embed(body["texts"])
        pairs = [[text, vector.tolist()] for text, vector in zip(body["texts"], vectors, strict=True)]
        self.answer(200, {"embeddings": pairs, "tokens_used": tokens})

    def answer(self, status: int, value: dict) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
