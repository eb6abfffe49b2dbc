"""Paired tests by hand, and beside slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from distill.errors import DistillError
from distill.metrics import Metric
from distill.paired import lead_of, mcnemar, metric_interval


def logits_of(predicted):
    return np.eye(2, dtype=np.float32)[predicted]


def test_mcnemar_by_hand():
    assert mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar(5, 1) == mcnemar(1, 5)
    assert mcnemar(0, 3) == pytest.approx(2 / 2**3)
    assert mcnemar(4, 4) == 1
    assert mcnemar(0, 0) == 1


def test_a_lead_in_accuracy():
    labels = np.array([0, 1, 0, 1, 1, 0], np.float64)
    first, second = [0, 1, 0, 1, 0, 0], [0, 0, 1, 1, 1, 1]
    found = lead_of(Metric.ACCURACY, logits_of(first), logits_of(second), labels)
    assert found.difference == pytest.approx(5 / 6 - 3 / 6)
    assert found.alone == (3, 1)
    assert found.p_value == pytest.approx(2 * (1 + 4) / 2**4)


def test_the_same_predictions_are_never_ahead():
    labels = np.array([0, 1, 0, 1], np.float64)
    same = logits_of([0, 1, 1, 1])
    for metric in (Metric.ACCURACY, Metric.F1, Metric.MATTHEWS):
        found = lead_of(metric, same, same, labels)
        assert (found.difference, found.interval) == (0, (0, 0))


def test_an_interval_is_that_of_rows_drawn_in_pairs():
    """Beside the normal approximation of a paired difference, whose rows are drawn together."""
    chance = np.random.default_rng(3)
    labels = chance.integers(0, 2, 2_000).astype(np.float64)
    first = np.where(chance.random(2_000) < 0.9, labels, 1 - labels).astype(int)
    second = np.where(chance.random(2_000) < 0.05, 1 - first, first)
    found = lead_of(Metric.ACCURACY, logits_of(first), logits_of(second), labels)
    each = (first == labels).astype(float) - (second == labels)
    spread = 1.96 * each.std() / np.sqrt(2_000)
    assert found.interval == pytest.approx((each.mean() - spread, each.mean() + spread), abs=0.002)


def test_intervals_of_a_correlation():
    chance = np.random.default_rng(4)
    labels = chance.normal(size=500)
    scores = (labels + chance.normal(size=500)).astype(np.float32)[:, None]
    low, high = metric_interval(Metric.PEARSON, scores, labels)
    by_fisher = stats.pearsonr(scores[:, 0], labels).confidence_interval(0.95)
    assert (low, high) == pytest.approx(tuple(by_fisher), abs=0.015)
    found = lead_of(Metric.PEARSON, scores, scores[::-1], labels)
    assert found.interval[0] > 0.5
    assert (found.p_value, found.alone) == (None, None)


def test_predictions_of_other_rows():
    with pytest.raises(DistillError, match="expected predictions of the same rows; found 2 and 3"):
        lead_of(Metric.ACCURACY, logits_of([0, 1]), logits_of([0, 1, 1]), np.array([0.0, 1.0]))
