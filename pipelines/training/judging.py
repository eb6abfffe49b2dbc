"""Dev metrics of a task's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.training.loop import Dev
from pipelines.training.parts import open_stream, task_columns, write_part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.metrics import Metric
    from pipelines.storage import Storage
    from pipelines.tasks import Task
    from pipelines.training.parts import TaskData
    from pipelines.training.reporting import TrainingReporter

BATCH_ROWS = 64


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """What a task is judged by, the selecting metric first; correlations for a custom score."""
    from distill.metrics import Metric, task_metrics

    return (Metric.SPEARMAN, Metric.PEARSON) if task.label.kind == "score" else task_metrics(task.name)


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
) -> dict[str, dict[str, float]]:
    """Metrics of a model on every labelled dev part: part -> metric -> value.

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
    from distill.evaluation import evaluate
    from distill.teacher import Precision

    columns = task_columns(data.task, labelled=True)
    found = {}
    for part in data.dev_parts:
        stream = open_stream(write_part(storage, data, part), columns, tokenizer, max_length, BATCH_ROWS)
        found[part] = evaluate(model, stream, metrics_of(data.task), Precision(precision))
        stream.close()
    return found


def chance(found: dict[str, float], storage: Storage, data: TaskData, part: str) -> str | None:
    """What guessing reaches on a dev part, in words, where a model's result may be no better; else None.

    By accuracy against the most frequent label; by Matthews' correlation where the task is judged by it, and by the
    better one for scores.

    Args:
        found: metric -> value.
        storage: folder that the parts are written into as Parquet.
        data: the task.
        part: of it.
    """
    import pyarrow.parquet as pq

    from distill.checks import near_chance, uncorrelated
    from distill.metrics import Metric

    label: Any = data.task.label
    labels = pq.read_table(write_part(storage, data, part), columns=[label.column]).column(0).to_numpy()
    if label.kind == "score":
        return "guessing: 0" if uncorrelated(max(found.values()), len(labels)) else None
    if Metric.MATTHEWS in found:
        return "guessing: 0" if uncorrelated(found[Metric.MATTHEWS], len(labels)) else None
    counts: list[int] = np.bincount(labels, minlength=len(label.names)).tolist()
    if not near_chance(found[Metric.ACCURACY], counts):
        return None
    return f"always {label.names[int(np.argmax(counts))]}: {max(counts) / len(labels):.4f}"


def warn_of_chance(
    found: dict[str, dict[str, float]],
    storage: Storage,
    data: TaskData,
    reporter: TrainingReporter,
    who: str,
    advice: str,
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
        if guess := chance(found[part], storage, data, part):
            reporter.warning(f"{who}{shown(found[part])} on {part} is near chance ({guess}); {advice}")


def shown(found: dict[str, float]) -> str:
    """A model's metrics as a message has them."""
    return ", ".join(f"{metric} {value:.4f}" for metric, value in found.items())
