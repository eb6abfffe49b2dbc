"""The two-step top k against a full sort, with many ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.top_k import GROUP, MARGIN, _rounded, top_of_all, top_probabilities
from glove import round_significant


def full_sort(logits, normaliser, k):
    ids, scores = [], []
    for row, norm in zip(logits, normaliser, strict=True):
        chances = torch.exp(row - norm).tolist()
        ranked = sorted((-float(f"{chance:.2e}"), place) for place, chance in enumerate(chances) if chance > 0)[:k]
        ids.append([place for _, place in ranked] + [-1] * (k - len(ranked)))
        scores.append([-chance for chance, _ in ranked] + [0.0] * (k - len(ranked)))
    return ids, scores


def top(logits, normaliser, k):
    """As the head does it: rows whose tie may go on are looked at whole."""
    ids, scores, tied = top_probabilities(logits, normaliser, k)
    ids[tied], scores[tied] = top_of_all(logits[tied], normaliser[tied], k)
    return ids.numpy(), scores.numpy()


def check(logits, k):
    normaliser = torch.logsumexp(torch.where(torch.isinf(logits), 0.0, logits), dim=1)
    ids, scores = top(logits, normaliser, k)
    expected_ids, expected_scores = full_sort(logits, normaliser, k)
    assert ids.dtype == np.int32
    assert scores.dtype == np.float32
    assert ids.tolist() == expected_ids
    np.testing.assert_allclose(scores, np.array(expected_scores, dtype=np.float32), rtol=1e-6)


@settings(deadline=None, max_examples=80)
@given(
    rows=st.integers(1, 4),
    size=st.one_of(st.integers(1, 80), st.integers(2000, 4000)),
    k=st.integers(1, 30),
    levels=st.integers(1, 200),
    barred=st.sampled_from([0.0, 0.3, 0.99, 1.0]),
    seed=st.integers(0, 1000),
)
def test_equals_a_full_sort(rows, size, k, levels, barred, seed):
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.integers(0, levels, (rows, size)).astype(np.float32) / 16)
    logits[torch.from_numpy(random.random((rows, size)) < barred)] = -torch.inf
    check(logits, k)


@pytest.mark.parametrize("size", [GROUP * 40, GROUP * 40 + 1, GROUP * 40 - 1])
def test_all_equal_takes_the_lowest_ids(size):
    check(torch.zeros(2, size), 20)


def test_a_tie_that_only_rounding_makes_goes_by_id():
    logits = torch.full((1, 3000), -20.0)
    logits[0, 2999], logits[0, 7] = 1.0, 1.0 - 1e-6
    ids, scores = top(logits, torch.logsumexp(logits, 1), 2)
    assert ids.tolist() == [[7, 2999]]
    assert scores[0, 0] == scores[0, 1]


def test_a_tie_at_the_cut_beyond_what_is_looked_at():
    # Fewer high values than k, then more equal ones than the margin: the lowest ids among all of them win.
    logits = torch.zeros(1, 4000)
    logits[0, 3000:3005] = 5.0
    logits[0, :100] = -1.0
    ids, _ = top(logits, torch.logsumexp(logits, 1), 10)
    assert ids.tolist() == [[3000, 3001, 3002, 3003, 3004, 100, 101, 102, 103, 104]]
    assert MARGIN < 3900


def test_one_crowded_group():
    logits = torch.zeros(1, GROUP * 100)
    logits[0, GROUP * 50 : GROUP * 51] = torch.arange(GROUP) * 0.125 + 1
    check(logits, 25)


def test_no_rows():
    ids, scores = top(torch.zeros(0, 50), torch.zeros(0), 5)
    assert ids.shape == scores.shape == (0, 5)


def test_rounding_is_that_of_the_vectors_bit_by_bit():
    random = np.random.default_rng(0)
    numbers = np.concatenate([np.exp(random.uniform(-103, 0, 200_000)), random.random(1000), [0.0, 1.0, 1e-45, 0.0995]])
    numbers = np.concatenate([numbers, np.arange(1000, 10_000) / 1e4 + 5e-5]).astype(np.float32)
    assert _rounded(torch.from_numpy(numbers)).numpy().tobytes() == round_significant(numbers, 3).tobytes()
