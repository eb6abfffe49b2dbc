"""Metrics by hand, predictions in row order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.class_report import ClassScores, report_classes
from distill.errors import DistillError
from distill.evaluation import evaluate, predict
from distill.metrics import Metric, compute_metrics
from distill.reading import Columns
from tests.distill.data import drawn_table, open_stream, write_shards
from tests.distill.models import tiny_encoder
from tests.fixtures import tiny_tokenizer

LOGITS = np.array([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0], [5.0, 1.0], [0.0, 1.0]], np.float32)  # 0 1 1 0 1
LABELS = np.array([0.0, 1.0, 0.0, 0.0, 1.0])


def test_classification_by_hand():
    wanted = (Metric.ACCURACY, Metric.F1, Metric.MATTHEWS)
    found = compute_metrics(wanted, LOGITS, LABELS)
    # Two true positives, one false positive, two true negatives.
    assert found["accuracy"] == pytest.approx(4 / 5)
    assert found["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert found["matthews"] == pytest.approx((2 * 2 - 0) / np.sqrt(3 * 2 * 3 * 2))


def test_classes_by_hand():
    logits = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 0]]  # predicted a a b b a
    found = report_classes(logits, np.array([0.0, 0.0, 0.0, 1.0, 2.0]), ("a", "b", "c", "d"))
    assert found.confusion == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert found.classes == {
        "a": ClassScores(3, 2 / 3, 2 / 3, 2 / 3),
        "b": ClassScores(1, 1 / 2, 1.0, 2 / 3),
        "c": ClassScores(1, 0.0, 0.0, 0.0),
        "d": ClassScores(0, 0.0, 0.0, 0.0),
    }
    assert found.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)  # d is neither there nor predicted


def test_regression_by_hand():
    wanted = (Metric.PEARSON, Metric.SPEARMAN)
    scores = np.array([[1.0], [2.0], [10.0]], np.float32)
    found = compute_metrics(wanted, scores, np.array([1.0, 2.0, 3.0]))
    assert found["spearman"] == pytest.approx(1.0)
    assert found["pearson"] == pytest.approx(np.corrcoef([1, 2, 10], [1, 2, 3])[0, 1])
    constant = compute_metrics(wanted, np.ones((3, 1), np.float32), np.array([1.0, 2.0, 3.0]))
    assert constant == {"pearson": 0.0, "spearman": 0.0}


def test_refusals():
    with pytest.raises(DistillError, match="at least one"):
        compute_metrics((Metric.ACCURACY,), LOGITS[:0], LABELS[:0])
    with pytest.raises(DistillError, match="as many labels"):
        compute_metrics((Metric.ACCURACY,), LOGITS, LABELS[:2])
    with pytest.raises(DistillError, match="finite predictions"):
        compute_metrics((Metric.ACCURACY,), LOGITS * np.nan, LABELS)
    with pytest.raises(DistillError, match="regression"):
        compute_metrics((Metric.ACCURACY,), LOGITS[:, :1], LABELS)
    with pytest.raises(DistillError, match="classification"):
        compute_metrics((Metric.PEARSON,), LOGITS, LABELS)


def test_predictions_come_in_row_order(tmp_path):
    model = tiny_encoder().train()
    stream = open_stream(write_shards(tmp_path, (9, 12)))
    logits, labels = predict(model, stream)
    assert model.training
    tables = [drawn_table(9, 0), drawn_table(12, 1)]
    texts = [text for table in tables for text in table.column("sentence").to_pylist()]
    tokenizer = tiny_tokenizer()
    with torch.no_grad():
        model.eval()
        for row in (0, 8, 9, 20):
            alone = model(**tokenizer(texts[row], return_tensors="pt", truncation=True, max_length=16)).logits
            assert torch.allclose(torch.from_numpy(logits[row]), alone[0], atol=1e-4)
    expected = [label for table in tables for label in table.column("label").to_pylist()]
    assert labels.tolist() == expected
    accuracy = evaluate(model, stream, (Metric.ACCURACY,))["accuracy"]
    assert accuracy == pytest.approx((logits.argmax(-1) == np.array(expected)).mean())
    with pytest.raises(DistillError, match="no label column"):
        evaluate(model, open_stream(tmp_path, Columns(("sentence",))), (Metric.ACCURACY,))
