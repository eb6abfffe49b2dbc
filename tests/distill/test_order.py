"""Order as a pure function: permutations, chunks, pools, bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distill.order import batch_bounds, cut_chunks, epoch_pools, permutation, split_evenly


def test_permutation_is_fixed_for_all_time():
    assert permutation(8, 1, 2).tolist() == permutation(8, 1, 2).tolist()
    assert permutation(8, 1, 2).tolist() != permutation(8, 2, 1).tolist()
    assert permutation(10, 42, 0).tolist() == GOLDEN


GOLDEN = [6, 2, 5, 7, 0, 9, 4, 3, 8, 1]


def test_permutation_looks_uniform():
    firsts = np.array([permutation(5, seed, 7)[0] for seed in range(5000)])
    assert np.abs(np.bincount(firsts, minlength=5) / 5000 - 0.2).max() < 0.03


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=5),
    st.integers(1, 6),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_every_row_once(row_groups, chunk_rows, pool_rows, epoch):
    chunks = cut_chunks(row_groups, chunk_rows)
    pools = epoch_pools(chunks, pool_rows, 5, epoch)
    rows = [(c.shard, c.row + i, c.row_group, c.skip + i) for pool in pools for c in pool for i in range(c.rows)]
    expected = []
    for shard, sizes in enumerate(row_groups):
        row = 0
        for group, size in enumerate(sizes):
            expected += [(shard, row + i, group, i) for i in range(size)]
            row += size
    assert sorted(rows) == sorted(expected)
    assert all(sum(c.rows for c in pool) == pool_rows for pool in pools[:-1])
    assert all(c.rows for pool in pools for c in pool)


def test_epochs_differ_and_mix_shards():
    chunks = cut_chunks([[10] * 10] * 4, 10)
    first, second = epoch_pools(chunks, 100, 0, 0), epoch_pools(chunks, 100, 0, 1)
    assert first != second
    assert len({chunk.shard for chunk in first[0]}) > 1


@given(st.integers(1, 60), st.integers(1, 9))
def test_bounds_cover_a_pool(size, rows):
    bounds = batch_bounds(size, rows)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(size))
    assert all(stop - start == rows for start, stop in bounds[:-1])


@given(st.integers(0, 50), st.integers(1, 9))
def test_split_evenly(size, parts):
    bounds = split_evenly(size, parts)
    sizes = [stop - start for start, stop in bounds]
    assert len(bounds) == parts
    assert sum(sizes) == size
    assert max(sizes) - min(sizes) <= 1
