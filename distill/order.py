"""The order of rows: pure functions of seed, epoch and sizes, without generator state or I/O.

Row groups are cut into chunks; an epoch permutes the chunks and cuts their rows into pools; a pool's rows are
permuted again. A pool is held in memory, tokenised at once and batched by length.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_OF_ROWS, _OF_BATCHES = 1, 2  # purposes of the draws within a pool

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # constants of SplitMix64 (Steele, Lea and Flood, 2014)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, order=True)
class Chunk:
    """Consecutive rows of one row group.

    Attributes:
        shard: index of the shard.
        row_group: index of the row group in the shard.
        skip: rows of the row group before the chunk.
        row: row of the shard that the chunk starts at.
        rows: how many.
    """

    shard: int
    row_group: int
    skip: int
    row: int
    rows: int


def permutation(size: int, *key: int) -> NDArray[np.int64]:
    """A permutation of range(size) that depends on the key alone, the same under every version of numpy."""
    return np.argsort(draws(np.arange(size, dtype=np.uint64), *key), kind="stable")


def draws(counters: NDArray[np.uint64], *key: int) -> NDArray[np.uint64]:
    """64 random bits for each counter, of any shape; they depend on counter and key alone."""
    state = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):
        for part in key:
            state = _mix(state ^ np.uint64(part % 2**64))
        return _mix(state + counters * _GOLDEN)


def shares(counters: NDArray[np.uint64], *key: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) with 53 random bits, one for each counter; they depend on counter and key alone."""
    return (draws(counters, *key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def cut_chunks(row_groups: Sequence[Sequence[int]], chunk_rows: int) -> list[Chunk]:
    """Cuts row groups (rows by shard and row group) into chunks of at most `chunk_rows` rows."""
    chunks = []
    for shard, sizes in enumerate(row_groups):
        start = 0
        for group, size in enumerate(sizes):
            for skip in range(0, size, chunk_rows):
                chunks.append(Chunk(shard, group, skip, start + skip, min(chunk_rows, size - skip)))
            start += size
    return chunks


def epoch_pools(chunks: Sequence[Chunk], pool_rows: int, seed: int, epoch: int) -> list[tuple[Chunk, ...]]:
    """The pools of one epoch: every row once, `pool_rows` to a pool but for the last.

    Args:
        chunks: all chunks of the data set.
        pool_rows: rows of a pool, a multiple of the batch size so that only an epoch's last batch is short.
        seed: of the run.
        epoch: from 0.
    """
    pools: list[tuple[Chunk, ...]] = []
    current: list[Chunk] = []
    room = pool_rows
    for index in permutation(len(chunks), seed, epoch):
        left = chunks[int(index)]
        while left.rows:
            taken = min(room, left.rows)
            current.append(Chunk(left.shard, left.row_group, left.skip, left.row, taken))
            left = Chunk(left.shard, left.row_group, left.skip + taken, left.row + taken, left.rows - taken)
            room -= taken
            if room == 0:
                pools.append(tuple(current))
                current, room = [], pool_rows
    if current:
        pools.append(tuple(current))
    return pools


def whole_pool(pool_rows: int, batch_rows: int) -> int:
    """Rows of a pool: `pool_rows`, made a multiple of the batch so that no pool but the last ends in a short batch."""
    return max(1, pool_rows // batch_rows) * batch_rows


def first_examples(steps: int, rows: int, batch_rows: int, seed: int, pool_rows: int) -> int:
    """Examples of the first steps of a run in batches of `batch_rows`.

    Args:
        steps: number of steps, over as many epochs as they take.
        rows: rows of the data set.
        batch_rows: rows of a batch; one batch of an epoch's last pool is short, and may come anywhere in that pool.
        seed: seed of the order.
        pool_rows: rows of a pool, as in StreamSettings.
    """
    epoch, left = divmod(steps, -(-rows // batch_rows))
    pool = whole_pool(pool_rows, batch_rows)
    whole, rest = divmod(rows, pool)
    batches = -(-rest // batch_rows)
    lacking = batches * batch_rows - rest
    before = left - whole * (pool // batch_rows)  # steps into the last pool
    turns = batch_turns(batches, seed, epoch, whole)
    short_came = batches - 1 in turns[: max(0, before)]
    return epoch * rows + left * batch_rows - (lacking if short_came else 0)


def rows_by_length(lengths: NDArray[np.int32], *key: int) -> NDArray[np.int64]:
    """The rows of a pool, short ones first, equal lengths in random order."""
    drawn = permutation(len(lengths), *key, _OF_ROWS)
    return drawn[np.argsort(lengths[drawn], kind="stable")]


def batch_turns(batches: int, *key: int) -> NDArray[np.int64]:
    """The order of the batches of a pool."""
    return permutation(batches, *key, _OF_BATCHES)


def batch_bounds(size: int, rows: int) -> list[tuple[int, int]]:
    """Bounds of batches of `rows` rows of a pool of `size`; the last one may be short."""
    return [(start, min(start + rows, size)) for start in range(0, size, rows)]


def split_evenly(size: int, parts: int) -> list[tuple[int, int]]:
    """Bounds of `parts` consecutive runs of range(size) whose sizes differ by at most one; some may be empty."""
    edges = [size * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))
