"""Exact nearest neighbours by cosine for many words at once. Pure.

The paper's appendix A takes the most similar words from GloVe; gensim's `most_similar` finds them one word at
a time. Here a block of words is compared with the whole vocabulary in one matrix product. Its single-precision
scores only choose survivors: those are scored again in double precision, pair by pair, so that results do not
depend on which words share a block (a product's last bits do).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from glove.errors import VectorsError
from glove.selection import GroupMaxima, Scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glove.vectors import WordVectors

BLOCK_WORDS = 256  # with tiles of 2,048 words: 2 MB of scores at once, and 26 MB of maxima for 400,000 words
MARGIN = 12  # survivors beyond k: enough, for real vectors, that few words need a second look
PAIRS_AT_ONCE = 1 << 16
LOWEST, HIGHEST = -45, 60  # powers of ten that rounding may need: float32's own and what lifts them to integers
POWERS = np.array([float(f"1e{power}") for power in range(LOWEST, HIGHEST + 1)])
DIGITS = 3
REMEMBERED = 500_000  # neighbours, each judged once: about 200 bytes each

ScoresOf = Callable[[np.ndarray, np.ndarray], Scores]  # of (V, d) unit rows and (B,) numbers of the block's rows


def nearest_neighbours(
    vectors: WordVectors,
    rows: np.ndarray,
    k: int,
    threads: int | None = None,
    scores_of: ScoresOf = GroupMaxima,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest words of each row by cosine, the row itself left out.

    Scores are cosines of the stored unit rows rounded to 3 significant digits; words with equal rounded
    scores come in the order of their rows, and the cut at k is made after that. The result does not depend
    on how rows are grouped in calls or blocks.

    Args:
        vectors: V words.
        rows: (Q,) row numbers.
        k: Neighbours wanted, at least 1.
        threads: Cores to use; None for all. The result does not depend on it.
        scores_of: Makes the product of a block with all words in single precision; the result does not depend on it.

    Returns:
        ids (Q, k) int32 and scores (Q, k) float32; where fewer than k other words exist the rest is id -1 and
        score NaN.

    Raises:
        VectorsError: k is below 1 or a row does not exist.
    """
    rows = np.asarray(rows)
    if k < 1:
        raise VectorsError(f"expected at least one neighbour, found k = {k}")
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise VectorsError(f"expected row numbers in one dimension, found {rows.dtype} of shape {rows.shape}")
    if rows.size and not (rows.min() >= 0 and rows.max() < len(vectors)):
        raise VectorsError(f"expected rows from 0 to {len(vectors) - 1}, found {rows.min()} to {rows.max()}")
    ids = np.full((len(rows), k), -1, dtype=np.int32)
    scores = np.full((len(rows), k), np.nan, dtype=np.float32)
    found = min(k, len(vectors) - 1)
    if found:

        def work(part: slice) -> None:
            block = rows[part].astype(np.int64)
            ids[part, :found], scores[part, :found] = _nearest(vectors.unit_rows, block, found, scores_of)

        _in_threads(work, [slice(start, start + BLOCK_WORDS) for start in range(0, len(rows), BLOCK_WORDS)], threads)
    return ids, scores


def similar_words(
    vectors: WordVectors,
    words: Sequence[str],
    k: int,
    accept: Callable[[str], bool] | None = None,
    threads: int | None = None,
    scores_of: ScoresOf = GroupMaxima,
) -> list[list[tuple[str, float]]]:
    """The k most similar words of each word, with their cosines, as the paper's appendix A asks of GloVe.

    A word is looked up as it stands, then in lower case. Of neighbours that differ in case only the best one
    stays, and none that differs from the word itself in case only.

    Args:
        vectors: The vectors to look in.
        words: Q words.
        k: Neighbours wanted for each, at least 1.
        accept: Says of a neighbour whether it may be taken; None takes all. It is asked of each neighbour once.
        threads: Cores to use; None for all.
        scores_of: As for `nearest_neighbours`.

    Returns:
        Q lists of (word, rounded cosine), best first, empty for an unknown word, shorter than k only where
        the vocabulary has no more.

    Raises:
        VectorsError: k is below 1.
    """
    if k < 1:
        raise VectorsError(f"expected at least one neighbour, found k = {k}")
    results: list[list[tuple[str, float]]] = [[] for _ in words]
    looked_up = [(index, _row(vectors, word)) for index, word in enumerate(words)]
    waiting = [(index, row) for index, row in looked_up if row is not None]
    depth, judged = k + MARGIN, _Judged(vectors, accept)
    while waiting:
        depth = min(depth, max(len(vectors) - 1, 1))
        short = []
        for start in range(0, len(waiting), max(1, PAIRS_AT_ONCE * 16 // depth)):
            part = waiting[start : start + max(1, PAIRS_AT_ONCE * 16 // depth)]
            ids, scores = nearest_neighbours(vectors, np.array([row for _, row in part]), depth, threads, scores_of)
            for (index, row), near, near_scores in zip(part, ids.tolist(), scores.tolist(), strict=True):
                results[index] = judged.best(words[index], near, near_scores, k)
                if len(results[index]) < k and depth < len(vectors) - 1:
                    short.append((index, row))
        waiting, depth = short, depth * 4
    return results


def round_significant(x: np.ndarray, digits: int = DIGITS) -> np.ndarray:
    """Rounds to significant decimal digits, the same on every machine.

    Args:
        x: Numbers of any shape, float32 or float64; computed in double precision, halves to even.
        digits: Significant digits, 1 to 15.

    Returns:
        float32 of the same shape; zeros, NaN and infinities stay.
    """
    wide = np.asarray(x, dtype=np.float64)
    # Exponents by comparison with a table: log10 differs between processors in the last bit.
    exponents = np.searchsorted(POWERS, np.abs(wide), side="right") - 1 + LOWEST
    shift = np.minimum(digits - 1 - exponents, HIGHEST)
    factor, divisor = POWERS[np.maximum(shift, 0) - LOWEST], POWERS[np.maximum(-shift, 0) - LOWEST]
    rounded = np.rint(wide * factor / divisor) * divisor / factor
    return (np.where(np.isfinite(wide), rounded, wide) + 0.0).astype(np.float32)


def fold_case(word: str) -> str:
    """A key that a word shares with everything it can become by a change of case, such as ı, I and i."""
    return word.upper().casefold()


def _row(vectors: WordVectors, word: str) -> int | None:
    row = vectors.row(word)
    return vectors.row(word.lower()) if row is None else row


class _Judged:
    """Takes the neighbours that may be taken; each is decoded, folded and asked about once."""

    def __init__(self, vectors: WordVectors, accept: Callable[[str], bool] | None) -> None:
        self._vectors, self._accept = vectors, accept
        self._known: dict[int, tuple[str, str] | None] = {}  # row -> word and its fold; None where it may not be taken

    def best(self, word: str, rows: list[int], scores: list[float], k: int) -> list[tuple[str, float]]:
        """At most k neighbours and their scores out of those of a word, best first."""
        kept: list[tuple[str, float]] = []
        seen = {fold_case(word)}
        for row, score in zip(rows, scores, strict=True):
            if row < 0 or len(kept) == k:
                break
            found = self._known[row] if row in self._known else self._judge(row)
            if found is not None and found[1] not in seen:
                seen.add(found[1])
                kept.append((found[0], score))
        return kept

    def _judge(self, row: int) -> tuple[str, str] | None:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        word = self._vectors.word(row)
        found = (word, fold_case(word)) if self._accept is None or self._accept(word) else None
        self._known[row] = found
        return found


def _in_threads(work: Callable[[slice], None], blocks: list[slice], threads: int | None) -> None:
    """Works on blocks side by side, one core each: the steps around the product use one core alone."""
    from threadpoolctl import threadpool_limits

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = cores if threads is None else max(1, threads)
    side_by_side = max(1, min(threads, len(blocks)))
    # BLAS takes every core it is not refused; a single block may have them all.
    limit = threadpool_limits(threads if side_by_side == 1 else 1, user_api="blas")
    with limit, ThreadPoolExecutor(side_by_side) as pool:
        list(pool.map(work, blocks))


def _nearest(unit: np.ndarray, rows: np.ndarray, k: int, scores_of: ScoresOf) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of one block of rows: ids (B, k) and rounded scores (B, k); k is below V."""
    maxima = scores_of(unit, rows)
    ids = np.empty((len(rows), k), dtype=np.int64)
    best = np.empty((len(rows), k), dtype=np.float32)
    waiting, keep = np.arange(len(rows)), k + MARGIN
    while len(waiting):
        if keep > maxima.most:  # so many that groups no longer help
            for one in waiting:
                ids[one], best[one] = _nearest_of_all(unit, int(rows[one]), k)
            break
        survivors, bound = maxima.survivors(waiting, keep)
        ids[waiting], best[waiting] = _rescored(unit, rows[waiting], survivors, k)
        # No other word can reach the last place, not even by the product's error or a tie.
        sure = best[waiting, -1] > round_significant(bound + _product_error(unit.shape[1]))
        waiting, keep = waiting[~sure], keep * 4
    return ids, best


def _product_error(dimensions: int) -> float:
    """How far a single-precision dot product of unit vectors may be from the true one (any order of sums)."""
    return 1.01 * (dimensions + 2) * 2.0**-24


def _rescored(unit: np.ndarray, rows: np.ndarray, survivors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores survivors (B, n) in double precision; the best k by (-rounded score, row)."""
    survivors = np.sort(survivors, axis=1)
    rounded = np.empty(survivors.shape, dtype=np.float32)
    step = max(1, PAIRS_AT_ONCE // survivors.shape[1])
    for start in range(0, len(rows), step):
        near = survivors[start : start + step]
        left = np.repeat(rows[start : start + step], near.shape[1])
        rounded[start : start + step] = _cosines(unit, left, near.ravel()).reshape(near.shape)
    order = np.argsort(-rounded, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(survivors, order, axis=1), np.take_along_axis(rounded, order, axis=1)


def _nearest_of_all(unit: np.ndarray, row: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The same for one row by scoring every pair; the way out where very many words tie."""
    rounded = np.empty(len(unit), dtype=np.float32)
    for start in range(0, len(unit), PAIRS_AT_ONCE):
        right = np.arange(start, min(start + PAIRS_AT_ONCE, len(unit)))
        rounded[right] = _cosines(unit, np.full(len(right), row), right)
    rounded[row] = -np.inf
    order = np.argsort(-rounded, kind="stable")[:k]
    return order, rounded[order]


def _cosines(unit: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rounded dot products of pairs, (n,) float32.

    Products of singles are exact in double precision, and each pair's are added along its own contiguous
    row, so a pair's score is the same whatever stands beside it.
    """
    return round_significant((unit[left].astype(np.float64) * unit[right].astype(np.float64)).sum(axis=1))
