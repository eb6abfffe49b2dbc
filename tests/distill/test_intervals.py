"""95% intervals of shares and correlations."""

from __future__ import annotations

import pytest

from distill.errors import DistillError
from distill.intervals import correlation_interval, wilson_interval


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    [
        # By hand, with z² = 3.8415: middle (p + z²/2n) / (1 + z²/n), spread z √(p(1-p)/n + z²/4n²) / (1 + z²/n).
        (5, 10, 0.2366, 0.7634),  # 0.5 / 1 · and 1.96 · √(0.025 + 0.0096) / 1.38415 = 0.2634
        (10, 10, 0.7225, 1.0),  # n / (n + z²)
        (0, 10, 0.0, 0.2775),  # z² / (n + z²)
        (81, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17 (1998), table I
        (15, 148, 0.0624, 0.1605),  # likewise
        (0, 20, 0.0, 0.1611),  # likewise
        (1, 29, 0.0061, 0.1718),  # likewise
    ],
)
def test_interval_is_wilson_s(right, rows, low, high):
    assert wilson_interval(right / rows, rows) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("share", "rows"), [(1.01, 10), (-0.1, 10), (float("nan"), 10), (0.5, 0)])
def test_what_is_no_share_is_refused(share, rows):
    with pytest.raises(DistillError, match="from 0 to 1"):
        wilson_interval(share, rows)


@pytest.mark.parametrize(
    ("value", "rows", "low", "high"),
    [
        # By hand: tanh(artanh r ± 1.96 / √(n - 3)).
        (0.0, 103, -0.1935, 0.1935),  # tanh 0.196
        (0.5, 28, 0.1560, 0.7358),  # tanh(0.5493 ± 0.3920)
        (-0.5, 28, -0.7358, -0.1560),
        (1.0, 10, 1.0, 1.0),
        (0.99, 3, -1.0, 1.0),
    ],
)
def test_interval_is_fisher_s(value, rows, low, high):
    assert correlation_interval(value, rows) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("value", "rows"), [(1.01, 10), (float("nan"), 10), (0.5, 0)])
def test_what_is_no_correlation_is_refused(value, rows):
    with pytest.raises(DistillError, match="from -1 to 1"):
        correlation_interval(value, rows)
