"""Predictions on labelled parts as a table: csv, tsv, jsonl or Parquet, by the file's name."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipelines.errors import UserError
from pipelines.evaluating.submission import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.tasks import Task

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def check_predictions(path: Path) -> None:
    """Refuses a name that says no format.

    Raises:
        UserError: naming the formats.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"--predictions {path}: expected a name that ends in {', '.join(SUFFIXES)}")


def prediction_table(task: Task, part: str, logits: np.ndarray, labels: np.ndarray | None) -> pa.Table:
    """One part's predictions.

    Args:
        task: the task.
        part: its name.
        logits: (rows, C).
        labels: (rows,), or None.

    Returns:
        Columns part, row, prediction, label (null where unknown), and for classes the probability of each.
    """
    rows = len(logits)
    columns: dict[str, Any] = {"part": [part] * rows, "row": np.arange(rows)}
    if logits.shape[1] == 1:
        columns["prediction"] = logits[:, 0]
        columns["label"] = pa.nulls(rows, pa.float64()) if labels is None else labels
        return pa.table(columns)
    names = list(task.label.names) or [str(number) for number in range(logits.shape[1])]
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    shares = powers / powers.sum(-1, keepdims=True)
    columns["prediction"] = [names[number] for number in logits.argmax(-1).tolist()]
    known = [None] * rows if labels is None else [names[int(n)] if n >= 0 else None for n in labels.tolist()]
    columns["label"] = pa.array(known, pa.string())
    columns.update({f"p_{name}": shares[:, number] for number, name in enumerate(names)})
    return pa.table(columns)


def write_predictions(path: Path, table: pa.Table) -> None:
    """Writes a table in the format of its name.

    Raises:
        JobError: it cannot be written.
    """
    sink = io.BytesIO()
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, sink)
    elif path.suffix == ".jsonl":
        for row in table.to_pylist():
            sink.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    else:
        from pyarrow import csv

        csv.write_csv(table, sink, csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ","))
    write_whole(path, sink.getvalue())
