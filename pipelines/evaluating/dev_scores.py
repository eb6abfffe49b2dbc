"""Dev metrics of a task's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.training.loop import Dev
from pipelines.training.parts import open_stream, task_columns, write_part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.metrics import Metric
    from distill.reading import Columns
    from pipelines.run_folder.storage import Storage
    from pipelines.tasks import Label, Task
    from pipelines.training.parts import TaskData
    from pipelines.training.reporting import TrainingReporter

BATCH_ROWS = 64
Scores = dict[str, dict[str, float]]  # dev part -> metric -> value


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """What a task is judged by, the selecting metric first; correlations for a custom score."""
    from distill.metrics import Metric

    return (Metric.SPEARMAN, Metric.PEARSON) if task.label.kind == "score" else tuple(map(Metric, task.metrics))


def dev_of(storage: Storage, data: TaskData, tokenizer: Any, max_length: int) -> Dev | None:
    """The selecting dev part (MNLI: matched), or None where there is none.

    Args:
        storage: folder that the part is written into as Parquet.
        data: the task.
        tokenizer: of the model.
        max_length: tokens.
    """
    if not data.dev_parts:
        return None
    place = write_part(storage, data, data.dev_parts[0])
    columns = task_columns(data.task, labelled=True)
    return Dev(open_stream(place, columns, tokenizer, max_length, BATCH_ROWS), metrics_of(data.task))


def evaluate_parts(
    model: PreTrainedModel, storage: Storage, data: TaskData, tokenizer: Any, max_length: int, precision: str
) -> Scores:
    """Metrics of a model on every labelled dev part.

    Args:
        model: with its task head.
        storage: folder that the parts are written into as Parquet.
        data: the task.
        tokenizer: of the model.
        max_length: tokens.
        precision: of matrix products.

    Raises:
        DistillError: predictions that are not finite numbers.
    """
    from distill.metrics import compute_metrics

    columns = task_columns(data.task, labelled=True)
    found = {}
    for part in data.dev_parts:
        place = write_part(storage, data, part)
        logits, labels = predict_part(model, place, columns, tokenizer, max_length, precision)
        found[part] = compute_metrics(metrics_of(data.task), logits, labels)
    return found


def predict_part(
    model: PreTrainedModel,
    place: str,
    columns: Columns,
    tokenizer: Any,
    max_length: int,
    precision: str,
    batch_rows: int = BATCH_ROWS,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (rows, C) of a model on a part, and its labels (rows,), empty where no label column is read.

    Args:
        model: with its task head.
        place: where the part lies as Parquet.
        columns: what to read of it.
        tokenizer: of the model.
        max_length: tokens.
        precision: of matrix products.
        batch_rows: rows of a forward pass.
    """
    from distill.evaluation import predict
    from distill.teacher import Precision

    stream = open_stream(place, columns, tokenizer, max_length, batch_rows)
    try:
        logits, labels = predict(model, stream, Precision(precision))
    finally:
        stream.close()
    return logits, np.zeros(0) if labels is None else labels


def chance(found: dict[str, float], storage: Storage, data: TaskData, part: str) -> str | None:
    """What guessing reaches on a dev part, in words, where a model's result may be no better; else None.

    Args:
        found: metric -> value.
        storage: folder that the parts are written into as Parquet.
        data: the task.
        part: of it.
    """
    guess = _guess(found, _labels(storage, data, part), data.task.label)
    return None if guess is None else guess[1]


def warn_of_chance(
    found: Scores, storage: Storage, data: TaskData, reporter: TrainingReporter, who: str, advice: str
) -> None:
    """Warns where a model's result on the selecting dev part may be no better than guessing.

    Args:
        found: dev part -> metric -> value.
        storage: folder that the parts are written into as Parquet.
        data: the task.
        reporter: is told.
        who: the model and a colon, or nothing.
        advice: what to do.
    """
    for part in data.dev_parts[:1]:
        warn_of_guess(found[part], _labels(storage, data, part), data.task, part, reporter, who, advice)


def warn_of_guess(
    found: dict[str, float],
    labels: np.ndarray,
    task: Task,
    part: str,
    reporter: TrainingReporter,
    who: str,
    advice: str,
) -> None:
    """The same of one part whose labels are at hand.

    Args:
        found: metric -> value.
        labels: (rows,): class numbers, or scores.
        task: the task.
        part: its name.
        reporter: is told.
        who: the model and a colon, or nothing.
        advice: what to do.
    """
    if guess := _guess(found, labels, task.label):
        reporter.warning(f"{who}{shown(found)} on {part} is {guess[0]} chance ({guess[1]}); {advice}")


def _labels(storage: Storage, data: TaskData, part: str) -> np.ndarray:
    import pyarrow.parquet as pq

    column: Any = data.task.label.column
    return np.asarray(pq.read_table(write_part(storage, data, part), columns=[column]).column(0))


def _guess(found: dict[str, float], labels: np.ndarray, label: Label) -> tuple[str, str] | None:
    """Near or below, and what guessing reaches; None where a result is above it.

    By accuracy against the most frequent label; by Matthews' correlation where the task is judged by it, and by the
    better one for scores.
    """
    from distill.checks import NEAR_CHANCE, near_chance, uncorrelated
    from distill.metrics import Metric

    if label.kind == "score" or Metric.MATTHEWS in found:
        value = max(found.values()) if label.kind == "score" else found[Metric.MATTHEWS]
        below = uncorrelated(value, len(labels)) and not uncorrelated(-value, len(labels))
        return ("below" if below else "near", "guessing: 0") if uncorrelated(value, len(labels)) else None
    counts: list[int] = np.bincount(labels.astype(np.int64), minlength=len(label.names)).tolist()
    accuracy, guess = found[Metric.ACCURACY], max(counts) / len(labels)
    if not near_chance(accuracy, counts):
        return None
    below = accuracy < guess - NEAR_CHANCE
    return "below" if below else "near", f"always {label.names[int(np.argmax(counts))]}: {guess:.4f}"


def shown(found: dict[str, float]) -> str:
    """A model's metrics as a message has them."""
    return ", ".join(f"{metric} {value:.4f}" for metric, value in found.items())
