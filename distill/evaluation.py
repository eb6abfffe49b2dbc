"""Predictions of a model on a data set, in the order of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from distill.errors import DistillError, StoppedError
from distill.metrics import Metric, compute_metrics
from distill.outputs import model_logits
from distill.precision import Precision, autocast
from distill.shards import Position, ShardStream
from distill.teacher import model_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedModel


def predict(
    model: PreTrainedModel,
    stream: ShardStream,
    precision: Precision = Precision.AUTO,
    stop: Callable[[], bool] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """Logits (rows, C) and labels (rows,), or None without a label column; the model's mode is kept.

    Args:
        model: with its task head.
        stream: rows in any order; the results are in the order of the shards.
        precision: of matrix products; AUTO follows the device that the model is on.
        stop: asked after every batch; True ends it.

    Raises:
        StoppedError: it was asked to stop.
    """
    sizes = [stream.files.shard_rows(shard) for shard in range(len(stream.files.paths))]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    logits = np.zeros((len(stream), int(model.config.num_labels or 1)), np.float32)
    labels = None if stream.columns.label is None else np.zeros(len(stream), np.float64)
    training, found, places = model.training, [], []
    model.eval()
    try:
        for batch in stream.batches(Position()):
            with torch.no_grad(), autocast(precision, model.device):
                found.append(model_logits(model, model_inputs(batch, model)).float())
            places.append(starts[batch.shard] + batch.row)
            if labels is not None and batch.labels is not None:
                labels[places[-1]] = batch.labels
            if stop is not None and stop():
                raise StoppedError
    finally:
        model.train(training)
    if found:  # fetched together: a GPU is waited for once
        logits[np.concatenate(places)] = torch.cat(found).cpu().numpy()
    return logits, labels


def evaluate(
    model: PreTrainedModel,
    stream: ShardStream,
    wanted: tuple[Metric, ...],
    precision: Precision = Precision.AUTO,
    stop: Callable[[], bool] | None = None,
) -> dict[str, float]:
    """Metrics of a model on labelled data.

    Args:
        model: with its task head.
        stream: the data.
        wanted: the metrics.
        precision: of matrix products.
        stop: asked after every batch; True ends it.

    Raises:
        StoppedError: it was asked to stop.
        DistillError: the stream reads no labels, or metrics do not suit the task.
    """
    logits, labels = predict(model, stream, precision, stop)
    if labels is None:
        raise DistillError("expected labelled data to evaluate on; found no label column. Name it.")
    return compute_metrics(wanted, logits, labels)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The softmax of logits (…, C) over their last axis."""
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def prediction_table(
    part: str,
    logits: NDArray[np.float32],
    labels: NDArray[np.float64],
    names: Sequence[str],
    rows: NDArray[np.int64] | None = None,
) -> pa.Table:
    """Predictions on a labelled part as a table.

    Args:
        part: its name.
        logits: (rows, C); C = 1 for scores.
        labels: (rows,): class numbers, or scores.
        names: class names, by number; empty for scores.
        rows: (rows,) their numbers in the files that they are from; None for all rows of a part.

    Returns:
        Columns part, row, prediction and label; for classes, by their names, also the probability p_NAME of each.
    """
    columns = {"part": [part] * len(logits), "row": np.arange(len(logits)) if rows is None else rows}
    if not names:
        return pa.table({**columns, "prediction": logits[:, 0], "label": labels})
    named = {
        "prediction": pa.array([names[number] for number in logits.argmax(-1).tolist()], pa.string()),
        "label": pa.array([names[int(number)] for number in labels.tolist()], pa.string()),
    }
    shares = probabilities(logits)  # (rows, C)
    return pa.table({**columns, **named, **{f"p_{name}": shares[:, number] for number, name in enumerate(names)}})
