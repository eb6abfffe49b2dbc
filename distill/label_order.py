"""The order of a classifier's outputs: put into that of the data, and judged by what its predictions say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from distill.checks import label_names
from distill.errors import DistillError
from distill.guessing import near_chance
from distill.intervals import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedModel

FAR_BETTER = 0.2  # share of the rows; a classifier that merely confuses two classes gains less by swapping them
MOST_CLASSES = 1_000  # that are compared; an assignment takes the cube of their number


def reorder_outputs(model: PreTrainedModel, order: Sequence[int]) -> None:
    """Permutes the outputs of a classifier, and its label names with them, in place.

    Args:
        model: an encoder of distill.outputs.FAMILIES with its task head.
        order: output i of the result is output order[i] of the model as it is.

    Raises:
        DistillError: its head ends in no linear layer of as many outputs.
    """
    if list(order) == list(range(len(order))):
        return
    names, last = label_names(model.config), _last_layer(model, len(order))
    with torch.no_grad():
        last.weight.copy_(last.weight[list(order)])  # (C, d)
        if last.bias is not None:
            last.bias.copy_(last.bias[list(order)])  # (C,)
    model.config.id2label = {number: names[output] for number, output in enumerate(order)}
    model.config.label2id = {name: number for number, name in model.config.id2label.items()}


def _last_layer(model: PreTrainedModel, outputs: int) -> nn.Linear:
    encoder = set(model.base_model.modules())
    layers = [module for module in model.modules() if isinstance(module, nn.Linear) and module not in encoder]
    if not layers or layers[-1].out_features != outputs:
        raise DistillError(
            f"expected a head that ends in a linear layer of {outputs} outputs; found none in {type(model).__name__}. "
            "Use a model for sequence classification."
        )
    return layers[-1]


def best_order(confusion: NDArray[np.int64]) -> tuple[int, ...]:
    """The order of outputs that gets the most rows right.

    Args:
        confusion: rows (C, C) of each class (first axis) by the output that was greatest.

    Returns:
        For each class its output.
    """
    return tuple(int(output) for output in linear_sum_assignment(-confusion)[1])


@dataclass(frozen=True)
class Misorder:
    """Outputs that come in another order than was thought.

    Attributes:
        order: for each class the output that seems to be its own.
        accuracy: as the outputs were taken.
        better: the accuracy in that order.
    """

    order: tuple[int, ...]
    accuracy: float
    better: float


def find_misorder(logits: NDArray[np.float32], labels: NDArray[np.float64]) -> Misorder | None:
    """Finds out whether a classifier is far better with its outputs in another order.

    The order is chosen on every other row and judged on the rest: the best of many orders gains by luck on the rows
    that it was chosen by. It must gain `FAR_BETTER`, with 95% intervals that do not overlap, and be above chance: a
    model that always gives one class would gain by calling it the most frequent one.

    Args:
        logits: (rows, C).
        labels: (rows,): class numbers.

    Returns:
        What was found, with accuracies on all rows; None where the order is right, or the rows do not tell.
    """
    predicted, true, classes = logits.argmax(-1), labels.astype(np.int64), logits.shape[1]
    if not 2 <= classes <= MOST_CLASSES or len(true) < 2:
        return None
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (true[::2], predicted[::2]), 1)
    order = best_order(confusion)
    as_taken, reordered = predicted == true, predicted == np.array(order)[true]
    rest = slice(1, None, 2)
    if not _far_better(as_taken[rest], reordered[rest], np.bincount(true[rest], minlength=classes).tolist()):
        return None
    return Misorder(order, float(as_taken.mean()), float(reordered.mean()))


def _far_better(as_taken: NDArray[np.bool_], reordered: NDArray[np.bool_], label_counts: Sequence[int]) -> bool:
    rows, accuracy, better = len(as_taken), float(as_taken.mean()), float(reordered.mean())
    apart = wilson_interval(better, rows)[0] > wilson_interval(accuracy, rows)[1]
    return better - accuracy >= FAR_BETTER and apart and not near_chance(better, label_counts)
