"""--soft-labels: a column of --train that is learnt in place of a teacher's logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipelines.errors import UserError
from pipelines.methods.method import Rows
from pipelines.tasks.task import listed
from pipelines.training.parts import task_columns

if TYPE_CHECKING:
    from distill.reading import ShardFiles
    from distill.soft_labels import SoftLabels
    from pipelines.distilling.checks import TeacherFiles
    from pipelines.methods.method import Method
    from pipelines.training.parts import TaskData
    from pipelines.training.request import DistillRequest


def check_method(request: DistillRequest, method: Method) -> None:
    """Refuses a method that wants more than logits, or of other rows than those of --train.

    Raises:
        UserError: it does; or not all rows of --train are read.
    """
    fits = method.of_logits and all(one.kept is not None and one.rows is Rows.AUGMENTED for one in method.trained)
    if not fits:
        raise UserError(
            f"--soft-labels {request.soft_labels}: expected a method that learns logits alone, of the rows of --train, "
            f"found {request.method}; choose distilbert, bilstm-soft, or tinybert with --epochs-intermediate 0"
        )
    if request.reading.train_rows is not None or request.max_flip is not None:
        rows = request.reading.train_rows
        raise UserError(
            f"--soft-labels {request.soft_labels}: expected all rows of --train, found "
            + (
                "some left out; leave --max-flip out"
                if rows is None
                else f"a subset of {rows:,}; leave --train-rows or --profile quick out"
            )
        )


def find_soft_labels(train: str, column: str, data: TaskData, encoder: TeacherFiles) -> SoftLabels:
    """The soft labels of all rows, checked one by one, and by the rows' labels where there are any.

    Args:
        train: location of the shards.
        column: of the soft labels.
        data: the task.
        encoder: whose configuration says how many outputs there are where the task has no labels.

    Raises:
        UserError: their classes come in another order.
        DistillError: a column, a number or a file that cannot be used, naming file and row.
    """
    from distill.checks import label_names
    from distill.label_order import find_misorder
    from distill.reading import open_shards
    from distill.soft_labels import read_soft_labels

    files = open_shards(train, task_columns(data.task, labelled=False))
    label = data.task.label
    names = list(label.names) or ([] if label.kind == "score" else label_names(encoder.config))
    found = read_soft_labels(files, column, names)
    labels = [_labels(files, shard, data) for shard in range(len(files.paths))] if label.names else []
    if labels and all(one is not None for one in labels):
        true, logits = np.concatenate([one for one in labels if one is not None]), np.concatenate(found.logits)
        known = (true >= 0) & (true < len(names))
        misorder = find_misorder(logits[known], true[known])
        if misorder is not None:
            better = [names[misorder.order.index(number)] for number in range(len(names))]
            raise UserError(
                f"--soft-labels {column}: expected the classes in the order {listed(names)}, found that the labels of "
                f"the rows fit {misorder.accuracy:.4f} of them so and {misorder.better:.4f} in the order "
                f"{listed(better)}; write the numbers in the task's order"
            )
    return found


def _labels(files: ShardFiles, shard: int, data: TaskData) -> np.ndarray | None:
    """The labels of a shard as numbers, -1 where there is none; None without such a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from distill.stores import reading

    path, column = files.paths[shard], data.task.label.column
    with reading(f"labels of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
        if column not in file.schema_arrow.names or not pa.types.is_integer(file.schema_arrow.field(column).type):
            return None
        return np.asarray(file.read(columns=[column]).column(0).fill_null(-1).to_numpy())
