"""ROUGE: how many words and word sequences of a query a text shares. The metrics are Google's ``rouge-score``.

They are computed in a process of its own: the longest common subsequence of two long texts takes seconds of pure
Python, in which the gateway would serve nobody.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from modelyard.errors import InvalidRequest
from modelyard.gateway.side_process import Died, SideProcess, TooLong

SECONDS = 30.0
ANSWER_BYTES = 16 * 1024 * 1024

Part = Literal["precision", "recall", "fmeasure"]
"""Precision: the share of the text's words that are in the query. Recall: the share of the query's words that are in
the text. F-measure: their harmonic mean."""


class Task(Struct):
    query: str
    texts: list[str]
    metric: str
    """``rouge1`` to ``rouge9`` (words, pairs, …), ``rougeL`` or ``rougeLsum`` (longest common subsequence)."""
    part: Part


_encode = msgspec.json.Encoder().encode
_scores = msgspec.json.Decoder(list[float])


class Rouge:
    def __init__(self) -> None:
        self._process = SideProcess("modelyard.gateway.rouge_process", SECONDS, ANSWER_BYTES)

    async def scores(self, task: Task) -> list[float]:
        """One score from 0 to 1 for each text, in their order."""
        try:
            return _scores.decode(await self._process.ask(_encode(task)))
        except TooLong as error:
            raise _refused(f"takes longer than {SECONDS:g} s") from error
        except Died as error:
            raise _refused("needs more memory than it may have") from error

    async def aclose(self) -> None:
        await self._process.aclose()


def _refused(why: str) -> InvalidRequest:
    msg = f"ranking these {why}; send fewer or shorter chunks, or take the metric rouge1"
    return InvalidRequest.at("body", "relevant_chunks", msg=msg, type="too_large", code="ranking_too_large")
