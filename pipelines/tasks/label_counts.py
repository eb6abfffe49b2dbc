"""How often each class of a task occurs, or what its scores are: counted while rows are read, said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.tasks.task import UNLABELLED, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.tasks import Label, Task

MOST_SHOWN = 20  # classes, or names in a warning


class LabelCounter:
    """Counts labels as rows are read.

    Args:
        label: of the task.
    """

    def __init__(self, label: Label) -> None:
        self._label = label
        self._counts = np.zeros(len(label.names), np.int64)
        self._scores: list[tuple[float, float, float, int]] = []  # of each batch: least, sum, greatest, rows

    def add(self, rows: Any) -> None:
        """Counts the labels of a pyarrow batch or table; rows without a label are passed over."""
        if self._label.column is None or self._label.is_span:
            return
        labels = np.asarray(rows.column(self._label.column))
        if self._label.kind == "class":
            self._counts += np.bincount(labels[labels != UNLABELLED], minlength=len(self._counts))
        elif len(labels):
            scores = labels.astype(np.float64)
            self._scores.append((scores.min(), scores.sum(), scores.max(), len(scores)))

    def found(self) -> list[float]:
        """Rows of each class in order, or the least score, the mean and the greatest; empty without labels."""
        if not self._scores:
            return [int(count) for count in self._counts]
        least, total, greatest, rows = zip(*self._scores, strict=True)
        return [float(min(least)), float(sum(total) / sum(rows)), float(max(greatest))]


def label_words(label: Label, parts: Mapping[str, list[float]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to say of the labels of some parts.

    Args:
        label: of the task.
        parts: train, validation, … -> what a counter found in it.

    Returns:
        Classes with their counts, or the range of scores, a line for each part; and warnings of names of classes that
        differ by case alone, and of classes that a part has no row of.
    """
    lines, warnings = [], []
    if twins := _alike(label.names):
        named = listed(twins, MOST_SHOWN)
        warnings.append(f"classes whose names differ by case alone: {named}; correct the data if they are one class")
    for part, found in parts.items():
        if found and label.kind == "score":
            lines.append(f"scores of {part}: {found[0]:g} to {found[2]:g}, mean {found[1]:.3g}")
        elif found:
            counted = list(zip(label.names, found, strict=True))
            lines.append(f"classes of {part}: {listed((f'{name} {count:,}' for name, count in counted), MOST_SHOWN)}")
            if lacking := [name for name, count in counted if not count]:
                warnings.append(f"no row of {part} is of the class {listed(lacking, MOST_SHOWN)}")
    if not lines and label.names:
        lines = [f"classes: {listed(label.names, MOST_SHOWN)}"]
    return tuple(lines), tuple(warnings)


def label_report(task: Task, places: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The same of parts that lie as Parquet, whose label column alone is read.

    Args:
        task: the task.
        places: part -> its file; one without labels is passed over.
    """
    import pyarrow.parquet as pq

    found: dict[str, list[float]] = {}
    for part, place in places.items():
        counter = LabelCounter(task.label)
        with pq.ParquetFile(place) as file:
            if task.label.column in file.schema_arrow.names:
                for batch in file.iter_batches(columns=[task.label.column]):
                    counter.add(batch)
                found[part] = counter.found()
    return label_words(task.label, found)


def _alike(names: tuple[str, ...]) -> list[str]:
    """Names that another one equals but for case, beside each other."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [" and ".join(group) for group in groups.values() if len(group) > 1]
