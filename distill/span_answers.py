"""A model's answers: the best span over all windows of a question, as BERT's SQuAD scripts choose it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.errors import DistillError, StoppedError
from distill.outputs import model_logits
from distill.precision import Precision, autocast
from distill.shards import Position, ShardStream
from distill.teacher import model_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedModel

BEST = 20  # starts and ends that are combined
LONGEST = 30  # tokens of an answer


@dataclass(frozen=True)
class Answer:
    """The best span of a question.

    Attributes:
        start, end: code points of the context, `end` excluded; both 0 where no window has a span.
        score: start logit + end logit.
        null_score: the least of the windows' sums of both logits at [CLS].
    """

    start: int
    end: int
    score: float
    null_score: float

    @property
    def null_odds(self) -> float:
        """By how much no answer scores higher than the span; a finite number where there is no span, too."""
        return self.null_score - max(self.score, -1e6)


@dataclass(frozen=True)
class Places:
    """Where the tokens of one window stand in their context; see `distill.windows.Window`."""

    first: int
    starts: Sequence[int]
    ends: Sequence[int]
    best: Sequence[bool]


def span_logits(
    model: PreTrainedModel, stream: ShardStream, precision: Precision, stop: Callable[[], bool] | None = None
) -> list[NDArray[np.float32]]:
    """Start and end logits of each window, (T, 2) each, in the order of the rows; the model's mode is kept.

    Args:
        model: with a head for spans.
        stream: the windows, one shard.
        precision: of matrix products.
        stop: asked after every batch; True ends it.

    Raises:
        StoppedError: it was asked to stop.
        DistillError: logits that are not finite.
    """
    found: list[NDArray[np.float32]] = [np.zeros((0, 2), np.float32)] * len(stream)
    training = model.training
    model.eval()
    try:
        for batch in stream.batches(Position()):
            with torch.no_grad(), autocast(precision, model.device):
                logits = model_logits(model, model_inputs(batch, model)).float().cpu().numpy()
            for row, own, length in zip(batch.row, logits, batch.lengths, strict=True):
                found[int(row)] = own[:length]
            if not np.isfinite(logits).all():
                raise DistillError(
                    "expected finite predictions; found NaN or infinity. The model is broken: train anew."
                )
            if stop is not None and stop():
                raise StoppedError
    finally:
        model.train(training)
    return found


def best_answer(windows: Sequence[tuple[Places, NDArray[np.float32]]]) -> Answer:
    """The best span over the windows of one question.

    Args:
        windows: places and logits (T, 2) of each; at least one.

    Returns:
        Of the 20 best starts and 20 best ends of each window, the pair with the highest sum that lies in the context,
        has at most 30 tokens, and starts where its window has the most context around it.
    """
    answer = Answer(0, 0, float("-inf"), min(float(logits[0].sum()) for _, logits in windows))
    for places, logits in windows:
        stop = places.first + len(places.starts)
        best = np.argsort(-logits, axis=0, kind="stable")[:BEST]  # (20, 2)
        for start in best[:, 0].tolist():
            if not places.first <= start < stop or not places.best[start - places.first]:
                continue
            for end in best[:, 1].tolist():
                score = float(logits[start, 0] + logits[end, 1])
                if start <= end < min(stop, start + LONGEST) and score > answer.score:
                    span = places.starts[start - places.first], places.ends[end - places.first]
                    answer = Answer(*span, score, answer.null_score)
    return answer
