"""Two models on the same rows: how far one is ahead, and whether that may be chance."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from distill.errors import DistillError
from distill.intervals import wilson_interval
from distill.metrics import Metric, compute_metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RESAMPLES = 1_000
BATCH = 50  # of them whose rows are in memory at once
SEED = 0


@dataclass(frozen=True)
class Lead:
    """How far a model is ahead of another one by a metric.

    Attributes:
        difference: its value less the other's.
        interval: of the difference, 95%, by a paired bootstrap.
        p_value: of McNemar's exact test that both are right equally often; None for a metric other than accuracy.
        alone: rows that it alone has right, and rows that the other alone has right; None likewise.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float | None = None
    alone: tuple[int, int] | None = None


def lead_of(
    metric: Metric, first: NDArray[np.float32], second: NDArray[np.float32], labels: NDArray[np.float64]
) -> Lead:
    """How far the first model is ahead of the second one.

    Args:
        metric: by which they are judged.
        first: (rows, C) its logits; C = 1 for regression.
        second: (rows, C) those of the other one.
        labels: (rows,): class numbers, or scores.

    Raises:
        DistillError: logits of other rows; a metric that does not suit the task.
    """
    if len(first) != len(second):
        raise DistillError(f"expected predictions of the same rows; found {len(first)} and {len(second)}. Check them.")

    def difference(rows: NDArray[np.int64]) -> float:
        return _value(metric, first[rows], labels[rows]) - _value(metric, second[rows], labels[rows])

    rows = np.arange(len(labels))
    found = Lead(difference(rows), _bootstrap(difference, len(rows)))
    if metric is not Metric.ACCURACY:
        return found
    mine, other = (logits.argmax(-1) == labels for logits in (first, second))
    alone = int((mine & ~other).sum()), int((other & ~mine).sum())
    return Lead(found.difference, found.interval, mcnemar(*alone), alone)


def mcnemar(first: int, second: int) -> float:
    """The p-value of McNemar's exact test: rows that one model alone has right are either's with probability 1/2.

    Args:
        first: rows that one model alone has right.
        second: rows that the other one alone has right.

    Source: Q. McNemar, Psychometrika 12 (1947), 153-157; the exact form is the two-sided binomial test.
    """
    return float(stats.binomtest(first, first + second).pvalue) if first + second else 1.0


def metric_interval(metric: Metric, logits: NDArray[np.float32], labels: NDArray[np.float64]) -> tuple[float, float]:
    """The 95% interval of a metric: Wilson's of an accuracy, else by a bootstrap over rows.

    Args:
        metric: which one.
        logits: (rows, C).
        labels: (rows,).
    """
    if metric is Metric.ACCURACY:
        return wilson_interval(_value(metric, logits, labels), len(labels))
    return _bootstrap(lambda rows: _value(metric, logits[rows], labels[rows]), len(labels))


def _value(metric: Metric, logits: NDArray[np.float32], labels: NDArray[np.float64]) -> float:
    return compute_metrics((metric,), logits, labels)[metric]


def _bootstrap(statistic: Callable[[NDArray[np.int64]], float], rows: int) -> tuple[float, float]:
    """Percentiles of a statistic of rows that are drawn with replacement; the same rows for both models of a pair.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    if rows < 2:
        return -1.0, 1.0
    settings: dict[str, Any] = {"n_resamples": RESAMPLES, "vectorized": False, "method": "percentile", "batch": BATCH}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of scikit-learn, where all rows that are drawn are of one class
        found = stats.bootstrap((np.arange(rows),), statistic, rng=np.random.default_rng(SEED), **settings)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
