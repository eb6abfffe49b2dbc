"""How often each class of a task occurs, or what its scores are: counted while rows are read, said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.tasks.task import UNLABELLED, listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.tasks import Label

MOST_SHOWN = 20  # classes, or names in a warning


class LabelCounter:
    """Counts labels as rows are read.

    Args:
        label: of the task.
    """

    def __init__(self, label: Label) -> None:
        self._label = label
        self._counts = np.zeros(len(label.names), np.int64)
        self._scores = [np.inf, 0.0, -np.inf]  # least, sum, greatest
        self._rows = 0

    def add(self, rows: Any) -> None:
        """Counts the labels of a pyarrow batch or table; rows without a label are passed over."""
        if self._label.column is None:
            return
        labels = np.asarray(rows.column(self._label.column))
        if self._label.kind == "class":
            self._counts += np.bincount(labels[labels != UNLABELLED], minlength=len(self._counts))
        elif len(labels):
            least, total, greatest = self._scores
            scores = labels.astype(np.float64)
            self._scores = [min(least, scores.min()), total + scores.sum(), max(greatest, scores.max())]
            self._rows += len(labels)

    def found(self) -> list[float]:
        """Rows of each class in order, or the least score, the mean and the greatest; empty without labels."""
        if self._label.kind == "class":
            return [int(count) for count in self._counts]
        if not self._rows:
            return []
        least, total, greatest = map(float, self._scores)
        return [least, total / self._rows, greatest]


def label_words(label: Label, part: str, found: list[float]) -> tuple[str, ...]:
    """Classes with their counts, or the range of scores; nothing without labels.

    Args:
        label: of the task.
        part: train, validation, ….
        found: of a counter.
    """
    if not found:
        return ()
    if label.kind == "score":
        least, mean, greatest = found
        return (f"scores of {part}: {least:g} to {greatest:g}, mean {mean:.3g}",)
    classes = listed((f"{name} {count:,}" for name, count in zip(label.names, found, strict=True)), MOST_SHOWN)
    return (f"classes of {part}: {classes}",)


def label_warnings(label: Label, parts: dict[str, list[float]]) -> tuple[str, ...]:
    """What looks wrong: names of classes that differ by case alone, and classes that a part has no row of.

    Args:
        label: of the task.
        parts: part -> what a counter found in it.
    """
    said = []
    if twins := _alike(label.names):
        named = listed(twins, MOST_SHOWN)
        said.append(f"classes whose names differ by case alone: {named}; correct the data if they are one class")
    for part, found in parts.items():
        lacking = [name for name, count in zip(label.names, found, strict=False) if not count]
        if lacking and label.kind == "class":
            said.append(f"no row of {part} is of the class {listed(lacking, MOST_SHOWN)}")
    return tuple(said)


def _alike(names: Iterable[str]) -> list[str]:
    """Names that another one equals but for case, beside each other."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [" and ".join(group) for group in groups.values() if len(group) > 1]
