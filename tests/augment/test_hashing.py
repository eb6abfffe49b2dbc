"""The counter hash: test vectors, the plain big-integer form, and sanity of its numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.hashing import absorb, below, seeded, text_numbers, uniform
from tests.oracles import plain_words as oracle

# counters (seed, source_idx, column, variant, start of the word, purpose) -> state; docs/format.md quotes these
VECTORS = [
    ((0,), 0xE220A8397B1DCDAF, 0.8833108082136426, 17),
    ((42,), 0x07DC930B302278A8, 0.030709448081447266, 0),
    ((18446744073709551615,), 0x0000000000000000, 0.0, 0),
    ((42, 0, 0, 1, 0, 0), 0x3D37D41196D1625E, 0.23913312367841888, 4),
    ((42, 0, 0, 1, 0, 1), 0x8F1814FB5D1F6289, 0.5589612115555815, 11),
    ((42, 0, 0, 1, 2, 0), 0x000BB51C00A14280, 0.0001786416402227431, 0),
    ((42, 0, 1, 1, 0, 0), 0x56329BF5CC34F027, 0.33670973540229787, 6),
    ((42, 0, 0, 2, 0, 0), 0x9EAEC6685903ABD1, 0.6198543553118855, 12),
    ((42, 1, 0, 1, 0, 0), 0x8A24DED08005D8F6, 0.5396250971826001, 10),
    ((0, 67348, 0, 20, 17, 0), 0xE9C2176DE86A9E35, 0.9131178515748765, 18),
    ((7, 1000000, 1, 40, 511, 3), 0x892BE184F464D4D5, 0.5358258199306818, 10),
    ((42, 0xA53462348E1774B0, 0, 1, 2, 0), 0xDC272CA99BF49E36, 0.859972754868027, 17),
    ((42, 0xA53462348E1774B0, 0, 1, 2, 1), 0x7A9826315A38B4DA, 0.4788841124047589, 9),
    ((42, 0xA53462348E1774B1, 0, 1, 2, 0), 0xECDC5BCCD6109A88, 0.9252374053085667, 18),
    ((42, 0xA53462348E1774B1, 0, 1, 2, 1), 0xCAF1827B0C274180, 0.7927476454171059, 15),
]
# text -> its number; docs/format.md quotes the first
TEXT_NUMBERS = [
    ("a gripping film", 0xA53462348E1774B0),
    ("", 0xB4B2797457A0A6E4),
    ("Ünïcode 中文", 0x7A1185D2F7D62427),
]
COUNTER = st.integers(0, 2**64 - 1)


def state_of(seed, *counters):
    state = seeded(seed)
    for counter in counters:
        state = absorb(state, np.array([counter], dtype=np.uint64))
    return state


@pytest.mark.parametrize(("counters", "state", "number", "choice"), VECTORS)
def test_vectors(counters, state, number, choice):
    found = state_of(*counters)
    assert int(found[0]) == state
    assert float(uniform(found)[0]) == number
    assert int(below(found, np.array([20]))[0]) == choice


@settings(deadline=None)
@given(st.lists(COUNTER, min_size=1, max_size=6), st.integers(1, 2**31 - 1))
def test_equals_big_integers(counters, bound):
    state = state_of(*counters)
    expected = oracle.hash_of(*counters)
    assert int(state[0]) == expected
    assert float(uniform(state)[0]) == oracle.uniform(expected)
    assert int(below(state, np.array([bound]))[0]) == oracle.below(expected, bound)


@pytest.mark.parametrize(("text", "number"), TEXT_NUMBERS)
def test_numbers_of_texts(text, number):
    numbers = text_numbers([text, "other", text, text])
    assert numbers.dtype == np.uint64
    assert numbers[[0, 2, 3]].tolist() == [number, number + 1, number + 2]
    assert numbers[1] == text_numbers(["other"])[0]


def test_numbers_of_equal_texts_wrap_round(monkeypatch):
    class Highest:
        def digest(self):
            return b"\xff" * 8

    monkeypatch.setattr("augment.hashing.hashlib.blake2b", lambda *_, **__: Highest())
    assert text_numbers(["x", "x", "x"]).tolist() == [2**64 - 1, 0, 1]


def test_shapes_broadcast():
    states = absorb(np.arange(3, dtype=np.uint64)[:, None], np.arange(4, dtype=np.int32)[None])
    assert states.shape == (3, 4)
    assert int(states[2, 3]) == oracle.absorb(2, 3)


def test_different_values_give_different_states():
    assert len(np.unique(absorb(seeded(1), np.arange(100_000)))) == 100_000


@pytest.mark.parametrize("counter", range(6))
def test_every_counter_alone_gives_uniform_numbers(counter):
    # 64 bins of 64,000 numbers that differ in one counter only: chi-squared with 63 degrees of freedom.
    count = 64_000
    state = np.zeros(1, dtype=np.uint64)
    for place in range(6):
        state = absorb(state, np.arange(count) if place == counter else np.array([3]))
    numbers = uniform(state)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    bins = np.bincount((numbers * 64).astype(int), minlength=64)
    chi_squared = float(((bins - count / 64) ** 2 / (count / 64)).sum())
    assert 20 < chi_squared < 130  # 6 sigma, and not too even either
    correlation = np.corrcoef(numbers[1:], numbers[:-1])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(count)


def test_the_uniform_number_is_never_one():
    highest = np.array([2**64 - 1], dtype=np.uint64)
    assert float(uniform(highest)[0]) == 1 - 2.0**-53
    assert int(below(highest, np.array([20]))[0]) == 19
    assert float(uniform(np.zeros(1, dtype=np.uint64))[0]) == 0
