"""The metrics of the GLUE tasks, by scikit-learn and scipy, and the one that selects the best epoch."""

from __future__ import annotations

import warnings
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from sklearn import metrics

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Scores = dict[str, dict[str, float]]
"""Dev part -> metric -> value."""


class Metric(StrEnum):
    """Names as they stand in metrics.json."""

    ACCURACY = "accuracy"
    EXACT = "exact"
    F1 = "f1"
    MATTHEWS = "matthews"
    PEARSON = "pearson"
    SPEARMAN = "spearman"


AGREEMENTS = {
    Metric.ACCURACY: metrics.accuracy_score,
    Metric.F1: partial(metrics.f1_score, zero_division=0.0),
    Metric.MATTHEWS: metrics.matthews_corrcoef,
}
CORRELATIONS = {Metric.PEARSON: stats.pearsonr, Metric.SPEARMAN: stats.spearmanr}


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
    return {str(name): float(_suiting(AGREEMENTS, name, "classification")(true, predicted)) for name in wanted}


def _suiting(choices: Mapping[Metric, Any], name: Metric, task: str) -> Any:
    if name not in choices:
        raise DistillError(f"expected {' or '.join(choices)} for a {task} task; found {name}. Choose one.")
    return choices[name]


def _correlation(name: Metric, scores: NDArray[np.float32], labels: NDArray[np.float64]) -> float:
    correlate = _suiting(CORRELATIONS, name, "regression")
    if len(scores) < 2:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        value = float(correlate(scores, labels).statistic)
    return value if np.isfinite(value) else 0.0
