"""What guessing reaches: a model whose result is no better may have learnt nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distill.intervals import correlation_interval, wilson_interval
from distill.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

NEAR_CHANCE = 0.02  # an accuracy this close to a constant guess's says that a model has learnt next to nothing
WEAK = 0.1  # the same of a correlation


@dataclass(frozen=True)
class Guess:
    """A guess that is about as good as a model, or better; as text `near chance (always positive: 0.5200)`.

    Attributes:
        below: the model is worse than the guess, as one whose classes are swapped is, not just near it.
        reached: what the guess reaches, in words.
    """

    below: bool
    reached: str

    def __str__(self) -> str:
        return f"{'below' if self.below else 'near'} chance ({self.reached})"


def find_guess(found: Mapping[str, float], labels: NDArray[np.generic], names: Sequence[str]) -> Guess | None:
    """Compares a model's result with guessing.

    An accuracy is compared with always giving the most frequent label. A task that is judged by Matthews' correlation
    is compared by that, and scores by the better of their correlations. Answers are compared with giving none.

    Args:
        found: metric -> value.
        labels: (rows,): class numbers, or scores; of SQuAD 1 for a question with an answer, 0 for one without.
        names: class names, by number; empty for scores.

    Returns:
        The guess; None where the model is better.
    """
    rows = len(labels)
    if Metric.EXACT in found:
        return _silence(found[Metric.EXACT], labels)
    if not names or Metric.MATTHEWS in found:
        value = found[Metric.MATTHEWS] if names else max(found.values())
        return Guess(not uncorrelated(-value, rows), "guessing: 0") if uncorrelated(value, rows) else None
    counts: list[int] = np.bincount(labels.astype(np.int64), minlength=len(names)).tolist()
    accuracy, guess = found[Metric.ACCURACY], max(counts) / rows
    if not near_chance(accuracy, counts):
        return None
    return Guess(accuracy < guess - NEAR_CHANCE, f"always {names[int(np.argmax(counts))]}: {guess:.4f}")


def _silence(exact: float, labels: NDArray[np.generic]) -> Guess | None:
    """Whether answering no question may be as good."""
    idle = 1 - float(labels.mean())
    if wilson_interval(exact, len(labels))[0] > idle:
        return None
    return Guess(exact < idle, f"no answer to any: {idle:.4f}")


def near_chance(accuracy: float, label_counts: Sequence[int]) -> bool:
    """Whether an accuracy may be no better than always guessing the most frequent label.

    Args:
        accuracy: on a dev part.
        label_counts: its rows of each class.

    Returns:
        Whether the guess's accuracy is within the 95% interval, above it, or closer than `NEAR_CHANCE`.
    """
    rows = sum(label_counts)
    guess = max(label_counts) / rows
    return accuracy <= guess + NEAR_CHANCE or wilson_interval(accuracy, rows)[0] <= guess


def uncorrelated(correlation: float, rows: int) -> bool:
    """Whether a correlation with the labels may be 0: 0 is within its 95% interval, or it is below `WEAK`."""
    return correlation < WEAK or correlation_interval(correlation, rows)[0] <= 0
