"""Confidence intervals of a share or a correlation that was measured on a sample."""

from __future__ import annotations

import math

from distill.errors import DistillError

NORMAL_95 = 1.959963984540054  # the normal distribution has 95% of its mass within so many deviations


def wilson_interval(share: float, rows: int) -> tuple[float, float]:
    """The 95% interval of a binomial share, by Wilson's score.

    It stays within 0 and 1, and has the stated coverage also for few rows and shares near the ends, where the
    plain share ± 1.96 deviations has not. It covers the sample's error alone: a score by which an epoch was chosen is a
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


def correlation_interval(value: float, rows: int) -> tuple[float, float]:
    """The 95% interval of a correlation, by Fisher's transformation: artanh r is nearly normal, deviation 1 / √(n - 3).

    Args:
        value: -1 to 1; Pearson's, and nearly so Spearman's and Matthews' (Pearson's of two classes).
        rows: of the sample.

    Returns:
        Its lower and upper end; -1 and 1 for fewer than 4 rows, which say nothing.

    Raises:
        DistillError: no correlation, or no rows.

    Source: R. A. Fisher, Metron 1 (1921), 3-32.
    """
    if not -1 <= value <= 1 or rows < 1:
        raise DistillError(
            f"expected a correlation from -1 to 1 of at least 1 row; found {value} of {rows}. Correct it."
        )
    if rows < 4:
        return -1.0, 1.0
    if abs(value) == 1:
        return value, value
    spread = NORMAL_95 / math.sqrt(rows - 3)
    return math.tanh(math.atanh(value) - spread), math.tanh(math.atanh(value) + spread)
