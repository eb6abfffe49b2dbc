"""How far a share measured on a sample may be from the truth."""

from __future__ import annotations

import math

from distill.errors import DistillError

NORMAL_95 = 1.959963984540054  # the normal distribution has 95% of its mass within so many deviations


def wilson_interval(share: float, rows: int) -> tuple[float, float]:
    """The 95% interval of a binomial share, by Wilson's score.

    It stays within 0 and 1, and has the stated coverage also for few rows and shares near the ends, where the
    plain share ± 1.96 deviations has not. It tells of the sample alone: a score by which an epoch was chosen is a
    little too high besides.

    Args:
        share: such as an accuracy, 0 to 1.
        rows: of the sample.

    Returns:
        Its lower and upper end.

    Raises:
        DistillError: no share, or no rows.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    if not 0 <= share <= 1 or rows < 1:
        raise DistillError(f"expected a share from 0 to 1 of at least 1 row; found {share} of {rows}. Correct them.")
    square = NORMAL_95**2
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    spread = NORMAL_95 * math.sqrt(share * (1 - share) / rows + square / (4 * rows**2)) / (1 + square / rows)
    return max(0.0, middle - spread), min(1.0, middle + spread)
