"""Numbers of distinct texts, and digests of held-out ones."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from pipelines.augmenting.leaks import HeldOut
from pipelines.augmenting.numbering import TextNumbers
from pipelines.augmenting.snapshot import HELD_OUT
from pipelines.run_folder.parquet import open_writer
from pipelines.run_folder.storage import Storage

BATCH = 512


def batches(texts: int, distinct: int, seed: int = 0) -> list[np.ndarray]:
    """Digests of `texts` texts, `distinct` at most, in an order of chance; some end in NULs, some share a half."""
    chance = np.random.default_rng(seed)
    pool = chance.integers(0, 2**63, (distinct, 2), dtype=np.uint64)
    pool[::3, 1] &= np.uint64(0xFFFF)
    pool[::5, 0] = pool[0, 0]
    drawn = pool[chance.integers(0, distinct, texts)]
    return [drawn[first : first + BATCH] for first in range(0, texts, BATCH)]


@pytest.mark.parametrize(("texts", "distinct"), [(1, 1), (5000, 5000), (20_000, 3000), (20_000, 7)])
def test_numbers_are_those_of_first_occurrence(texts, distinct):
    known: dict[bytes, int] = {}
    numbers = TextNumbers()
    for ids in batches(texts, distinct):
        expected = []
        for one in ids:
            new = one.tobytes() not in known
            expected.append((known.setdefault(one.tobytes(), len(known)), new))
        found, firsts = numbers.add(ids)
        assert list(zip(found.tolist(), firsts.tolist(), strict=True)) == expected
    assert numbers.count == len(known)


@pytest.mark.parametrize("repeats", [1, 2, 20])
def test_memory_is_bounded_by_the_number_of_distinct_texts(repeats):
    distinct = 2**16  # the longest merge comes last: the peak
    chance = np.random.default_rng(0)
    pool = chance.integers(0, 2**63, (distinct, 2), dtype=np.uint64)
    order = np.concatenate([chance.permutation(distinct) for _ in range(repeats)])
    numbers = TextNumbers()
    tracemalloc.start()
    try:
        for first in range(0, len(order), BATCH):
            numbers.add(pool[order[first : first + BATCH]])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert numbers.count == distinct
    assert peak / distinct < 50


def held_out(tmp_path, **columns: list[str]) -> HeldOut:
    storage = Storage(str(tmp_path))
    table = pa.table(columns)
    with storage.writing(HELD_OUT) as sink, open_writer(sink, table.schema) as writer:
        writer.write_table(table)
    return HeldOut(storage, list(columns))


TEXTS = ["", "a", "film", "film\0", "eight by", "the film was good", "the film was bad ok", "ünï ☃", "x" * 10_000]


def test_held_out_texts_are_found_and_no_others(tmp_path):
    leaks = held_out(tmp_path, text=TEXTS)
    assert leaks.contains([pa.array(TEXTS)]).all()
    others = ["b", "fil", "film ", "film\0\0", "the film Xas good", "the film was good!", "ünï ☄", "x" * 9_999, " "]
    assert not leaks.contains([pa.array(others)]).any()
    both = pa.array([*others, *TEXTS])
    assert leaks.contains([both]).tolist() == [False] * len(others) + [True] * len(TEXTS)
    assert leaks.contains([both.slice(3, 8)]).tolist() == leaks.contains([both]).tolist()[3:11]
    assert leaks.contains([pa.array([], pa.string())]).tolist() == []


def test_pairs_are_held_out_together(tmp_path):
    leaks = held_out(tmp_path, one=["a", "b", "ab", ""], two=["x", "y", "", "ab"])
    one, two = ["a", "b", "a", "b", "ab", "", "a", ""], ["x", "y", "y", "x", "", "ab", "b", ""]
    found = leaks.contains([pa.array(one), pa.array(two)]).tolist()
    assert found == [True, True, False, False, True, True, False, False]


def test_without_held_out_texts_nothing_leaks(tmp_path):
    assert not held_out(tmp_path, text=pa.array([], pa.string())).contains([pa.array(["a", ""])]).any()
