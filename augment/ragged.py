"""Rows of different lengths laid end to end in one flat array: an offset tells where each begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


def offsets_of(counts: np.ndarray | list[int]) -> np.ndarray:
    """Where rows begin, and where the last one ends.

    Args:
        counts: (R,) length of each row.

    Returns:
        int64 (R + 1,).
    """
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def ragged(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of ragged rows laid end to end.

    Args:
        starts: int64 (R,) first index of each row.
        counts: int64 (R,) its length.

    Returns:
        int64 (sum of counts,): the row of each element, and the element's index.
    """
    row = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return row, np.arange(len(row)) + np.repeat(starts - first, counts)


def gathered(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some rows, laid end to end.

    Args:
        offsets: int64 (R + 1,) of all rows.
        rows: int64 (S,) numbers of those wanted.

    Returns:
        The index of each element, and int64 (S + 1,), the offsets of the rows wanted.
    """
    counts = offsets[rows + 1] - offsets[rows]
    return ragged(offsets[rows], counts)[1], offsets_of(counts)


def joined_offsets(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The offsets of several arrays of rows, laid end to end.

    Args:
        parts: offsets of each.
    """
    return offsets_of(np.concatenate([np.diff(part) for part in parts]))
