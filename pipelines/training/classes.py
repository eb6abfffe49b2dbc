"""Classes and their counts in the parts that a stage reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.tasks.label_counts import MOST_SHOWN, LabelCounter, label_warnings, label_words
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from pipelines.tasks import Task


def label_report(task: Task, places: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Says how often each class occurs; reads the label column alone.

    Args:
        task: the task.
        places: part -> where it lies as Parquet; one without labels is passed over.

    Returns:
        Lines to say, and warnings.
    """
    label = task.label
    found: dict[str, list[float]] = {}
    for part, place in places.items():
        if counts := _counted(task, place):
            found[part] = counts
    lines = [line for part, counts in found.items() for line in label_words(label, part, counts)]
    if not lines and label.names:
        lines = [f"classes: {listed(label.names, MOST_SHOWN)}"]
    return tuple(lines), label_warnings(label, found)


def _counted(task: Task, place: str) -> list[float]:
    import pyarrow.parquet as pq

    counter = LabelCounter(task.label)
    with pq.ParquetFile(place) as file:
        if task.label.column not in file.schema_arrow.names:
            return []
        for batch in file.iter_batches(columns=[task.label.column]):
            counter.add(batch)
    return counter.found()
