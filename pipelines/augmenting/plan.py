"""Who does what: parts of about equal cost, shards of equal rows. Pure functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from augment.draw import DrawEach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from augment.presets import DrawSettings

PART_COST = 150_000  # estimated masked-LM tokens of a part at most: 40 s of a CPU core with a 6 x 384 model
GPU_PART_COST = 2_000_000  # the same on a GPU: 30 batches of 65,536 tokens, and nine parts of SST-2 for several cards
MOST_PARTS = 5_000  # huge inputs get larger parts instead of more
WINDOW = 512


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


def usual_part_tokens(device: str) -> int:
    """Estimated masked-LM tokens of a part where nobody chose them.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
    """
    return GPU_PART_COST if device.startswith("cuda") else PART_COST


def part_bounds(costs: Iterable[float], total: float, part_tokens: int) -> list[int]:
    """Cuts texts into contiguous parts of about equal cost.

    Args:
        costs: of each text, in estimated masked-LM tokens.
        total: cost that the number of parts follows from.
        part_tokens: cost of a part at most.

    Returns:
        Part i holds the texts from bounds[i] up to bounds[i + 1].
    """
    target = total / min(max(math.ceil(total / part_tokens), 1), MOST_PARTS)
    bounds, texts, spent, enough = [0], 0, 0.0, target * (1 - 1e-9)  # sums of floats
    for texts, cost in enumerate(costs, start=1):
        spent += cost
        if spent >= enough:
            bounds.append(texts)
            spent = 0.0
    return bounds if bounds[-1] == texts and len(bounds) > 1 else [*bounds, texts]


def varied_texts(settings: DrawSettings, columns: int) -> int:
    """Texts of an example that are varied one after the other.

    Args:
        settings: pairs are read.
        columns: text columns.
    """
    return columns if settings.pairs == "each" else 1


def rows_of_example(settings: DrawSettings, columns: int) -> int | np.ndarray:
    """Rows that an example makes at most, itself and its variants; of `DrawEach` int64 (R,).

    Args:
        settings: n, or the numbers of `DrawEach`, and pairs are read.
        columns: text columns; pairs `each` varies one after the other.
    """
    each = settings.each if isinstance(settings, DrawEach) else settings.n
    return each * varied_texts(settings, columns) + 1


def shard_bounds(rows: int, shard_rows: int) -> list[int]:
    """Bounds of the output shards: shard i holds the rows from bounds[i] up to bounds[i + 1]."""
    return [*range(0, rows, shard_rows), rows]
