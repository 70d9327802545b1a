"""An engine that computes nothing: deterministic, instant, and able to fail on purpose.

For tests of everything around engines, and for template authors who want to see the wire formats. It
answers every verb: texts are echoed word by word, vectors and scores are made from a hash of the text.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from modelyard.domain.inference import ChatRequest, Chunk, CompletionRequest, Part, TokenLogprob
from modelyard.engines.base import Tokens, Vectors, Weights
from modelyard.engines.parameters import FakeParameters
from modelyard.engines.refusals import refuse_tools
from modelyard.errors import EngineError


class Fake:
    parameters_type: ClassVar = FakeParameters
    batch_size: ClassVar = 8
    concurrency: ClassVar = 256

    def __init__(self, parameters: FakeParameters, weights: Weights) -> None:
        self._parameters = parameters

    def load(self) -> None:
        time.sleep(self._parameters.fake_load_seconds)
        if self._parameters.fake_fail == "load":
            raise EngineError("The fake engine was told to fail while loading.", hint="Unset fake_fail.")

    def close(self) -> None:
        pass

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """A token per word, its id made from the word."""
        return [self._tokens(text) for text in texts]

    def tokenize_pairs(self, query: str, chunks: Sequence[str]) -> list[Tokens]:
        first = self._tokens(query).ids
        pairs = [(first, self._tokens(chunk).ids) for chunk in chunks]
        return [Tokens((*one, *two), (*(0 for _ in one), *(1 for _ in two))) for one, two in pairs]

    def embed(self, batch: Sequence[Tokens]) -> Vectors:
        """Unit vectors; equal texts have equal ones."""
        self._work()
        vectors: Vectors = np.empty((len(batch), self._parameters.fake_dimensions), dtype=np.float32)
        for row, tokens in zip(vectors, batch, strict=True):
            row[:] = np.random.default_rng(list(tokens.ids)).normal(size=len(row))
            row /= np.linalg.norm(row)
        return vectors

    def score(self, batch: Sequence[Tokens]) -> list[float]:
        """The part of the query's words that the chunk has too."""
        self._work()
        scores = []
        for ids, types in batch:
            query = {token for token, segment in zip(ids, types, strict=True) if segment == 0}
            chunk = {token for token, segment in zip(ids, types, strict=True) if segment == 1}
            scores.append(len(query & chunk) / max(1, len(query)))
        return scores

    def generate(self, request: ChatRequest | CompletionRequest) -> Iterator[Chunk]:
        """The prompt's words, over and over, ``fake_tokens`` of them, stopped by max_tokens."""
        refuse_tools(request, "fake")
        prompt = request.prompts[0] if isinstance(request, CompletionRequest) else _last(request)
        asked = (
            "".join(message_text(m.content) + " " for m in request.messages)
            if isinstance(request, ChatRequest)
            else prompt
        )
        words = prompt.split() or ["nothing"]
        count = min(self._parameters.fake_tokens, request.max_tokens or self._parameters.fake_tokens)
        for index in range(count):
            self._work()
            word = words[index % len(words)]
            text = word if index == 0 else f" {word}"
            yield Chunk(text, logprobs=[TokenLogprob(text, 0.0)] if request.logprobs else None)
        reason = "length" if count < self._parameters.fake_tokens else "stop"
        yield Chunk(finish_reason=reason, prompt_tokens=len(asked.split()), response_tokens=count)

    def execute(self, body: Any) -> Any:
        self._work()
        return {"echo": body}

    def _work(self) -> None:
        time.sleep(self._parameters.fake_delay_seconds)
        if self._parameters.fake_fail == "request":
            raise EngineError("The fake engine was told to fail each request.", hint="Unset fake_fail.")

    @staticmethod
    def _tokens(text: str) -> Tokens:
        ids = tuple(
            int.from_bytes(hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[:4], "big")
            for word in text.split()
        )
        return Tokens(ids, (0,) * len(ids))


def message_text(content: str | Sequence[Part]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text or "" for part in content)


def _last(request: ChatRequest) -> str:
    return message_text(request.messages[-1].content)
