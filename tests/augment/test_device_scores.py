"""A GPU's way to neighbours, on a processor's tensors: the same neighbours and scores, bit for bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from augment import device_scores, precision, similar
from augment.device_scores import OutOfMemoryError, VectorsOnDevice, full_precision
from augment.similar import SimilarWords
from glove import nearest_neighbours, vectors_from_arrays
from glove.selection import GroupMaxima
from tests.augment.helpers import tiny_lm, tiny_vectors
from tests.devices import DEVICES
from tests.fixtures import GLOVE_WORDS


def made(kind: str, vocabulary: int = 3000, dimensions: int = 20):
    random = np.random.default_rng(7)
    matrix = random.normal(size=(vocabulary, dimensions))
    if kind == "ties":
        matrix = random.integers(-1, 2, (vocabulary, 4))
    if kind == "near":  # hundreds of words within a rounding step of each other
        matrix = np.ones((vocabulary, dimensions)) + random.normal(scale=1e-3, size=(vocabulary, dimensions))
    return vectors_from_arrays([f"w{number}" for number in range(vocabulary)], matrix)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["usual", "ties", "near"])
def test_equals_the_search_without_it(kind, device):
    vectors, rows = made(kind), np.random.default_rng(1).integers(0, 3000, 300)
    expected = nearest_neighbours(vectors, rows, 20, 1)
    with full_precision():
        found = nearest_neighbours(vectors, rows, 20, 2, VectorsOnDevice(vectors.unit_rows, device))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_survivors_are_the_best_but_the_word_itself():
    vectors, rows = made("usual", 400), np.array([5, 399, 0])
    scores = VectorsOnDevice(vectors.unit_rows, "cpu")(vectors.unit_rows, rows)
    assert scores.most == 399
    for which in (np.array([0, 1, 2]), np.array([1])):
        words, bound = scores.survivors(which, 30)
        assert (words.shape, bound.dtype) == ((len(which), 30), np.float64)
        for row, own, lowest in zip(rows[which], words, bound, strict=True):
            every = vectors.unit_rows @ vectors.unit_rows[row]
            assert row not in own
            left_out = np.setdiff1d(np.arange(400), [*own, row])
            assert every[left_out].max() <= lowest + 1e-6


def test_products_are_in_full_precision_and_the_setting_is_put_back():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_another_thread_that_wants_tf32_waits(monkeypatch):
    # Without a card: what gpu_kernels does on one, as far as the precision goes.
    monkeypatch.setattr(precision, "_is_gpu", lambda _: True)
    inside = threading.Event()

    def in_tf32():
        with precision.gpu_kernels("tf32", torch.device("cuda")):
            inside.set()

    other = threading.Thread(target=in_tf32)
    with full_precision():
        other.start()
        assert not inside.wait(0.2)
        assert torch.get_float32_matmul_precision() == "highest"
    other.join()
    assert inside.is_set()


def lookup(device):
    return SimilarWords(tiny_vectors(), tiny_lm().splitter, 5, False, device=device)


def test_many_words_are_looked_up_on_the_device_and_few_are_not(monkeypatch):
    multiplied = []

    class Watched(VectorsOnDevice):
        def __call__(self, unit, rows):
            multiplied.append(torch.get_float32_matmul_precision())
            return super().__call__(unit, rows)

    monkeypatch.setattr(device_scores, "VectorsOnDevice", Watched)
    expected = lookup("cpu").of(GLOVE_WORDS)
    assert lookup("cpu:0").of(GLOVE_WORDS) == expected  # torch's name for the processor that is not our own
    assert multiplied == []
    monkeypatch.setattr(similar, "DEVICE_WORDS", 4)
    unknown = ["qqqqa", "qqqqb", "qqqqc"]
    assert lookup("cpu:0").of([*GLOVE_WORDS[:3], *unknown]) == lookup("cpu").of([*GLOVE_WORDS[:3], *unknown])
    assert multiplied == []  # six words, three of which ask for nothing
    assert lookup("cpu:0").of(GLOVE_WORDS) == expected
    assert multiplied == ["highest"]


def test_a_device_without_room_leaves_it_to_the_processor(monkeypatch):
    def full(*_):
        raise OutOfMemoryError("no room")

    monkeypatch.setattr(similar, "DEVICE_WORDS", 4)
    for name in ("VectorsOnDevice", "DeviceScores"):
        with monkeypatch.context() as patch:
            patch.setattr(device_scores, name, full)
            assert lookup("cpu:0").of(GLOVE_WORDS) == lookup("cpu").of(GLOVE_WORDS)


def test_both_ways_promise_the_same():
    vectors, rows = made("usual", 6000), np.array([3, 77])
    ours = VectorsOnDevice(vectors.unit_rows, "cpu")(vectors.unit_rows, rows)
    for scores in (ours, GroupMaxima(vectors.unit_rows, rows)):
        words, _ = scores.survivors(np.array([0, 1]), 20)
        exact = vectors.unit_rows.astype(np.float64) @ vectors.unit_rows[rows].astype(np.float64).T
        exact[rows, [0, 1]] = -1
        assert [set(best) for best in words.tolist()] == [set(np.argsort(-exact[:, one])[:20]) for one in (0, 1)]
