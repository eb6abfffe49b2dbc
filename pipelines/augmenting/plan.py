"""Who does what: parts of about equal cost, shards of equal rows. Pure functions."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from augment.presets import DrawSettings

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


def rows_of_example(settings: DrawSettings, columns: int) -> int:
    """Rows that an example makes at most: itself and its variants.

    Args:
        settings: n and pairs are read.
        columns: text columns; pairs `each` varies one after the other.
    """
    return settings.n * (columns if settings.pairs == "each" else 1) + 1


def shard_bounds(rows: int, shard_rows: int) -> list[int]:
    """Bounds of the output shards: shard i holds the rows from bounds[i] up to bounds[i + 1]."""
    return [*range(0, rows, shard_rows), rows]
