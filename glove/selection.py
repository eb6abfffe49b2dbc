"""The columns of a large matrix product that can be among the best of each row, without keeping the product. Pure.

A product of B query words with V words has B x V scores, most of which nobody looks at twice. It is made tile by
tile, each small enough for the processor's cache, and of a tile only the maxima of groups of GROUP words stay. The
best words lie in the groups with the highest maxima, and these in the highest groups of groups: both steps are
exact.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

TILE_WORDS = 2048
GROUP = 16
FLOATS_AT_ONCE = 1 << 20  # 4 MB of vectors copied at once


class Scores(Protocol):
    """Single-precision cosines of a block of query words with all words, of which only the best are looked at."""

    @property
    def most(self) -> int:
        """How many survivors can be asked for."""

    def survivors(self, which: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
        """The best words of some queries, the query itself left out.

        Args:
            which: (n,) numbers of queries of the block.
            keep: words of each, at most `most`.

        Returns:
            Words (n, keep), in no order, and (n,) float64: no word left out scores higher, by the product's own
            single-precision scores.
        """


class GroupMaxima:
    """Highest scores of groups of words for a block of queries.

    Args:
        unit: (V, d) float32 unit rows.
        rows: (B,) query rows.
    """

    def __init__(self, unit: np.ndarray, rows: np.ndarray) -> None:
        self._unit, self._rows = unit, rows
        words = len(unit)
        tiles = -(-words // TILE_WORDS)
        per_tile = TILE_WORDS // GROUP
        queries = np.ascontiguousarray(unit[rows].T)  # (d, B)
        tile = np.empty((TILE_WORDS, len(rows)), dtype=np.float32)
        self._groups = np.empty((tiles * per_tile, len(rows)), dtype=np.float32)
        for number in range(tiles):
            part = unit[number * TILE_WORDS : (number + 1) * TILE_WORDS]
            np.matmul(part, queries, out=tile[: len(part)])
            tile[len(part) :] = -np.inf
            grouped = tile.reshape(per_tile, GROUP, len(rows))
            np.max(grouped, axis=1, out=self._groups[number * per_tile : (number + 1) * per_tile])
        self._supers = self._groups.reshape(-1, GROUP, len(rows)).max(axis=1).T  # (B, groups of groups)

    @property
    def most(self) -> int:
        """As `Scores` has it."""
        return int(self._supers.shape[1]) - 1

    def survivors(self, which: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Scores` has it."""
        supers = self._supers[which]
        chosen, bound = _best(supers, supers, keep + 1)  # (n, keep + 1)
        groups = _members(chosen)
        scores = self._groups[groups, which[:, None]]
        groups, group_bound = _best(scores, groups, keep + 1)
        words = _members(groups)
        real = np.minimum(words, len(self._unit) - 1)
        scores = self._scores(self._rows[which], real)
        scores[(words >= len(self._unit)) | (words == self._rows[which][:, None])] = -np.inf
        words, word_bound = _best(scores, real, keep)
        return words, np.maximum(np.maximum(bound, group_bound), word_bound).astype(np.float64)

    def _scores(self, rows: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Scores of each row with its own words, (n, m), a few rows at a time: their vectors have to be copied."""
        scores = np.empty(words.shape, dtype=np.float32)
        step = max(1, FLOATS_AT_ONCE // (words.shape[1] * self._unit.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            queries = self._unit[rows[part]][:, :, None]  # (s, d, 1)
            np.matmul(self._unit[words[part]], queries, out=scores[part, :, None])
        return scores


def _best(scores: np.ndarray, names: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Names of the `keep` highest scores of each row, or their columns where the names are the scores; the lowest."""
    last = scores.shape[1] - keep
    order = np.argpartition(scores, last, axis=1)[:, last:]
    bound = np.take_along_axis(scores, order[:, :1], axis=1)[:, 0]  # argpartition puts the lowest kept first
    return (order if names is scores else np.take_along_axis(names, order, axis=1)), bound


def _members(groups: np.ndarray) -> np.ndarray:
    """(n, m) groups to (n, m GROUP) members."""
    return (groups[:, :, None] * GROUP + np.arange(GROUP)).reshape(len(groups), -1)
