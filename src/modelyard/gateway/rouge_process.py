"""The process behind `modelyard.gateway.rouge`."""

import msgspec
from rouge_score import rouge_scorer

from modelyard.gateway.rouge import Task
from modelyard.gateway.side_loop import serve


def answer(data: bytes) -> bytes:
    task = msgspec.json.decode(data, type=Task)
    scorer = rouge_scorer.RougeScorer([task.metric])
    scores = [getattr(scorer.score(task.query, text)[task.metric], task.part) for text in task.texts]
    return msgspec.json.encode([float(score) for score in scores])


if __name__ == "__main__":
    serve(answer)
