"""The metrics of the GLUE tasks, by scikit-learn and scipy, and the one that selects the best epoch."""

from __future__ import annotations

import warnings
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from sklearn import metrics

from distill.errors import DistillError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scores = dict[str, dict[str, float]]
"""Dev part -> metric -> value."""


class Metric(StrEnum):
    """Names as they stand in metrics.json."""

    ACCURACY = "accuracy"
    F1 = "f1"
    MATTHEWS = "matthews"
    PEARSON = "pearson"
    SPEARMAN = "spearman"


def compute_metrics(
    wanted: tuple[Metric, ...], logits: NDArray[np.float32], labels: NDArray[np.float64]
) -> dict[str, float]:
    """Metrics of predictions.

    Args:
        wanted: which ones.
        logits: (rows, C); C = 1 for regression.
        labels: (rows,): class indices, or scores.

    Returns:
        Metric to value. A correlation with constant predictions is undefined and counts as 0; F1 is that of
        class 1.

    Raises:
        DistillError: no rows, counts that differ, or logits that are not finite.
    """
    if len(logits) == 0 or len(logits) != len(labels):
        raise DistillError(
            f"expected as many labels as predictions, at least one; found {len(labels)} labels and "
            f"{len(logits)} predictions. Check the dev data."
        )
    if not np.isfinite(logits).all():
        raise DistillError("expected finite predictions; found NaN or infinity. The model is broken: train anew.")
    if logits.shape[1] == 1:
        return {str(name): _correlation(name, logits[:, 0], labels) for name in wanted}
    predicted, true = logits.argmax(-1), labels.astype(np.int64)
    return {str(name): _agreement(name, predicted, true) for name in wanted}


def _correlation(name: Metric, scores: NDArray[np.float32], labels: NDArray[np.float64]) -> float:
    if name not in (Metric.PEARSON, Metric.SPEARMAN):
        raise DistillError(f"expected pearson or spearman for a regression task; found {name}. Choose one.")
    correlate = stats.pearsonr if name is Metric.PEARSON else stats.spearmanr
    if len(scores) < 2:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        value = float(correlate(scores, labels).statistic)
    return value if np.isfinite(value) else 0.0


def _agreement(name: Metric, predicted: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    if name is Metric.ACCURACY:
        return float(metrics.accuracy_score(true, predicted))
    if name is Metric.F1:
        return float(metrics.f1_score(true, predicted, zero_division=0.0))
    if name is Metric.MATTHEWS:
        return float(metrics.matthews_corrcoef(true, predicted))
    raise DistillError(f"expected accuracy, f1 or matthews for a classification task; found {name}. Choose one.")
