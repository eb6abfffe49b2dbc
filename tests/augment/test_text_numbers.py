"""Numbers of distinct texts, and digests of held-out ones."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from augment.held_out import HeldOut
from augment.text_numbers import TextNumbers

BATCH = 512


def batches(texts: int, distinct: int, seed: int = 0) -> list[np.ndarray]:
    """Digests of `texts` texts, `distinct` at most, in an order of chance; some end in NULs, some share a half."""
    chance = np.random.default_rng(seed)
    pool = chance.integers(0, 2**63, (distinct, 2), dtype=np.uint64)
    pool[::3, 1] &= np.uint64(0xFFFF)
    pool[::5, 0] = pool[0, 0]
    drawn = pool[chance.integers(0, distinct, texts)]
    return [drawn[first : first + BATCH] for first in range(0, texts, BATCH)]


@pytest.mark.parametrize(("texts", "distinct"), [(1, 1), (5000, 5000), (20_000, 3000), (20_000, 7)])
def test_numbers_are_those_of_first_occurrence(texts, distinct):
    known: dict[bytes, int] = {}
    numbers = TextNumbers()
    for ids in batches(texts, distinct):
        expected = []
        for one in ids:
            new = one.tobytes() not in known
            expected.append((known.setdefault(one.tobytes(), len(known)), new))
        found, firsts = numbers.add(ids)
        assert list(zip(found.tolist(), firsts.tolist(), strict=True)) == expected
    assert numbers.count == len(known)


@pytest.mark.parametrize("repeats", [1, 2, 20])
def test_memory_is_bounded_by_the_number_of_distinct_texts(repeats):
    distinct = 2**16  # the longest merge comes last: the peak
    chance = np.random.default_rng(0)
    pool = chance.integers(0, 2**63, (distinct, 2), dtype=np.uint64)
    order = np.concatenate([chance.permutation(distinct) for _ in range(repeats)])
    numbers = TextNumbers()
    tracemalloc.start()
    try:
        for first in range(0, len(order), BATCH):
            numbers.add(pool[order[first : first + BATCH]])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert numbers.count == distinct
    assert peak / distinct < 60


TEXTS = ["", "a", "film", "film\0", "eight by", "the film was good", "the film was bad ok", "ünï ☃", "x" * 10_000]


def test_held_out_texts_are_found_and_no_others():
    leaks = HeldOut(pa.table({"text": TEXTS}))
    assert leaks.contains([pa.array(TEXTS)]).all()
    others = ["b", "fil", "film ", "film\0\0", "the film Xas good", "the film was good!", "ünï ☄", "x" * 9_999, " "]
    assert not leaks.contains([pa.array(others)]).any()
    both = pa.array([*others, *TEXTS])
    assert leaks.contains([both]).tolist() == [False] * len(others) + [True] * len(TEXTS)
    assert leaks.contains([both.slice(3, 8)]).tolist() == leaks.contains([both]).tolist()[3:11]
    assert leaks.contains([pa.array([], pa.string())]).tolist() == []


def test_pairs_are_held_out_together():
    leaks = HeldOut(pa.table({"one": ["a", "b", "ab", ""], "two": ["x", "y", "", "ab"]}))
    one, two = ["a", "b", "a", "b", "ab", "", "a", ""], ["x", "y", "y", "x", "", "ab", "b", ""]
    found = leaks.contains([pa.array(one), pa.array(two)]).tolist()
    assert found == [True, True, False, False, True, True, False, False]


@pytest.mark.parametrize("texts", [pa.array([], pa.string()), pa.chunked_array([], pa.string())])
def test_without_held_out_texts_nothing_leaks(texts):
    assert not HeldOut(pa.table({"text": texts})).contains([pa.array(["a", ""])]).any()
