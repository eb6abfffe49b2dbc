"""How a classifier does on each class: precision, recall, F1, what is taken for what; by scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class.

    Attributes:
        rows: that are of it.
        precision: share of the rows predicted as it that are of it; 0 where none is predicted.
        recall: share of its rows that are predicted as it; 0 where there are none.
        f1: their harmonic mean.
    """

    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassReport:
    """A classifier's results on a labelled part, class by class.

    Attributes:
        macro_f1: mean F1 of the classes that are there or are predicted.
        classes: name -> its scores, in the order of the numbers.
        confusion: (C, C) rows by their class and by the predicted one.
    """

    macro_f1: float
    classes: dict[str, ClassScores]
    confusion: list[list[int]]


def report_classes(logits: NDArray[np.float32], labels: NDArray[np.float64], names: Sequence[str]) -> ClassReport:
    """Judges the predictions of a classifier.

    Args:
        logits: (rows, C), finite.
        labels: (rows,): class numbers.
        names: of the C classes, by number.
    """
    predicted, true, numbers = logits.argmax(-1), labels.astype(np.int64), range(len(names))
    found = metrics.precision_recall_fscore_support(true, predicted, labels=numbers, zero_division=0.0)
    return ClassReport(
        float(metrics.f1_score(true, predicted, average="macro", zero_division=0.0)),
        {
            name: ClassScores(int(rows), float(precision), float(recall), float(f1))
            for name, precision, recall, f1, rows in zip(names, *found, strict=True)
        },
        metrics.confusion_matrix(true, predicted, labels=numbers).tolist(),
    )
