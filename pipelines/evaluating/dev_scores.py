"""Predictions of a task's models on its labelled parts, and their metrics."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.squad.judging import Answered, judge_answers
from pipelines.training.parts import open_stream, task_columns

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.metrics import Metric
    from distill.reading import Columns
    from pipelines.reporting import Reporter
    from pipelines.tasks import Task


def forward_rows(device: str) -> int:
    """Rows of a forward pass on `cpu` or `cuda`; small ones leave a GPU idle."""
    return 64 if device == "cpu" else 256


@dataclass(frozen=True)
class Predictor:
    """A model and how it is given texts.

    Args:
        model: with its task head.
        tokenizer: of the model.
        max_length: tokens at which texts are cut.
        precision: of matrix products.
        batch_rows: rows of a forward pass; None for as many as suit the model's device.
    """

    model: PreTrainedModel
    tokenizer: Any
    max_length: int
    precision: str
    batch_rows: int | None = None

    def predict(self, place: str, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Logits (rows, C) on a Parquet file, and its labels (rows,), none where no label column is read."""
        from distill.evaluation import predict
        from distill.teacher import Precision

        rows = self.batch_rows or forward_rows(self.model.device.type)
        with closing(open_stream(place, columns, self.tokenizer, self.max_length, rows)) as stream:
            logits, labels = predict(self.model, stream, Precision(self.precision))
        return logits, np.zeros(0) if labels is None else labels

    def judge(self, place: str, task: Task) -> Judged | Answered:
        """Predicts a labelled part.

        Args:
            place: where the part lies as Parquet.
            task: the task.

        Raises:
            DistillError: predictions that are not finite numbers.
        """
        from distill.metrics import compute_metrics

        if task.label.is_span:
            rows = self.batch_rows or forward_rows(self.model.device.type)
            return judge_answers(self.model, task, place, self.tokenizer, self.max_length, self.precision, rows)
        logits, labels = self.predict(place, task_columns(task, labelled=True))
        return Judged(logits, labels, compute_metrics(metrics_of(task), logits, labels))


@dataclass(frozen=True)
class Judged:
    """What a model predicts on a labelled part.

    Args:
        logits: (rows, C).
        labels: (rows,): class numbers, or scores.
        scores: metric -> value.
    """

    logits: np.ndarray
    labels: np.ndarray
    scores: dict[str, float]

    def __str__(self) -> str:
        return ", ".join(f"{metric} {value:.4f}" for metric, value in self.scores.items())

    def warn_of_guess(self, task: Task, part: str, reporter: Reporter, who: str, advice: str) -> None:
        """Warns where guessing may be as good.

        Args:
            task: the task.
            part: its part that was predicted.
            reporter: is told.
            who: the model and a colon, or nothing.
            advice: what to do.
        """
        from distill.guessing import find_guess

        if guess := find_guess(self.scores, self.labels, task.label.names):
            reporter.warning(f"{who}{self} on {part} is {guess}; {advice}")


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """What a task is judged by, the selecting metric first; correlations for a custom score."""
    from distill.metrics import Metric

    return (Metric.SPEARMAN, Metric.PEARSON) if task.label.kind == "score" else tuple(map(Metric, task.metrics))
