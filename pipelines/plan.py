"""Who does what: numbers of unique texts, parts of about equal cost, shards of equal rows. Pure functions."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

PART_COST = 150_000  # estimated masked-LM tokens of a part at most: 40 s of a CPU core with a 6 x 384 model
MOST_PARTS = 5_000  # huge inputs get larger parts instead of more
WINDOW = 512


def text_id(*texts: str) -> bytes:
    """Digest of a text, with the partner it is seen with if there is one.

    Args:
        texts: the text and, with `pair_context`, its partner.

    Returns:
        16 bytes: BLAKE2b-128 over the UTF-8 texts, each after its length in bytes as 8 bytes, little endian.
    """
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


def number_texts(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers distinct texts by first occurrence.

    Args:
        ids: uint64 (T, 2) digests of T texts.

    Returns:
        The number of each text, int32 (int64 from 2^31 texts on) (T,), and bool (T,) whether it occurs there for
        the first time. At its peak it takes less than 64 bytes a text, the digests included.
    """
    if not len(ids):
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=bool)
    small = np.int32 if len(ids) < 2**31 else np.int64
    order, new = _sorted_digests(ids)
    firsts = np.empty(len(ids), dtype=bool)
    firsts[order] = new
    rank_of_first = np.cumsum(firsts, dtype=small) - 1  # by position in the input
    number_of_group = rank_of_first[order[new]]
    del rank_of_first
    group = np.cumsum(new, dtype=small) - 1  # of each sorted text
    numbers = np.empty(len(ids), dtype=small)
    numbers[order] = number_of_group[group]
    return numbers, firsts


def _sorted_digests(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order in which equal digests stand together, earlier occurrences first, and where each group begins."""
    order = np.argsort(ids[:, 0], kind="stable")
    new = np.ones(len(ids), dtype=bool)
    np.not_equal(ids[order[1:], 0], ids[order[:-1], 0], out=new[1:])
    repeated = np.flatnonzero(~new)
    if np.any(ids[order[repeated], 1] != ids[order[repeated - 1], 1]):
        # Two digests share their first half: sort by both. Never seen; kept so that the result is always right.
        order = np.lexsort((ids[:, 1], ids[:, 0]))
        new[1:] = np.any(ids[order[1:]] != ids[order[:-1]], axis=1)
    return order, new


def text_costs(sizes: np.ndarray, spacing: int) -> np.ndarray:
    """Estimated masked-LM tokens of texts: words x tokens (design section 4), from their sizes alone.

    Args:
        sizes: int64 (T,) UTF-8 bytes; English has about 5.5 a word and 4.5 a WordPiece.
        spacing: words at least that far apart share a pass; 0 for one a pass.

    Returns:
        float64 (T,).
    """
    words = sizes / 5.5 + 1
    passes = np.minimum(words, spacing) if spacing else words
    return passes * np.minimum(sizes / 4.5 + 2, WINDOW)


@dataclass
class PartCutter:
    """Cuts a stream of texts into contiguous parts of about equal cost.

    Args:
        target: cost at which a part ends.
    """

    target: float
    texts: int = 0
    cost: float = 0.0

    def __post_init__(self) -> None:
        self.bounds: list[int] = [0]

    def add(self, costs: np.ndarray) -> None:
        """Takes the costs of the next texts."""
        for cost in costs.tolist():
            self.cost += cost
            self.texts += 1
            if self.cost >= self.target * (1 - 1e-9):  # sums of floats
                self.bounds.append(self.texts)
                self.cost = 0.0

    def finish(self) -> list[int]:
        """Bounds of the parts: part i holds the texts from bounds[i] up to bounds[i + 1]."""
        if self.bounds[-1] < self.texts or len(self.bounds) == 1:
            self.bounds.append(self.texts)
        return self.bounds


def part_target(total_cost: float) -> float:
    """Cost of a part for a job of some total cost: as many equal parts as PART_COST asks for."""
    parts = min(max(math.ceil(total_cost / PART_COST), 1), MOST_PARTS)
    return total_cost / parts


def shard_bounds(rows: int, shard_rows: int) -> list[int]:
    """Bounds of the output shards: shard i holds the rows from bounds[i] up to bounds[i + 1]."""
    return [*range(0, rows, shard_rows), rows]


def part_of(bounds: list[int], numbers: np.ndarray) -> np.ndarray:
    """The part that holds each numbered text: int64, same shape."""
    return np.searchsorted(np.array(bounds), numbers, side="right") - 1
