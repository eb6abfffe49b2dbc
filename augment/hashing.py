"""Counter-based random numbers: every draw is a hash of what it is for (design section 5).

A draw has no generator behind it, so any variant of any example can be computed alone and in any order.
`docs/format.md` gives test vectors.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ONE = np.uint64(1)


def absorb(state: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Mixes one more counter into states: SplitMix64's finaliser on `state + GOLDEN (value + 1)`, modulo 2^64.

    Args:
        state: uint64, any shape.
        value: integers, taken modulo 2^64, of a shape that broadcasts with it.

    Returns:
        uint64 of the common shape; for a fixed state, different values give different results.
    """
    mixed = state + GOLDEN * (value.astype(np.uint64) + _ONE)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def seeded(seed: int) -> np.ndarray:
    """The state that a seed starts from, uint64 (1,)."""
    return absorb(np.zeros(1, dtype=np.uint64), np.array([seed], dtype=np.uint64))


def uniform(state: np.ndarray) -> np.ndarray:
    """States as float64 in [0, 1): their upper 53 bits."""
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(state: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """States as int64 in [0, bound): their upper 32 bits times the bound, divided by 2^32.

    Args:
        state: uint64.
        bound: positive integers below 2^31.
    """
    return (((state >> np.uint64(32)) * bound.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def text_numbers(texts: Sequence[str]) -> np.ndarray:
    """The number that each text of a call is drawn by, in place of a row number.

    Args:
        texts: T texts of one call.

    Returns:
        uint64 (T,): BLAKE2b of the UTF-8 bytes, 8 bytes long and read as little endian, plus the number of equal
        texts earlier in the call, modulo 2^64.
    """
    hashes: dict[str, int] = {}
    numbers = []
    for text in texts:
        if text not in hashes:
            hashes[text] = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        numbers.append(hashes[text])
        hashes[text] = (hashes[text] + 1) % 2**64
    return np.array(numbers, dtype=np.uint64)
