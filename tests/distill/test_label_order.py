"""Outputs of a classifier: put into another order, and what predictions tell of their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.errors import DistillError
from distill.label_order import Misorder, best_order, find_misorder, reorder_outputs
from tests.distill.models import FAMILIES, tiny_batch, tiny_encoder
from tests.fixtures import tiny_masked_lm

NAMES = {0: "technical", 1: "billing", 2: "delivery"}


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_of_every_family_in_another_order(family):
    model = tiny_encoder(family, id2label=NAMES)
    batch = tiny_batch()
    with torch.no_grad():
        before = model(**batch).logits
        reorder_outputs(model, (1, 2, 0))
        after = model(**batch).logits
    assert torch.equal(after, before[:, [1, 2, 0]])
    assert model.config.id2label == {0: "billing", 1: "delivery", 2: "technical"}
    assert model.config.label2id == {"billing": 0, "delivery": 1, "technical": 2}


def test_a_head_as_wide_as_it_has_classes():
    """The layer before the last one has 32 outputs, too."""
    model = tiny_encoder("roberta", num_labels=32)
    batch, order = tiny_batch(), [*range(1, 32), 0]
    with torch.no_grad():
        before = model(**batch).logits
        reorder_outputs(model, order)
        assert torch.equal(model(**batch).logits, before[:, order])


def test_a_model_without_a_classifier():
    with pytest.raises(DistillError, match="expected a head that ends in a linear layer of 3 outputs; found none in"):
        reorder_outputs(tiny_masked_lm(), (1, 2, 0))


def test_the_order_that_gets_the_most_rows_right():
    """Class 0 comes out as output 2, class 1 as 0, class 2 as 1."""
    assert best_order(np.array([[1, 2, 9], [8, 1, 3], [2, 7, 3]])) == (2, 0, 1)
    assert best_order(np.array([[5, 4], [3, 5]])) == (0, 1)


def predictions(labels: list[int], outputs: list[int]) -> Misorder | None:
    """What is found where these labels come out as these outputs."""
    return find_misorder(np.eye(max(*labels, *outputs) + 1, dtype=np.float32)[outputs], np.array(labels, np.float64))


def repeated(*counts: tuple[int, int, int]) -> tuple[list[int], list[int]]:
    """Labels and outputs of (label, output, pairs of rows)."""
    rows = [(label, output) for label, output, pairs in counts for _ in range(2 * pairs)]
    return [label for label, _ in rows], [output for _, output in rows]


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([(0, 1, 18), (1, 0, 18), (0, 0, 2), (1, 1, 2)], Misorder((1, 0), 0.1, 0.9)),
        ([(0, 2, 9), (1, 0, 9), (2, 1, 9), (0, 0, 3)], Misorder((2, 0, 1), 0.1, 0.9)),
        ([(0, 0, 18), (1, 1, 18), (0, 1, 2), (1, 0, 2)], None),  # right as it is
        ([(0, 0, 12), (0, 1, 12), (1, 0, 12), (1, 1, 12)], None),  # knows nothing
        ([(0, 1, 30), (1, 1, 10)], None),  # always the rarer class: swapped it would be the majority's guess
        ([(0, 1, 12), (0, 0, 10), (1, 0, 12), (1, 1, 10)], None),  # 0.55 instead of 0.45 is no proof
        ([(0, 1, 1), (1, 0, 1)], None),  # nor are four rows
        # 0.75 instead of 0.5 of twenty rows: the intervals overlap
        ([(0, 0, 7), (1, 1, 2), (1, 2, 4), (1, 0, 1), (2, 2, 1), (2, 1, 4), (2, 0, 1)], None),
    ],
)
def test_whether_another_order_is_far_better(counts, found):
    assert predictions(*repeated(*counts)) == found


def test_luck_with_many_orders_is_no_proof():
    """Of 40 classes that are guessed some order is right by luck on the rows that it was chosen by."""
    chance = np.random.default_rng(0)
    for _ in range(20):
        assert predictions(list(range(40)) * 3, chance.integers(0, 40, 120).tolist()) is None


def test_too_few_rows_or_classes_tell_nothing():
    assert predictions([0], [1]) is None
    assert find_misorder(np.zeros((4, 1), np.float32), np.zeros(4)) is None
