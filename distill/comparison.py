"""A student's results beside its teacher's: intervals, results that guessing reaches, and the share that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill.guessing import find_guess
from distill.intervals import wilson_interval
from distill.metrics import Metric, Scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray


SHARES = (Metric.ACCURACY, Metric.EXACT)  # of rows


@dataclass(frozen=True)
class Comparison:
    """Results of "teacher" and "student", the models.

    Attributes:
        dev: model -> dev part -> metric -> value.
        dev_rows: dev part -> its rows.
        intervals: model -> dev part -> metric -> 95% interval, of the metrics that are shares of rows (`SHARES`).
        near_chance: model -> the dev parts where guessing may be as good.
        below_chance: model -> those of them where it is worse than the guess; None where there are none.
        kept: dev part -> metric -> the student's share of its teacher's value. A part where one of them may be as good
            as a guess has none, for it would tell nothing.
    """

    dev: dict[str, Scores]
    dev_rows: dict[str, int]
    intervals: dict[str, dict[str, dict[str, tuple[float, float]]]]
    near_chance: dict[str, list[str]]
    kept: Scores
    below_chance: dict[str, list[str]] | None = None


def compare_models(
    teacher: Scores, student: Scores, labels: Mapping[str, NDArray[np.generic]], names: Sequence[str]
) -> Comparison:
    """Compares a student with its teacher.

    Args:
        teacher: its results.
        student: its results.
        labels: dev part -> (rows,): class numbers, or scores.
        names: class names, by number; empty for scores.
    """
    dev = {"teacher": teacher, "student": student}
    guesses = {
        model: {part: guess for part, found in scores.items() if (guess := find_guess(found, labels[part], names))}
        for model, scores in dev.items()
    }
    near = {model: list(found) for model, found in guesses.items()}
    below = {model: [part for part, guess in found.items() if guess.below] for model, found in guesses.items()}
    told = [part for part in student if part in teacher and part not in (*near["teacher"], *near["student"])]
    return Comparison(
        dev,
        {part: len(found) for part, found in labels.items()},
        {model: _intervals(scores, labels) for model, scores in dev.items()},
        near,
        {part: _shares(student[part], teacher[part]) for part in told},
        below if any(below.values()) else None,
    )


def _shares(student: Mapping[str, float], teacher: Mapping[str, float]) -> dict[str, float]:
    """The student's share of each of its teacher's scores; of a threshold there is none."""
    told = [name for name in student if teacher.get(name) and not name.endswith("_thresh")]
    return {name: student[name] / teacher[name] for name in told}


def _intervals(scores: Scores, labels: Mapping[str, NDArray[np.generic]]) -> dict[str, dict[str, tuple[float, float]]]:
    return {
        part: {str(name): wilson_interval(found[name], len(labels[part]))}
        for part, found in scores.items()
        for name in SHARES
        if name in found
    }
