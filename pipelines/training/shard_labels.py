"""Labels of users' own training shards: distillation needs none, but wrong ones tell of shards of another task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.columnar import decoded_array, python_values
from pipelines.tasks.labels import MISSING, class_name
from pipelines.tasks.task import UNLABELLED, RowError, listed, shown

if TYPE_CHECKING:
    from distill.reading import ShardFiles
    from pipelines.tasks import Label, Task


def check_shard_labels(files: ShardFiles, task: Task) -> None:
    """Refuses shards with a label that is none of the task's classes; reads the label column alone.

    A shard without that column passes, and so do rows without a label: null, NaN, an empty text, -1.

    Args:
        files: the shards.
        task: the task; one without classes has nothing to compare with.

    Raises:
        UserError: naming shard and row.
        DistillError: a row group that cannot be read.
    """
    import pyarrow.parquet as pq

    from distill.stores import reading

    column, known = task.label.column, _known(task.label)
    if task.label.kind != "class" or column is None:
        return
    for path, sizes in zip(files.paths, files.row_groups, strict=True):
        with reading(f"labels of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
            if column not in file.schema_arrow.names:
                continue
            first = 0
            for group, size in enumerate(sizes):
                labels = decoded_array(pa.concat_arrays(file.read_row_group(group, columns=[column]).column(0).chunks))
                distinct = labels if pa.types.is_nested(labels.type) else labels.unique()
                for value in python_values(distinct):
                    if _name(value) not in known:
                        raise UserError(_refusal(path, first + python_values(labels).index(value), task, value))
                first += size


def _known(label: Label) -> set[str]:
    """What names a class, its number, or nothing; of two classes the truth values, too. In lower case."""
    truths = ("false", "true") if len(label.names) == 2 else ()
    names = [name.lower() for name in label.names]
    return {"", *names, *truths, *map(str, range(UNLABELLED, len(names)))}


def _name(value: Any) -> str:
    try:
        name = class_name(value, None)
    except RowError:
        return "" if value is None or value != value else str(value).lower()  # null, NaN, or what can be no class
    return "" if name.lower() in MISSING else name.lower()


def _refusal(path: str, row: int, task: Task, value: Any) -> str:
    names = task.label.names
    return (
        f"{path}, row {row}, column {task.label.column!r}: expected a label of {task.name} ({listed(names)}, or their "
        f"numbers, 0 to {len(names) - 1}), found {shown(value)}; correct it, name the task it is of, or leave the "
        "column out, for a student learns from its teacher alone"
    )
