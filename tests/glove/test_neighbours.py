"""Neighbours against a literal sort of the full matrix in double precision."""

from __future__ import annotations

import math
import threading
import time
import tracemalloc
from decimal import ROUND_HALF_EVEN, Context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glove.neighbours as module
from glove import VectorsError, nearest_neighbours, round_significant, similar_words, vectors_from_arrays
from glove.selection import GroupMaxima


def made(vocabulary: int, dimensions: int, seed: int = 0, integers: bool = False):
    random = np.random.default_rng(seed)
    matrix = (
        random.integers(-1, 2, (vocabulary, dimensions)) if integers else random.normal(size=(vocabulary, dimensions))
    )
    return vectors_from_arrays([f"w{number}" for number in range(vocabulary)], matrix)


def oracle(vectors, row: int, k: int):
    wide = vectors.unit_rows.astype(np.float64)
    scores = round_significant(wide @ wide[row])
    others = [other for other in range(len(vectors)) if other != row]
    best = sorted(others, key=lambda other: (-float(scores[other]), other))[:k]
    return best, [float(scores[other]) for other in best]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(1, 9), st.integers(0, 99), st.integers(1, 40), st.booleans())
def test_equals_the_literal_sort(vocabulary, dimensions, seed, k, integers):
    vectors = made(vocabulary, dimensions, seed, integers)
    rows = np.random.default_rng(seed).integers(0, vocabulary, 7)
    ids, scores = nearest_neighbours(vectors, rows, k)
    assert ids.shape == scores.shape == (7, k)
    assert (ids.dtype, scores.dtype) == (np.int32, np.float32)
    for place, row in enumerate(rows):
        best, best_scores = oracle(vectors, int(row), k)
        assert ids[place, : len(best)].tolist() == best
        assert scores[place, : len(best)].tolist() == best_scores
        assert (ids[place, len(best) :] == -1).all()
        assert np.isnan(scores[place, len(best) :]).all()


@pytest.mark.parametrize("integers", [False, True])
def test_equals_the_literal_sort_where_groups_are_used(integers):
    vectors = made(6000, 8, 3, integers)  # ties by the hundred with integers
    rows = np.arange(0, 6000, 190)
    ids, scores = nearest_neighbours(vectors, rows, 10)
    for place, row in enumerate(rows):
        assert (ids[place].tolist(), scores[place].tolist()) == oracle(vectors, int(row), 10)


@pytest.mark.parametrize("margin", [0, 1, 40])
@pytest.mark.parametrize("block", [1, 3, 64])
def test_blocks_grouping_and_margin_do_not_matter(monkeypatch, block, margin):
    vectors = made(5000, 50, 1)
    rows = np.random.default_rng(2).integers(0, 5000, 100)
    whole = nearest_neighbours(vectors, rows, 20)
    monkeypatch.setattr(module, "BLOCK_WORDS", block)
    monkeypatch.setattr(module, "MARGIN", margin)
    parts = [nearest_neighbours(vectors, part, 20) for part in np.array_split(rows, 7)]
    for index in range(2):
        assert np.array_equal(np.concatenate([part[index] for part in parts]), whole[index])


def test_block_and_tile_sizes_change_nothing(monkeypatch):
    vectors = made(3000, 10)
    expected = nearest_neighbours(vectors, np.arange(50), 5)
    monkeypatch.setattr(module, "BLOCK_WORDS", 7)
    monkeypatch.setattr("glove.selection.TILE_WORDS", 512)
    for got, wanted in zip(nearest_neighbours(vectors, np.arange(50), 5), expected, strict=True):
        assert np.array_equal(got, wanted)


def test_many_equal_vectors_come_by_row():
    vectors = vectors_from_arrays([str(n) for n in range(9000)], np.ones((9000, 3)))
    ids, scores = nearest_neighbours(vectors, np.array([2, 8999]), 5)
    assert ids.tolist() == [[0, 1, 3, 4, 5], [0, 1, 2, 3, 4]]
    assert (scores == 1).all()


def test_zero_vectors_score_zero():
    vectors = vectors_from_arrays(["a", "b", "zero"], np.array([[1, 0], [1, 1], [0, 0]]))
    ids, scores = nearest_neighbours(vectors, np.array([2, 0]), 3)
    assert ids.tolist() == [[0, 1, -1], [1, 2, -1]]
    assert scores[:, :2].tolist() == [[0, 0], [pytest.approx(0.707), 0]]


def test_no_queries_and_one_word():
    assert nearest_neighbours(made(5, 2), np.array([], dtype=np.int64), 3)[0].shape == (0, 3)
    assert nearest_neighbours(made(1, 2), np.array([0]), 2)[0].tolist() == [[-1, -1]]


@pytest.mark.parametrize(("rows", "k"), [([0], 0), ([5], 1), ([-1], 1), ([0.5], 1), ([[0]], 1)])
def test_refuses_what_does_not_exist(rows, k):
    with pytest.raises(VectorsError, match="expected"):
        nearest_neighbours(made(5, 2), np.array(rows), k)


@given(st.lists(st.floats(width=32), min_size=1, max_size=20), st.integers(1, 7))
def test_rounding_against_decimal(numbers, digits):
    rounded = round_significant(np.array(numbers, dtype=np.float32), digits)
    assert rounded.dtype == np.float32
    for number, got in zip(numbers, rounded.tolist(), strict=True):
        if not math.isfinite(number):
            assert got == number or (math.isnan(got) and math.isnan(number))
            continue
        exact = Context(prec=digits, rounding=ROUND_HALF_EVEN).create_decimal_from_float(number)
        with np.errstate(over="ignore"):
            assert got == pytest.approx(float(np.float32(float(exact))), rel=2e-7, abs=2e-45)


def test_rounding_is_idempotent_and_monotone():
    numbers = np.sort(np.random.default_rng(0).uniform(-1, 1, 10_000))
    rounded = round_significant(numbers)
    assert np.array_equal(round_significant(rounded), rounded)
    assert (np.diff(rounded) >= 0).all()
    assert not np.signbit(round_significant(np.array([-0.0]))).any()
    assert round_significant(np.array([0.99951, 0.12345, 1e-5 / 3])).tolist() == [
        1.0,
        pytest.approx(0.123, rel=1e-7),
        pytest.approx(3.33e-6, rel=1e-7),
    ]


def test_similar_words_look_up_exactly_then_in_lower_case():
    words = ["Paris", "paris", "london", "berlin", "LONDON"]
    matrix = np.array([[1, 0.0], [0, 1], [1, 0.1], [0.1, 1], [1, 0.2]])
    vectors = vectors_from_arrays(words, matrix)
    exact, lower, upper, unknown = similar_words(vectors, ["Paris", "paris", "PARIS", "rome"], 4)
    assert [word for word, _ in exact] == ["london", "berlin"]  # no case twin of itself, London once
    assert [word for word, _ in lower] == ["berlin", "LONDON"]
    assert upper == lower
    assert unknown == []
    assert exact[0][1] == pytest.approx(0.995)


def test_similar_words_widen_until_the_filter_is_served():
    vectors = made(4000, 6)
    rare = [f"w{n}" for n in range(0, 4000, 400)]
    found = similar_words(vectors, ["w7"], 10, lambda word: word in rare)[0]
    scores = [score for _, score in found]
    assert sorted(word for word, _ in found) == sorted(rare)
    assert scores == sorted(scores, reverse=True)
    assert similar_words(vectors, ["w7"], 3, lambda _: False) == [[]]
    with pytest.raises(VectorsError):
        similar_words(vectors, ["w7"], 0)


@pytest.mark.parametrize("threads", [1, 2, 3, None])
def test_no_more_threads_than_asked_for(monkeypatch, threads):
    """Several workers share a machine: a search that took every core in each of them would be slower for all."""
    from threadpoolctl import threadpool_info

    seen, blas = set(), set()
    original = module._nearest

    def counted(*arguments):
        seen.add(threading.get_ident())
        blas.update(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        time.sleep(0.01)
        return original(*arguments)

    monkeypatch.setattr(module, "_nearest", counted)
    monkeypatch.setattr(module, "BLOCK_WORDS", 5)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: range(4))
    vectors, rows = made(500, 8), np.arange(60)
    ids, _ = nearest_neighbours(vectors, rows, 3, threads)
    assert len(seen) == (threads or 4)
    assert blas == {1}
    assert np.array_equal(ids, nearest_neighbours(vectors, rows, 3)[0])


def test_a_single_block_may_use_the_threads_it_is_given(monkeypatch):
    from threadpoolctl import threadpool_info

    blas = []

    def counted(*_):
        blas.append(max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"))
        return np.zeros((1, 3)), np.zeros((1, 3))

    monkeypatch.setattr(module, "_nearest", counted)
    for threads in (1, 2):
        nearest_neighbours(made(500, 8), np.array([0]), 3, threads)
    assert blas == [1, 2]


def test_vectors_of_survivors_are_copied_in_pieces():
    """All at once they would take 256 x 528 x 300 floats, 160 MB for each thread."""
    unit = np.random.default_rng(0).normal(size=(20_000, 300)).astype(np.float32)
    rows = np.arange(256)
    maxima = GroupMaxima(unit, rows)
    tracemalloc.start()
    words, bound = maxima.survivors(rows, 32)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    scores = unit[rows[:9]] @ unit.T
    scores[np.arange(9), rows[:9]] = -np.inf
    for row, near in enumerate(words[:9]):
        assert set(np.argsort(-scores[row])[:32].tolist()) == set(near.tolist())
        assert bound[row] <= scores[row][near].min() + 1e-3
